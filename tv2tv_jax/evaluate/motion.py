"""Which way a picture turned, read off the picture alone.

The scene above the weapon moves sideways when the player turns: to the right
in a left turn, to the left in a right turn. A shift is the displacement that
best lays one frame over the next. No model is involved, so it is a witness
that owes nothing to training (choice, see DECISIONS.md).
"""

from jaxtyping import Float, UInt8
import numpy as np

# Rows of the picture that show scene rather than weapon and floor.
_SCENE = 0.62
# A displacement must save this share of the picture's contrast per pixel of
# displacement: where nothing tells displacements apart, the smallest wins.
_TIE = 0.003
# The same in gray levels, for a picture without any contrast.
_BLANK = 1e-3


def shifts(
  frames: UInt8[np.ndarray, 'B T Y X C'], reach: int = 8
) -> Float[np.ndarray, 'B S']:
  """Pixels by which the scene moved right in each step from frame to frame.

  Args:
    frames: films of `T` frames; there are `S = T - 1` steps.
    reach: the largest displacement looked for, in pixels.

  Returns:
    Displacements between whole pixels are read off the parabola through the
    costs beside the least one.

  Raises:
    ValueError: frames too narrow for the reach, or fewer than two.
  """
  count, width = frames.shape[1], frames.shape[3]
  if count < 2 or width < 3 * reach:
    raise ValueError(
      f'{count} frames of width {width}: motion within {reach} pixels needs '
      f'2 frames or more of width {3 * reach} or more'
    )
  rows = int(frames.shape[2] * _SCENE)
  scene = frames[:, :, :rows].astype(np.float32).mean(axis=-1)
  before, after = scene[:, :-1], scene[:, 1:]
  costs = np.stack(
    [_difference(before, after, shift) for shift in range(-reach, reach + 1)]
  )
  contrast = scene.std(axis=(2, 3))[:, :-1]
  distance = np.abs(np.arange(-reach, reach + 1))[:, None, None]
  return _least(costs + (_TIE * contrast + _BLANK) * distance) - reach


def _difference(
  before: Float[np.ndarray, 'B S Y X'],
  after: Float[np.ndarray, 'B S Y X'],
  shift: int,
) -> Float[np.ndarray, 'B S']:
  """Mean absolute difference where `before`, moved right, covers `after`."""
  width = before.shape[-1]
  left, right = max(0, -shift), max(0, shift)
  moved = before[..., left : width - right]
  return np.abs(moved - after[..., right : width - left]).mean(axis=(2, 3))


def _least(
  costs: Float[np.ndarray, 'K B S'],
) -> Float[np.ndarray, 'B S']:
  """Place of the least cost along the first axis, between whole places."""
  place = costs.argmin(axis=0)
  inner = np.clip(place, 1, len(costs) - 2)
  low, mid, high = (
    np.take_along_axis(costs, (inner + step)[None], axis=0)[0]
    for step in (-1, 0, 1)
  )
  bend = low - 2 * mid + high
  offset = np.where(bend > 0, 0.5 * (low - high) / np.maximum(bend, 1e-6), 0.0)
  offset = np.clip(offset, -0.5, 0.5)
  return np.where(inner == place, place + offset, place).astype(np.float32)
