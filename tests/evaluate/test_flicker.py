"""A jump at regular intervals is found, and none where there is none."""

import numpy as np
import pytest

from tv2tv_jax.evaluate import flicker

_FRAMES, _CHUNK, _PERIOD = 1121, 4, 16


def _film(jump=0.0, chunk=0.0, seed=0, period=_PERIOD):
  """Shades that move now fast, now slow, and what is added to some frames.

  Brightness goes up and down by `jump` each period, by `chunk` each chunk.
  """
  rng = np.random.default_rng(seed)
  slow = np.convolve(rng.normal(size=_FRAMES), np.ones(17) / 4, 'same')
  place = np.cumsum(0.6 + 0.4 * np.abs(slow) + 0.1 * rng.normal(size=_FRAMES))
  columns = np.arange(16)
  shade = 120 + 30 * np.sin(0.5 * (columns + place[:, None]))
  for step, every in ((jump, period), (chunk, _CHUNK)):
    flips = (np.arange(_FRAMES) + every - 1) // every % 2
    shade += step * (flips[:, None] - 0.5)
  shade = np.tile(shade[:, None, :, None], (1, 6, 1, 3))
  return (shade + rng.normal(0, 2, shade.shape)).clip(0, 255).astype(np.uint8)


def _strength(film, period=_PERIOD, chunk=_CHUNK):
  return flicker.strength(flicker.changes(film), period, chunk)


def test_changes_are_mean_absolute_differences():
  frames = np.array([0, 250, 240], np.uint8)[:, None, None, None]
  np.testing.assert_array_equal(flicker.changes(frames), [250, 10])


@pytest.mark.parametrize('seed', range(5))
def test_a_film_without_jumps_has_no_period(seed):
  film = _film(seed=seed)
  for period in (12, 16, 20, 28):
    assert _strength(film, period) < 4
  changes = flicker.changes(film)
  assert abs(flicker.jump(changes, _PERIOD, _CHUNK)) < 4


@pytest.mark.parametrize('seed', range(5))
def test_a_periodic_jump_is_found_at_its_period_alone(seed):
  film = _film(jump=12.0, seed=seed)
  assert _strength(film) > 10
  assert _strength(film, 20) < 4 > _strength(film, 28)
  changes = flicker.changes(film)
  assert flicker.jump(changes, _PERIOD, _CHUNK) > 4


@pytest.mark.parametrize('seed', range(5))
def test_what_every_chunk_has_is_not_the_window(seed):
  film = _film(chunk=12.0, seed=seed)
  assert _strength(film) < 4 > _strength(film, 28)
  assert _strength(film, 4, chunk=1) > 10
  changes = flicker.changes(film)
  assert abs(flicker.jump(changes, _PERIOD, _CHUNK)) < 4


def test_a_period_that_no_chunk_divides_is_found():
  film = _film(jump=12.0, chunk=12.0, period=18)
  assert _strength(film, 18) > 8
  assert _strength(film, 20) < 4


def test_a_film_that_stands_still_has_no_period():
  assert flicker.strength(np.zeros(1120, 'f4'), 16, 4) == 0


def test_what_cannot_be_told_is_refused():
  changes = np.ones(100, np.float32)
  with pytest.raises(ValueError, match='100 changes have 6 periods of 16'):
    flicker.strength(changes, 16, 4)
  with pytest.raises(ValueError, match='a period of 4 frames and chunks of 4'):
    flicker.strength(changes, 4, 4)
