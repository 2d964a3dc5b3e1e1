"""Moving pictures of which the truth is known."""

import cv2
import numpy as np


def texture(seed: int, height: int, width: int) -> np.ndarray:
  """Soft spots of all colours, uint8 [Y, X, 3]."""
  rng = np.random.default_rng(seed)
  spots = rng.uniform(0, 255, (height // 24 + 2, width // 24 + 2, 3))
  large = cv2.resize(spots, (width, height), interpolation=cv2.INTER_CUBIC)
  return large.clip(0, 255).astype(np.uint8)


def pan(
  seed: int, count: int, step: float, height: int = 48, width: int = 64
) -> np.ndarray:
  """A camera that turns by `step` pixels a frame, uint8 [T, Y, X, 3]."""
  wide = texture(seed, height, width + int(count * step) + 1)
  starts = [int(index * step) for index in range(count)]
  return np.stack([wide[:, start : start + width] for start in starts])
