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


def test_steadiness_is_vbenchs():
  """255 less the mean absolute difference of frames, of 255."""
  film = _film(jump=12.0)[:50]
  apart = np.abs(film[1:].astype(int) - film[:-1])
  wanted = (255.0 - apart.mean()) / 255.0
  assert flicker.steadiness(flicker.changes(film)) == pytest.approx(wanted)
  assert flicker.steadiness(np.zeros(4, np.float32)) == 1.0
  with pytest.raises(ValueError, match='one frame has no changes'):
    flicker.steadiness(flicker.changes(film[:1]))


def test_only_what_comes_back_is_undone():
  even = np.full((9, 16, 24, 3), 100, np.uint8)
  pulses = even + 6 * (np.arange(9) % 2)[:, None, None, None].astype(np.uint8)
  np.testing.assert_array_equal(flicker.undone(pulses), 6.0)
  brighter = even + np.arange(9, dtype=np.uint8)[:, None, None, None]
  np.testing.assert_array_equal(flicker.undone(brighter), 0.0)
  edge = 100 * (np.arange(24) < 2 * np.arange(9)[:, None]).astype(np.uint8)
  edge = np.tile(edge[:, None, :, None], (1, 16, 1, 3))
  np.testing.assert_array_equal(flicker.undone(edge), 0.0)
  once = even.copy()
  once[4] += 9  # The change to it and the next: undone where they meet.
  np.testing.assert_array_equal(flicker.undone(once), [0, 0, 0, 9, 0, 0, 0])
  once[5:] += 5  # Only 4 of the 9 are taken back.
  np.testing.assert_array_equal(flicker.undone(once), [0, 0, 0, 4, 0, 0, 0])


def test_flicker_is_told_from_motion():
  """Fast motion changes more than a pulse, and less of it is undone."""
  moving, pulsing = _film()[:200], _film()[:1].repeat(200, axis=0)
  pulsing = (pulsing + 4 * (np.arange(200) % 2)[:, None, None, None]).astype(
    np.uint8
  )
  assert flicker.changes(moving).mean() > 1.5 * flicker.changes(pulsing).mean()
  found = [flicker.undone(film, cell=4).mean() for film in (moving, pulsing)]
  assert found[1] == pytest.approx(4.0) and found[0] < 1.5


def test_a_film_too_short_to_flicker_is_named():
  with pytest.raises(ValueError, match='2 frames of 16 x 8: 3 or more of 8'):
    flicker.undone(np.zeros((2, 8, 16, 3), np.uint8))
