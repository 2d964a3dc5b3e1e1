"""Trials of all models together: who obeys, and by how much more.

A trial is one instruction in one story (`launch/evaluation/told`). Shares have
Wilson's intervals, which take trials for independent. Those that share a start
are not quite: so differences have bootstrap intervals that draw whole starts,
with all that was told from them.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tv2tv_jax.evaluate import intervals

Trial = Mapping[str, Any]
_DRAWS = 10_000
_SEED = 0


class Difference(NamedTuple):
  """How much larger a share is, with its 95 % interval."""

  value: float
  low: float
  high: float


def count(trials: Sequence[Trial]) -> intervals.Count:
  """How many obeyed."""
  return intervals.Count(sum(t['obeyed'] for t in trials), len(trials))


def untold(trials: Sequence[Trial]) -> intervals.Count:
  """How many twins, told nothing, did the same: the base rate."""
  twins = [t['twin'] for t in trials if t['twin']]
  return intervals.Count(sum(twin['obeyed'] for twin in twins), len(twins))


def grouped(
  trials: Sequence[Trial], key: Callable[[Trial], Hashable]
) -> dict[Any, list[Trial]]:
  """Trials by what `key` says of each, in the order of these answers."""
  found: dict[Any, list[Trial]] = {}
  for trial in trials:
    found.setdefault(key(trial), []).append(trial)
  return dict(sorted(found.items()))


def difference(one: Sequence[Trial], other: Sequence[Trial]) -> Difference:
  """The share that obeyed in `one` less that in `other`, start by start.

  Starts are drawn again with replacement, the same ones for both.

  Raises:
    ValueError: no trials.
  """
  draws = _draws(one, other)
  return _interval(_share(one) - _share(other), draws)


def growth(
  long: tuple[Sequence[Trial], Sequence[Trial]],
  short: tuple[Sequence[Trial], Sequence[Trial]],
) -> Difference:
  """How much larger the difference is in long stories than in short ones."""
  value = (_share(long[0]) - _share(long[1])) - (
    _share(short[0]) - _share(short[1])
  )
  return _interval(value, _draws(*long, seed=1) - _draws(*short))


def _share(trials: Sequence[Trial]) -> float:
  if not trials:
    raise ValueError('no trials to compare')
  return count(trials).share


def _draws(
  one: Sequence[Trial], other: Sequence[Trial], seed: int = _SEED
) -> np.ndarray:
  """Differences of shares of drawn starts."""
  starts = sorted({trial['start'] for trial in (*one, *other)})
  hits, trials = np.zeros((2, 2, len(starts)))
  for side, some in enumerate((one, other)):
    for trial in some:
      place = starts.index(trial['start'])
      hits[side, place] += trial['obeyed']
      trials[side, place] += 1
  rng = np.random.default_rng(seed)
  drawn = rng.integers(len(starts), size=(_DRAWS, len(starts)))
  total = trials[:, drawn].sum(axis=2)
  shares = hits[:, drawn].sum(axis=2) / np.maximum(total, 1)
  return shares[0] - shares[1]


def _interval(value: float, draws: np.ndarray) -> Difference:
  low, high = np.quantile(draws, (0.025, 0.975))
  return Difference(value, float(low), float(high))
