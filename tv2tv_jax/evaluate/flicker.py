"""Whether a film flickers, or jumps at intervals, read off its frames alone.

Motion changes pictures, too. What flickers comes back: `undone` counts only
that part of a change which the next one takes back.

A jump every `period` frames is a train of pulses in how much changes from
frame to frame: in its spectrum a line at `1 / period` and at each multiple of
it, equally high. Motion that comes and goes has no such lines.
"""

import itertools

from jaxtyping import Float, Shaped
import numpy as np

_LEAST = 8  # periods that a film must have
_WIDTH = 2  # places of a spectrum over which a line may spread


def changes(
  frames: Shaped[np.ndarray, 'T Y X C'],
) -> Float[np.ndarray, 'S']:
  """Mean absolute difference of each frame to the one before it."""
  found = [
    np.abs(np.subtract(after, before, dtype='f4')).mean()
    for before, after in itertools.pairwise(frames)
  ]
  return np.array(found, np.float32)


def steadiness(changes: Float[np.ndarray, 'S']) -> float:
  """What VBench calls temporal flickering: (255 - mean change) / 255.

  1 of a film that stands still. Motion lowers it as flicker does, which is why
  VBench asks it of still scenes alone (Huang et al., 2024).

  Args:
    changes: from frame to frame, in gray levels of 255, of all three colours.

  Raises:
    ValueError: no changes.
  """
  if not len(changes):
    raise ValueError('a film of one frame has no changes')
  return float((255.0 - changes.mean(dtype='f8')) / 255.0)


def undone(
  frames: Shaped[np.ndarray, 'T Y X C'], cell: int = 8
) -> Float[np.ndarray, 'R']:
  """How much of each change the next one takes back, `R = T - 2`.

  The mean over squares and colours of `min(|a|, |b|)` where the change `a` to a
  frame and the change `b` to the next have opposite signs, and of 0 elsewhere.
  A film that is brighter by `a` in every other frame has `a`; one that grows
  brighter, or an edge that passes, has 0. (Choice, see DECISIONS.md.)

  Args:
    frames: of a film.
    cell: pixels, beside and below one another, of the squares whose means are
      looked at: what moves within one is texture and does not count. What is
      over on the right and below is left out.

  Raises:
    ValueError: fewer than three frames, or frames smaller than a cell.
  """
  count, rows, columns, colours = frames.shape
  if count < 3 or min(rows, columns) < cell or cell < 1:
    raise ValueError(
      f'{count} frames of {columns} x {rows}: 3 or more of {cell} x {cell} or '
      'more pixels are needed'
    )
  rows, columns = rows // cell, columns // cell
  even = frames[:, : rows * cell, : columns * cell]
  cells = even.reshape(count, rows, cell, columns, cell, colours)
  steps = np.diff(cells.mean(axis=(2, 4), dtype='f8'), axis=0)
  a, b = steps[:-1], steps[1:]
  back = np.where(a * b < 0, np.minimum(np.abs(a), np.abs(b)), 0.0)
  return back.mean(axis=(1, 2, 3))


def spectrum(changes: Float[np.ndarray, 'S']) -> Float[np.ndarray, 'F']:
  """Power of changes at 0, 1 / S, 2 / S, ... a frame, in a Hann window."""
  varying = changes - changes.mean()
  return np.abs(np.fft.rfft(varying * np.hanning(len(varying) + 1)[:-1])) ** 2


def strength(
  changes: Float[np.ndarray, 'S'], period: int, chunk: int = 1
) -> float:
  """How far the lines of a period stand out of the spectrum beside them.

  Each line is compared with the median of what lies around it, up to half-way
  to the next one; this is their mean. Of noise it is about 1.4, and 4 is far
  off; of jumps it grows with the film and with the square of their height.

  Args:
    changes: from frame to frame; what is over whole periods is left out.
    period: of the jumps, frames.
    chunk: frames that are decoded together. Its own lines, which come from the
      decoder, are not counted.

  Raises:
    ValueError: a film of too few periods, a period of no lines but the chunk's.
  """
  count = len(changes) // period
  if count < _LEAST:
    raise ValueError(
      f'{len(changes)} changes have {count} periods of {period} frames: '
      f'{_LEAST} or more show whether there is one'
    )
  lines = [n for n in range(1, period // 2 + 1) if n * chunk % period]
  if not lines:
    raise ValueError(f'a period of {period} frames and chunks of {chunk}')
  power = spectrum(changes[-count * period :])
  every = np.arange(len(power))
  apart = np.ones(len(power), bool)
  for place in (count, count * period / chunk):  # Of its lines, the chunk's.
    apart &= np.abs(every - place * np.round(every / place)) > _WIDTH
  ratios = []
  for line in lines:
    around = apart & (np.abs(every - count * line) <= count // 2)
    floor = np.median(power[around]) if around.any() else 0.0
    ratios.append(power[count * line] / max(floor, np.finfo('f4').tiny))
  return float(np.mean(ratios))


def jump(
  changes: Float[np.ndarray, 'S'], period: int, chunk: int, first: int = 0
) -> float:
  """How much more changes at the jumps than where other chunks begin.

  In errors of the mean: within 3 of zero there is nothing to see.

  Args:
    changes: from frame to frame.
    period: of the jumps, frames.
    chunk: frames that are decoded together; divides the period.
    first: a change at which there is a jump.
  """
  place = np.arange(len(changes))
  begins = (place >= first) & ((place - first) % chunk == 0)
  jumps = begins & ((place - first) % period == 0)
  here, there = changes[jumps], changes[begins & ~jumps]
  error = np.hypot(
    here.std(ddof=1) / len(here) ** 0.5, there.std(ddof=1) / len(there) ** 0.5
  )
  return float((here.mean() - there.mean()) / max(error, 1e-12))
