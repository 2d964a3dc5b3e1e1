"""What a film becomes with time, read off its frames alone.

A model films on its own frames, and what it gets a little wrong adds up: films
grow dark, pale or soft, or freeze. Each frame has a few figures; a film has
their curve over time and their slope. Real film of the same world is the
measure: it has slopes, too, but none that all takes share.
"""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float, Int, UInt8
import numpy as np

from tv2tv_jax.evaluate import motion

STATISTICS = ('brightness', 'contrast', 'sharpness', 'saturation', 'change')
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # ITU-R BT.709
_ROUNDING = 1e-9  # of frames: a rate such as 30000 / 1001 has no exact bins


class Curve(NamedTuple):
  """Means over films at each of N times.

  Attributes:
    count: films that are so long.
    mean: over these.
    error: standard error of the mean; not a number where there is one film.
  """

  count: Int[np.ndarray, 'N']
  mean: Float[np.ndarray, 'N']
  error: Float[np.ndarray, 'N']


def statistics(
  frames: UInt8[np.ndarray, 'T Y X 3'],
) -> dict[str, Float[np.ndarray, 'T']]:
  """The figures of each frame, in gray levels of 255.

  | of `STATISTICS` | is |
  |---|---|
  | brightness | the mean over pixels of their luma (BT.709) |
  | contrast | the standard deviation of luma over pixels |
  | sharpness | the mean absolute difference in luma of adjacent pixels |
  | saturation | the mean over pixels of the strongest colour less the weakest |
  | change | the mean absolute difference in luma to the frame before |

  Half the contrast is also half the sharpness. Of the first frame, change is
  that of the second.

  Raises:
    ValueError: fewer than two frames, or frames of fewer than 2 x 2 pixels.
  """
  count, rows, columns, _ = frames.shape
  if min(count, rows, columns) < 2:
    raise ValueError(
      f'{count} frames of {columns} x {rows}: 2 frames of 2 x 2 or more are '
      'needed'
    )
  found, before = [], None
  for frame in frames:
    luma = frame.astype(np.float32) @ _LUMA
    beside, below = np.diff(luma, axis=1), np.diff(luma, axis=0)
    steps = np.abs(beside).sum(dtype='f8') + np.abs(below).sum(dtype='f8')
    found.append(
      (
        luma.mean(dtype='f8'),
        luma.std(dtype='f8'),
        steps / (beside.size + below.size),
        (frame.max(axis=-1) - frame.min(axis=-1)).mean(dtype='f8'),
        np.nan if before is None else np.abs(luma - before).mean(dtype='f8'),
      )
    )
    before = luma
  columns = np.array(found).T
  columns[-1, 0] = columns[-1, 1]
  return dict(zip(STATISTICS, columns, strict=True))


def travel(
  frames: UInt8[np.ndarray, 'T Y X 3'],
) -> Float[np.ndarray, 'T']:
  """Pixels by which the scene has moved right since the first frame.

  Raises:
    ValueError: what `motion.shifts` does not take.
  """
  steps = motion.shifts(frames[None])[0].astype(np.float64)
  return np.concatenate([np.zeros(1), np.cumsum(steps)])


def binned(
  values: Float[np.ndarray, 'T'], rate: float, seconds: float
) -> Float[np.ndarray, 'N']:
  """Means over so many seconds of film each; what is over is left out.

  Args:
    values: of each frame; frame `t` is seen from `t / rate` on.
    rate: frames a second.
    seconds: of a bin, a frame or more.

  Raises:
    ValueError: a film shorter than a bin, a bin shorter than a frame, or a rate
      that is not positive.
  """
  if not (rate > 0 and rate * seconds >= 1 - _ROUNDING):
    raise ValueError(f'{seconds} s at {rate} frames/s are less than a frame')
  if not (count := bins(len(values), rate, seconds)):
    raise ValueError(
      f'{len(values)} frames at {rate} frames/s are shorter than {seconds} s'
    )
  at = np.floor(np.arange(len(values)) / (rate * seconds) + _ROUNDING)
  return np.array([values[at == place].mean() for place in range(count)])


def bins(frames: int, rate: float, seconds: float) -> int:
  """How many whole bins of so many seconds a film of some frames has."""
  return int(frames / (rate * seconds) + _ROUNDING)


def slope(values: Float[np.ndarray, 'T'], rate: float) -> float:
  """How fast a figure grows, per minute: the slope of least squares.

  Args:
    values: of each frame.
    rate: frames a second.

  Raises:
    ValueError: fewer than two frames.
  """
  if len(values) < 2:
    raise ValueError(f'{len(values)} frames have no slope: 2 or more have')
  minutes = np.arange(len(values)) / (60.0 * rate)
  minutes -= minutes.mean()
  return float(minutes @ (values - values.mean()) / (minutes @ minutes))


def averaged(curves: Sequence[Float[np.ndarray, '_']]) -> Curve:
  """The mean over films at each time, of those that are so long.

  In the order given, so that one order gives one result, to the bit.

  Raises:
    ValueError: no curves.
  """
  if not curves:
    raise ValueError('no curves to average')
  longest = max(map(len, curves))
  count, mean, error = [], [], []
  for place in range(longest):
    values = np.array([each[place] for each in curves if len(each) > place])
    count.append(len(values))
    mean.append(values.mean())
    several = len(values) > 1
    error.append(values.std(ddof=1) / len(values) ** 0.5 if several else np.nan)
  return Curve(np.array(count, int), np.array(mean), np.array(error))
