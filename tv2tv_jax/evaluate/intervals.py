"""How sure a count is: a share of trials with its 95 % interval."""

import math
from typing import NamedTuple

import numpy as np

_Z = 1.959963984540054  # 97.5 % point of the standard normal.


class Count(NamedTuple):
  """So many hits in so many trials."""

  hits: int
  trials: int

  @property
  def share(self) -> float:
    """Hits per trial; not a number where nothing was tried."""
    return self.hits / self.trials if self.trials else math.nan

  @property
  def interval(self) -> tuple[float, float]:
    """95 % interval of the share."""
    return wilson(self.hits, self.trials)

  def __str__(self) -> str:
    if not self.trials:
      return 'none'
    low, high = self.interval
    return (
      f'{self.hits}/{self.trials} = {self.share:.0%} [{low:.0%}, {high:.0%}]'
    )


def counted(hits: np.ndarray) -> Count:
  """The count of an array of booleans."""
  return Count(int(np.sum(hits)), int(np.size(hits)))


def wilson(hits: int, trials: int) -> tuple[float, float]:
  """Wilson's 95 % interval of a share (Wilson, 1927).

  Unlike the normal one it stays inside [0, 1] and is honest at 0 and at all.
  No trials tell nothing: (0, 1).

  Raises:
    ValueError: more hits than trials, or fewer than none.
  """
  if not 0 <= hits <= trials:
    raise ValueError(f'{hits} hits in {trials} trials')
  if not trials:
    return 0.0, 1.0
  share, square = hits / trials, _Z**2
  centre = (share + square / (2 * trials)) / (1 + square / trials)
  spread = share * (1 - share) / trials + square / (4 * trials**2)
  half = _Z / (1 + square / trials) * math.sqrt(spread)
  return max(0.0, centre - half), min(1.0, centre + half)
