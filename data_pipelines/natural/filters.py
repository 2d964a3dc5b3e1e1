"""Which takes are worth learning from: scores of motion and of quality.

Scores are of the frames as the record has them, so that they judge what is
learned from. The paper filters for motion and quality and says no more; the
scores and their limits are choices, see DECISIONS.md.
"""

from collections.abc import Mapping
import dataclasses
import itertools
import math
from typing import NamedTuple

import cv2
import numpy as np

_WIDTH = 128  # pixels, of the pictures that motion is measured in
_EVERY = 4  # frames: one of them is judged for quality
_DARK = 24 / 255  # luma of a bar at most; video black is 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
  """What is kept; what is beyond a limit is dropped.

  Attributes:
    least_motion: picture widths/s that what is seen moves at least, on average;
      less is a still picture.
    most_motion: picture widths/s that it moves at most.
    most_shake: by how much the camera's speed may change from frame to frame,
      picture widths/s: more is a hand that trembles, or noise.
    least_sharpness: variance of the Laplacian of luma (0 to 255) at least.
    least_brightness: mean luma at least, 0 to 1.
    most_brightness: mean luma at most, 0 to 1.
    least_contrast: standard deviation of luma at least, 0 to 1.
    most_bars: share of the picture in dark bars along its borders at most.
    least_relevance: how well the scene must show what is asked for, 0 to 1, in
      the model's judgement.
  """

  least_motion: float = 0.01
  most_motion: float = 1.0
  most_shake: float = 0.2
  least_sharpness: float = 50.0
  least_brightness: float = 0.08
  most_brightness: float = 0.92
  least_contrast: float = 0.05
  most_bars: float = 0.04
  least_relevance: float = 0.5

  def bounds(self) -> tuple['Bound', ...]:
    """The limits, in the order in which they are looked at."""
    return (
      Bound('least', 'motion', self.least_motion, 'too still'),
      Bound('most', 'motion', self.most_motion, 'too fast'),
      Bound('most', 'shake', self.most_shake, 'too shaky'),
      Bound('least', 'brightness', self.least_brightness, 'too dark'),
      Bound('most', 'brightness', self.most_brightness, 'too bright'),
      Bound('least', 'contrast', self.least_contrast, 'flat'),
      Bound('most', 'bars', self.most_bars, 'black bars'),
      Bound('least', 'sharpness', self.least_sharpness, 'blurred'),
      Bound('least', 'relevance', self.least_relevance, 'shows something else'),
    )

  def check_limits(self):
    """ValueError names what is no number."""
    for side, score, limit, _ in self.bounds():
      if not math.isfinite(limit):
        raise ValueError(f'{side}_{score} is {limit}, not a number')


class Bound(NamedTuple):
  """A limit.

  Attributes:
    side: 'least' or 'most'.
    score: that it is of.
    limit: the value.
    fault: what is wrong with what is beyond it.
  """

  side: str
  score: str
  limit: float
  fault: str


class Scores(NamedTuple):
  """What is measured of a take.

  Attributes:
    motion: how fast what is seen moves, picture widths/s, on average over
      pixels and frames.
    shake: by how much the camera's speed changes from frame to frame, picture
      widths/s, on average. The camera's speed is the median of all pixels'.
    sharpness: variance of the Laplacian of luma (0 to 255), of the median
      frame.
    brightness: mean luma, 0 to 1, of the median frame.
    contrast: standard deviation of luma, 0 to 1, of the median frame.
    bars: share of the picture in dark bars along its borders, in all frames.
  """

  motion: float
  shake: float
  sharpness: float
  brightness: float
  contrast: float
  bars: float


def scores_of(frames: np.ndarray, rate: float) -> dict[str, float]:
  """The `Scores` of two frames or more, by name, rounded.

  Args:
    frames: uint8 [T, Y, X, 3].
    rate: frames/s.
  """
  luma = np.stack([cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in frames])
  motion, shake = _motion(luma, rate)
  judged = luma[::_EVERY]
  sharpness = [cv2.Laplacian(x, cv2.CV_32F).var() for x in judged]
  scores = Scores(
    motion=motion,
    shake=shake,
    sharpness=np.median(sharpness),
    brightness=np.median(judged.mean((1, 2))) / 255,
    contrast=np.median(judged.std((1, 2))) / 255,
    bars=_bars(judged.max(0) / 255),
  )
  return {
    name: round(float(score), 4) for name, score in scores._asdict().items()
  }


def fault_of(
  scores: Mapping[str, float], limits: Limits
) -> tuple[str, str] | None:
  """What is wrong, and its score beside the limit; None if nothing is.

  Args:
    scores: by name; those that are not there are not judged.
    limits: what is kept.
  """
  for side, score, limit, fault in limits.bounds():
    if score not in scores:
      continue
    found = scores[score]
    if found < limit if side == 'least' else found > limit:
      return fault, f'{score} is {found:g}, at {side} {limit:g} is wanted'
  return None


def _motion(luma: np.ndarray, rate: float) -> tuple[float, float]:
  """Motion and shake by dense optical flow between consecutive frames."""
  height = max(1, round(_WIDTH * luma.shape[1] / luma.shape[2]))
  small = [
    cv2.resize(x, (_WIDTH, height), interpolation=cv2.INTER_AREA) for x in luma
  ]
  flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
  speeds, cameras = [], []
  for before, after in itertools.pairwise(small):
    field = flow.calc(before, after, None).reshape(-1, 2)
    speeds.append(np.linalg.norm(field, axis=1).mean())
    cameras.append(np.median(field, axis=0))
  turns = np.linalg.norm(np.diff(cameras, axis=0), axis=1)
  scale = rate / _WIDTH
  return np.mean(speeds) * scale, turns.mean() * scale if len(turns) else 0.0


def _bars(brightest: np.ndarray) -> float:
  """Share of a picture outside the rows and columns that are ever lit.

  Args:
    brightest: [Y, X], the most luma that a pixel has in any frame, 0 to 1.
  """
  lit = brightest > _DARK
  rows, columns = np.flatnonzero(lit.any(1)), np.flatnonzero(lit.any(0))
  if not len(rows):
    return 1.0
  kept = (rows[-1] + 1 - rows[0]) * (columns[-1] + 1 - columns[0])
  return 1 - kept / brightest.size
