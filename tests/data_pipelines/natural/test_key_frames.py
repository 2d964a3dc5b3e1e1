"""Pieces begin where the picture changes, as many as their length asks for."""

import dataclasses
import itertools

import numpy as np
import pytest

from data_pipelines.natural import key_frames
from tests.data_pipelines.natural import pictures

DEFAULTS = key_frames.Splitting()


def test_the_best_split_is_the_best_of_all():
  rng = np.random.default_rng(0)
  for _ in range(30):
    changes = rng.uniform(size=14)
    found = key_frames.best_split(changes, 4, 2, 5)
    every = [
      bounds
      for inner in itertools.combinations(range(1, 14), 3)
      for bounds in [(0, *inner, 14)]
      if all(2 <= length <= 5 for length in np.diff(bounds))
    ]
    best = max(every, key=lambda bounds: sum(changes[list(bounds[1:-1])]))
    assert found == list(itertools.pairwise(best))


def test_a_piece_begins_where_something_happens():
  frames = pictures.pan(0, 129, 0.25)
  for place in (9, 16, 25):  # chunks: a large thing comes or goes
    frames[4 * place + 1 :, 10:40, 10:40] ^= 255
  pieces = key_frames.pieces_of(frames, 16.0, DEFAULTS)
  assert {9, 16, 25} <= {start for start, _ in pieces}


@pytest.mark.parametrize('rate', [16.0, 17.5, 30.0])
def test_a_text_comes_every_two_seconds_or_so(rate):
  frames = pictures.pan(1, 16 * 30, 1.0)
  spoken, texts = 0.0, 0
  for chunks in range(4 * 6, 4 * 16, 3):
    pieces = key_frames.pieces_of(frames[: 1 + 4 * chunks], rate, DEFAULTS)
    assert pieces[0][0] == 0 and pieces[-1][1] == min(chunks, 119)
    for one, next_one in itertools.pairwise(pieces):
      assert one[1] == next_one[0]
    seconds = [4 * (stop - start) / rate for start, stop in pieces]
    assert min(seconds) >= 1.0 and max(seconds) <= 3.0
    spoken, texts = spoken + sum(seconds), texts + len(pieces)
  assert spoken / texts == pytest.approx(1.9, abs=0.1)


@pytest.mark.parametrize('chunks', range(4, 40))
def test_any_length_can_be_split(chunks):
  for settings in (
    DEFAULTS,
    key_frames.Splitting(piece=1.0),
    key_frames.Splitting(piece=3.0),
    key_frames.Splitting(piece=1.5, longest_piece=2.0),
  ):
    pieces = key_frames.pieces_of(
      np.zeros((1 + 4 * chunks, 6, 8, 3), np.uint8), 16.0, settings
    )
    assert pieces[0][0] == 0 and pieces[-1][1] == chunks


@pytest.mark.parametrize(
  'change', [{'piece': 0.9}, {'piece': 3.1}, {'longest_piece': 1.95}]
)
def test_a_bad_setting_is_named(change):
  (name, value) = next(iter(change.items()))
  with pytest.raises(ValueError, match=f'{name} {value}'):
    dataclasses.replace(DEFAULTS, **change).piece_chunks(16.0)
