"""How sure a count is: a share of trials with its 95 % interval.

Who counts may err, too. Where it is known how often, from counts on what is
known, `corrected` says what share there is in truth.
"""

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

  @property
  def missed(self) -> 'Count':
    """The trials that were no hits."""
    return Count(self.trials - self.hits, self.trials)

  def __str__(self) -> str:
    if not self.trials:
      return 'none'
    low, high = self.interval
    return (
      f'{self.hits}/{self.trials} = {self.share:.0%} [{low:.0%}, {high:.0%}]'
    )


class Corrected(NamedTuple):
  """A share without what its reader gets wrong, and its 95 % interval.

  Attributes:
    share: in [0, 1]; not a number where the reader tells nothing.
    low: of the interval, in [0, 1].
    high: likewise.
  """

  share: float
  low: float
  high: float


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


def corrected(read: Count, sensitivity: Count, specificity: Count) -> Corrected:
  """The share that is there, by what an erring reader has read.

  With `p` read, `s` of what is there and `n` of what is not read rightly, it
  is `(p + n - 1) / (s + n - 1)` (Rogan & Gladen, 1978). The interval minds that
  `s` and `n` are counts, too (Lang & Reiczigel, 2014): in simulations of 20 to
  240 trials, by readers right in 70 to 98 %, as tested on 20 to 200, it held
  the truth in 94.7 to 100 %.

  It is true as far as the reader errs on these trials as it did where it was
  tested. Of a reader no better than chance, or never tested, nothing is known:
  (nan, 0, 1).

  Args:
    read: trials read as hits.
    sensitivity: of trials known to be hits, those read as hits.
    specificity: of trials known to be none, those read as none.
  """
  counts = (read, sensitivity, specificity)
  nothing = Corrected(math.nan, 0.0, 1.0)
  if not all(count.trials for count in counts):
    return nothing
  known = sensitivity.share + specificity.share - 1
  # As after one more hit and one more miss each, and of `read` two or so.
  (p, trials), (s, hits), (n, others) = (
    ((count.hits + more / 2) / (count.trials + more), count.trials + more)
    for count, more in zip(counts, (_Z**2, 2, 2), strict=True)
  )
  if known <= 0 or s + n <= 1:
    return nothing
  centre = (p + n - 1) / (s + n - 1)
  of_hits, of_others = s * (1 - s) / hits, n * (1 - n) / others
  spread = p * (1 - p) / trials
  spread += centre**2 * of_hits + (1 - centre) ** 2 * of_others
  half = _Z * math.sqrt(spread) / (s + n - 1)
  centre += 2 * _Z**2 * (centre * of_hits - (1 - centre) * of_others)
  share = (read.share + specificity.share - 1) / known
  ends = (share, centre - half, centre + half)
  return Corrected(*(min(1.0, max(0.0, each)) for each in ends))
