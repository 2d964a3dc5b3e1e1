"""Film is cut from takes, fixed by its seed, and goes on where it stopped."""

import numpy as np
import pytest

from data_pipelines import pipeline
from data_pipelines import records
from data_pipelines import stream as stream_lib


def _equal(one, two):
  assert one.keys() == two.keys()
  return all(np.array_equal(one[name], two[name]) for name in one)


def test_clips_are_cut_from_takes_on_the_grid(recording):
  source = pipeline.ClipSource(recording, 'train', frames=9)
  takes = list(records.Takes(recording, 'train'))
  assert len(source) == sum((t.frame_count - 9) // 4 + 1 for t in takes)
  for index, take, start in ((0, 0, 0), (3, 0, 12), (31, 1, 0)):
    clip = source[index]
    whole = takes[take]
    wanted = whole.frames(start, start + 9)
    np.testing.assert_array_equal(clip['frames'], wanted)
    wanted = whole.controls[start : start + 9]
    np.testing.assert_array_equal(clip['controls'], wanted)


def test_memory_changes_no_clip(recording):
  kept = pipeline.ClipSource(recording, 'train', frames=5)
  none = pipeline.ClipSource(recording, 'train', frames=5, memory=0)
  np.testing.assert_array_equal(kept[17]['frames'], none[17]['frames'])


def test_clips_go_on_where_they_stopped(recording):
  def stream(seed=1):
    return pipeline.clips(
      recording, 'train', frames=5, batch=3, seed=seed, with_controls=True
    )

  one = stream()
  first = next(one)
  assert first['frames'].shape == (3, 5, 48, 64, 3)
  assert first['controls'].shape == (3, 5, 8)
  state = one.get_state()
  after = next(one)
  two = stream()
  assert _equal(next(two), first)
  three = stream()
  three.set_state(state)
  assert _equal(next(three), after)
  assert not _equal(next(stream(2)), first)


def test_hosts_read_their_share_of_the_same_film(recording):
  def streams(hosts):
    return [
      pipeline.clips(
        recording,
        'train',
        frames=5,
        batch=4,
        seed=1,
        share=stream_lib.Share(host, hosts),
      )
      for host in range(hosts)
    ]

  one, two = streams(1)[0], streams(2)
  for _ in range(3):
    parts = [next(stream)['frames'] for stream in two]
    np.testing.assert_array_equal(next(one)['frames'], np.concatenate(parts))


def test_long_clips_and_no_batch_are_refused(recording):
  with pytest.raises(ValueError, match='has 500 frames, the longest has 129'):
    pipeline.clips(recording, 'train', frames=500, batch=1, seed=0)
  with pytest.raises(ValueError, match='batch is 0'):
    pipeline.clips(recording, 'train', frames=5, batch=0, seed=0)
