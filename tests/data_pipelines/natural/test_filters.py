"""Scores put known films in the right order, and limits name what is wrong."""

import math

import cv2
import numpy as np
import pytest

from data_pipelines.natural import filters
from tests.data_pipelines.natural import pictures

RATE = 16.0
RNG = np.random.default_rng(0)


def _sharp(count=40, step=0.5):
  """A slow pan over edges."""
  edges = np.where(pictures.pan(3, count, step, 96, 128) > 127, 220, 40)
  return edges.astype(np.uint8)


def _shaken():
  wide = _sharp(1)[0]
  return np.stack(
    [np.roll(wide, tuple(RNG.integers(-4, 5, 2)), (0, 1)) for _ in range(40)]
  )


FILMS = {
  'too still': np.repeat(_sharp(1), 40, 0),
  'too fast': _sharp(step=10),
  'too shaky': _shaken(),
  'too dark': _sharp() // 12,
  'too bright': 255 - _sharp() // 20,
  'flat': 100 + _sharp() // 24,
  'blurred': np.stack([cv2.GaussianBlur(x, (0, 0), 6) for x in _sharp()]),
  'black bars': np.pad(
    _sharp()[:, 12:-12], ((0, 0), (12, 12), (0, 0), (0, 0)), constant_values=16
  ),
}


@pytest.mark.parametrize('fault', FILMS)
def test_a_fault_is_found_and_its_score_told(fault):
  scores = filters.scores_of(FILMS[fault], RATE)
  found, detail = filters.fault_of(scores, filters.Limits())
  assert found == fault, detail
  bounds = filters.Limits().bounds()
  limit = next(f'{b.side}_{b.score}' for b in bounds if b.fault == fault)
  name = limit.partition('_')[2]
  assert f'{name} is {scores[name]:g}' in detail
  unlimited = filters.Limits(
    **{
      name: -math.inf if name.startswith('least') else math.inf
      for name in (f'{b.side}_{b.score}' for b in bounds)
    }
  )
  assert filters.fault_of(scores, unlimited) is None


def test_a_good_film_has_no_fault():
  scores = filters.scores_of(_sharp(), RATE)
  assert filters.fault_of(scores, filters.Limits()) is None
  assert set(scores) == set(filters.Scores._fields)


def test_motion_is_in_widths_a_second_whatever_the_size():
  for width in (64, 128, 320):
    step = width / 64  # a quarter of a width in 16 frames
    wide = pictures.pan(5, 33, step, width * 3 // 4, width)
    scores = filters.scores_of(wide, RATE)
    assert scores['motion'] == pytest.approx(0.25, rel=0.15)
    assert scores['shake'] < 0.02
    twice = filters.scores_of(wide, 2 * RATE)
    assert twice['motion'] == pytest.approx(2 * scores['motion'], abs=1e-3)


def test_noise_shakes_and_stillness_does_not_move():
  noise = RNG.integers(0, 256, (40, 48, 64, 3)).astype(np.uint8)
  assert filters.scores_of(noise, RATE)['shake'] > 0.2
  still = filters.scores_of(FILMS['too still'], RATE)
  assert still['motion'] == still['shake'] == 0
  grain = FILMS['too still'] + RNG.integers(0, 9, FILMS['too still'].shape)
  grainy = filters.scores_of(grain.astype(np.uint8), RATE)
  assert filters.fault_of(grainy, filters.Limits())[0] == 'too still'


def test_more_blur_is_less_sharp():
  sharp = _sharp(8)
  scores = [
    filters.scores_of(
      np.stack([cv2.GaussianBlur(x, (0, 0), sigma) for x in sharp]), RATE
    )['sharpness']
    for sigma in (0.5, 1, 2, 4)
  ]
  assert scores == sorted(scores, reverse=True)
  assert len(set(scores)) == 4


def test_bars_are_measured_to_the_pixel():
  film = pictures.pan(0, 9, 1.0, 90, 120)
  film[:, :9] = film[:, -9:] = 16
  film[:, :, :6] = 0
  film[:, 40:50, 50:60] = 0  # Dark, and no bar.
  kept = (72 * 114) / (90 * 120)
  bars = filters.scores_of(film, RATE)['bars']
  assert bars == pytest.approx(1 - kept, abs=1e-4)
  assert filters.scores_of(film * 0, RATE)['bars'] == 1


def test_the_models_judgement_is_a_limit_too():
  limits = filters.Limits(least_relevance=0.6)
  assert filters.fault_of({'relevance': 0.6}, limits) is None
  assert filters.fault_of({'relevance': 0.5}, limits) == (
    'shows something else',
    'relevance is 0.5, at least 0.6 is wanted',
  )
  with pytest.raises(ValueError, match='most_bars is nan'):
    filters.Limits(most_bars=math.nan).check_limits()
