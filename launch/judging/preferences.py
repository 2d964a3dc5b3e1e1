"""How sure a preference is: intervals, a test, and how far judges agree.

Votes are counts [P, 3]: of pair p, how many judges chose the first set,
neither, and the second.
"""

import math
from typing import NamedTuple

from jaxtyping import Float, Int
import numpy as np
from scipy import stats

RESAMPLES = 10_000
_BATCH = 500  # resamples at once, to bound memory


class Interval(NamedTuple):
  """A figure and its 95 % interval."""

  value: float
  low: float
  high: float


class Preference(NamedTuple):
  """Shares of all answers, and the first set's lead.

  Attributes:
    win: share for the first set.
    tie: share for neither.
    loss: share for the second set.
    lead: win less loss.
  """

  win: Interval
  tie: Interval
  loss: Interval
  lead: Interval


class SignTest(NamedTuple):
  """Pairs won by the first set, by neither and by the second, and chance.

  Attributes:
    wins: pairs of which more judges chose the first set.
    ties: as many as the second.
    losses: fewer.
    p: two-sided, of so uneven a split where both are as good.
  """

  wins: int
  ties: int
  losses: int
  p: float


def preference(
  votes: Int[np.ndarray, 'P 3'], seed: int, resamples: int = RESAMPLES
) -> Preference:
  """Shares with percentile intervals of the bootstrap (Efron, 1979).

  A resample draws pairs with replacement, then of each pair drawn as many of
  its own answers, with replacement: what varies is which stories were shown and
  which judges looked. Where all agree on all pairs there is nothing to vary,
  and the interval is a point: see the number of pairs.

  Args:
    votes: of pairs that were answered at least once.
    seed: of the resamples.
    resamples: how many.
  """
  answers = votes.sum(1)
  rng = np.random.default_rng(seed)
  odds = votes / answers[:, None]
  parts = []
  for first in range(0, resamples, _BATCH):
    count = min(_BATCH, resamples - first)
    chosen = rng.integers(len(votes), size=(count, len(votes)))
    again = rng.multinomial(answers[chosen], odds[chosen]).sum(1)
    parts.append(_figures(again))
  values = _figures(votes.sum(0)[None])[0]
  low, high = np.percentile(np.concatenate(parts), (2.5, 97.5), axis=0)
  rows = np.stack([values, low, high], 1).tolist()
  return Preference(*(Interval(*row) for row in rows))


def sign_test(votes: Int[np.ndarray, 'P 3']) -> SignTest:
  """The exact sign test over pairs, which are what is independent."""
  lead = votes[:, 0] - votes[:, 2]
  wins, losses = int((lead > 0).sum()), int((lead < 0).sum())
  ties = len(votes) - wins - losses
  return SignTest(wins, ties, losses, even(wins, losses))


def even(one: int, other: int) -> float:
  """The chance of a split at least so uneven where both are as likely."""
  if not one + other:
    return 1.0
  return float(stats.binomtest(one, one + other).pvalue)


def agreement(votes: Int[np.ndarray, 'P K']) -> float:
  """Krippendorff's alpha of nominal values (Krippendorff, 2011).

  1: judges always agree; 0: as often as by chance. Not a number where no pair
  has two judges, or all answers are the same.

  Args:
    votes: of each pair, how many judges gave each of K answers.
  """
  count = votes.sum(1)
  votes, count = votes[count > 1].astype(np.float64), count[count > 1]
  totals = votes.sum(0)
  whole = totals.sum()
  apart = whole**2 - (totals**2).sum()  # pairs of answers that differ
  if not apart:
    return math.nan
  differ = (count**2 - (votes**2).sum(1)) / (count - 1)
  return float(1 - (whole - 1) * differ.sum() / apart)


def _figures(totals: Int[np.ndarray, 'R 3']) -> Float[np.ndarray, 'R 4']:
  """Win, tie, loss and lead of counts."""
  shares = totals / totals.sum(1, keepdims=True)
  return np.concatenate([shares, shares[:, :1] - shares[:, 2:]], 1)
