"""Cuts are found to the frame, and scenes become takes of the right length."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from data_pipelines import film
from data_pipelines.natural import scenes
from data_pipelines.prepare import encode_video
from tests.data_pipelines.natural import pictures

DEFAULTS = scenes.Cutting()


def _film(*lengths):
  """A scene of each length in frames, all panning."""
  return np.concatenate(
    [pictures.pan(seed, count, 1.0) for seed, count in enumerate(lengths)]
  )


@pytest.mark.parametrize(
  'lengths', [(30, 25, 40), (1, 30, 1), (2, 20, 2), (20, 3, 20), (50,), (1,)]
)
def test_every_cut_is_found_to_the_frame(lengths):
  found = scenes.scenes_of(_film(*lengths), 16.0, DEFAULTS)
  bounds = np.cumsum((0, *lengths)).tolist()
  assert found == list(itertools.pairwise(bounds))


def test_cuts_are_those_of_the_file_at_the_rate_of_the_record():
  lengths = (31, 26, 47)  # at 24 frames/s
  video = encode_video.encode_video(_film(*lengths), 24.0)
  for rate in (24.0, 16.0, 17.5, 12):
    frames = (frame for _, frame in film.frames(video, rate=rate))
    found = scenes.scenes_of(frames, rate, DEFAULTS)
    # The first frame of the record at which a frame of the scene is shown.
    firsts = [math.ceil(cut / 24 * rate - 0.02) for cut in (0, 31, 57)]
    assert [start for start, _ in found] == firsts


def test_a_fast_camera_and_a_fade_are_no_cuts():
  fast = pictures.pan(0, 60, 9.0)
  assert scenes.scenes_of(fast, 16.0, DEFAULTS) == [(0, 60)]
  fade = fast * np.linspace(0.2, 1, 60)[:, None, None, None]
  assert scenes.scenes_of(fade.astype(np.uint8), 16.0, DEFAULTS) == [(0, 60)]


def test_no_frames_are_no_scene():
  assert scenes.scenes_of([], 16.0, DEFAULTS) == []


@pytest.mark.parametrize('rate', [16.0, 17.5, 25.0])
@pytest.mark.parametrize(('shortest', 'longest'), [(6, 16), (2, 5), (1, 9)])
def test_takes_of_a_scene_are_long_enough_and_leave_out_no_chunk(
  rate, shortest, longest
):
  cutting = scenes.Cutting(shortest_scene=shortest, longest_scene=longest)
  for length in range(1, 1200, 7):
    parts = scenes.parts_of((100, 100 + length), rate, cutting)
    if not parts:
      assert length - 4 < shortest * rate + 4
      continue
    assert parts[0].start == 100
    assert 0 <= 100 + length - 1 - parts[-1].last < 4
    for one, next_one in itertools.pairwise(parts):
      assert next_one.start == one.last
    assert [part.ended for part in parts] == [False] * (len(parts) - 1) + [True]
    seconds = [4 * part.chunks / rate for part in parts]
    assert min(seconds) >= shortest
    assert max(seconds) <= longest
    assert max(part.chunks for part in parts) - min(
      part.chunks for part in parts
    ) in (0, 1)


def test_at_16_frames_a_second_a_take_has_97_to_257_frames():
  assert scenes.parts_of((0, 96), 16.0, DEFAULTS) == []
  assert scenes.parts_of((0, 97), 16.0, DEFAULTS) == [(0, 24, True)]
  assert scenes.parts_of((5, 262), 16.0, DEFAULTS) == [(5, 64, True)]
  assert scenes.parts_of((0, 261), 16.0, DEFAULTS) == [
    (0, 32, False),
    (128, 33, True),
  ]


@pytest.mark.parametrize(
  ('change', 'named'),
  [
    ({'shortest_scene': 9.0}, 'shortest_scene is 9.0 s and longest_scene 16.0'),
    ({'shortest_scene': 0.0}, 'shortest_scene is 0.0'),
    ({'longest_scene': math.nan}, 'longest_scene is nan'),
    ({'cut_ratio': -1.0}, 'cut_ratio is -1.0'),
    ({'cut_change': math.inf}, 'cut_change is inf'),
  ],
)
def test_a_bad_setting_is_named(change, named):
  with pytest.raises(ValueError, match=named):
    dataclasses.replace(DEFAULTS, **change).scene_chunks(16.0)
