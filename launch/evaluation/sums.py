"""Likeness of frames to their originals, summed up over clips and processes."""

import jax
from jax.experimental import multihost_utils
from jaxtyping import UInt8
import numpy as np

from tv2tv_jax.evaluate import pictures

FIGURES = {
  'psnr': pictures.psnr,
  'ssim': pictures.ssim,
  'ms_ssim': pictures.ms_ssim,
}

Frames = UInt8[np.ndarray, 'B T Y X 3']


class Sums:
  """Figures of frames, summed up at each place of a clip."""

  def __init__(self, chunks: int, step: int):
    self._totals = np.zeros((chunks, step, len(FIGURES)))
    self._counts = np.zeros((chunks, step))

  def add(self, chunk: int, frames: Frames, originals: Frames) -> None:
    """A chunk of some clips, and what it should be."""
    if len(frames):
      for place, figure in enumerate(FIGURES.values()):
        found = figure(frames, originals)
        self._totals[chunk, :, place] += found.sum(axis=0, dtype=np.float64)
      self._counts[chunk] += len(frames)

  def gather(self) -> None:
    """Takes in what all other processes have added."""
    if jax.process_count() > 1:
      gather = multihost_utils.process_allgather
      self._totals = gather(self._totals).sum(axis=0)
      self._counts = gather(self._counts).sum(axis=0)

  def means(self, prefix: str = '') -> dict[str, float]:
    """Over all frames; nothing where there are none."""
    count = self._counts.sum()
    if not count:
      return {}
    means = (self._totals.sum(axis=(0, 1)) / count).tolist()
    return {
      f'{prefix}{name}': m for name, m in zip(FIGURES, means, strict=True)
    }

  def curves(self, prefix: str = '') -> dict[str, list[float | None]]:
    """At each place of a clip from the first filmed chunk on."""
    counts = self._counts[1:].reshape(-1)
    if not counts.any():
      return {}
    means = self._totals[1:].reshape(len(counts), -1).T / np.maximum(counts, 1)
    return {
      f'{prefix}{name}': [
        value if count else None
        for value, count in zip(curve, counts, strict=True)
      ]
      for name, curve in zip(FIGURES, means.tolist(), strict=True)
    }
