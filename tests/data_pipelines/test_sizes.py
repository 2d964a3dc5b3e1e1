"""Sizes beside the records are those in the records."""

import numpy as np
import pytest

from data_pipelines import latents
from data_pipelines import sizes
from tests.data_pipelines import tiny_stories


@pytest.fixture(scope='module')
def encoded(tmp_path_factory):
  clips = tiny_stories.clips([3, 1, 12, 40])
  out = tmp_path_factory.mktemp('encoded') / 'latents'
  return tiny_stories.write(out, clips, clips[:2])


def _equal(one, two):
  return all(
    np.array_equal(a, b) and a.dtype.kind == b.dtype.kind
    for a, b in zip(one, two, strict=True)
  )


def test_sizes_are_known_with_a_file_and_without(encoded):
  for split in ('train', 'test'):
    clips = latents.Clips(encoded, split)
    path = encoded / sizes.name(split)
    path.unlink(missing_ok=True)
    found = clips.sizes()
    assert found.chunks.tolist() == [len(clip.latents) for clip in clips]
    assert found.ended.tolist() == [clip.ended for clip in clips]
    for clip, begin in zip(clips, found.begins, strict=True):
      counts = [len(clip.prompt_ids), *map(len, clip.word_ids)]
      assert found.counts[begin : begin + len(counts)].tolist() == counts
    path.write_bytes(sizes.to_bytes(found))
    assert _equal(clips.sizes(), found)
    assert isinstance(sizes.read(path, len(clips)).counts.base, np.memmap)


def test_a_damaged_file_is_named(tmp_path):
  held = tiny_stories.Held(tiny_stories.clips([3, 1, 12])).sizes()
  data = sizes.to_bytes(held)
  path = tmp_path / sizes.name('train')
  for damaged in (
    b'',
    data[:60],
    data[:-8],
    b'x' + data[1:],
    sizes.to_bytes(held._replace(counts=held.counts[:-1])),
    sizes.to_bytes(held._replace(counts=held.counts - 9)),
  ):
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r'sizes-train\.npy: .*delete it'):
      sizes.read(path, 3)
  np.save(path, np.zeros((2, 2)))
  with pytest.raises(ValueError, match=r'float64 of shape \(2, 2\)'):
    sizes.read(path, 3)
  path.write_bytes(data)
  with pytest.raises(ValueError, match='sizes of 3 of 4 clips'):
    sizes.read(path, 4)
