"""The sign and size of sideways motion."""

import numpy as np
import pytest

from tv2tv_jax.evaluate import motion
from tv2tv_jax.evaluate import obedience


def _wall(seed: int = 0, width: int = 400) -> np.ndarray:
  """A wide wall of smooth, random texture, float [48, width, 3]."""
  noise = np.random.default_rng(seed).normal(size=(48, width, 3))
  for axis in (0, 1):
    for _ in range(4):
      noise = (
        np.roll(noise, 1, axis) + 2 * noise + np.roll(noise, -1, axis)
      ) / 4
  return 128 + 300 * noise


def _film(step: float, frames: int = 9, seed: int = 0) -> np.ndarray:
  """The wall seen through a window that moves left by `step` a frame."""
  wall, columns = _wall(seed), np.arange(64)
  views = []
  for number in range(frames):
    at = 150 + columns - step * number
    low = np.floor(at).astype(int)
    share = (at - low)[None, :, None]
    views.append((1 - share) * wall[:, low] + share * wall[:, low + 1])
  return np.clip(np.stack(views), 0, 255).astype(np.uint8)


@pytest.mark.parametrize('step', [-5.0, -2.5, -0.6, 0.0, 0.4, 1.5, 3.0])
def test_the_shift_is_found_between_pixels(step):
  """Scene to the right is positive: what a left turn shows."""
  shifts = motion.shifts(_film(step)[None])
  np.testing.assert_allclose(shifts[0], step, atol=0.35)
  assert abs(shifts.mean() - step) < 0.25


def test_films_are_judged_one_by_one():
  films = np.stack([_film(2.0), _film(-2.0, seed=1), _film(0.0, seed=2)])
  travel = obedience.travelled(films)
  assert list(obedience.turned(travel)) == [1, -1, 0]
  np.testing.assert_allclose(travel[1], obedience.travelled(films[1:2])[0])


def test_a_blank_wall_stands_still():
  blank = np.full((1, 5, 48, 64, 3), 90, np.uint8)
  np.testing.assert_array_equal(motion.shifts(blank), 0)


def test_the_weapon_does_not_count():
  """Only the lower third moves: the scene stands still."""
  film = np.broadcast_to(_film(0.0)[:1], (9, 48, 64, 3)).copy()
  film[:, 32:] = _film(3.0)[:, 32:]
  np.testing.assert_allclose(motion.shifts(film[None]), 0, atol=0.1)


def test_films_too_small_to_move_in_are_named():
  with pytest.raises(ValueError, match='1 frames of width 64'):
    motion.shifts(np.zeros((1, 1, 48, 64, 3), np.uint8))
  with pytest.raises(ValueError, match='width 16'):
    motion.shifts(np.zeros((1, 3, 48, 16, 3), np.uint8))
