"""How far one set of films is from another, by a net's features of both.

The features of either set are taken for a normal distribution, and the squared
distance of Fréchet (Dowson & Landau, 1982) is between the two:

  d = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)).

It has a bias: few samples look as if they had fewer directions than the world,
and d is too large, by a constant over their number. Between two sets of N
samples of one normal distribution of variance 1 in each of D features d is
about 0.55 D^2 / N where it should be zero (measured, D = 64, N from D to 32 D).
So d is compared only between sets of one number of samples, against the same
real film, and beside what two sets of real film have, which no model betters.
Which of two models is nearer is asked of `difference`: the bias of both is the
same, and goes.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jaxtyping import Float
import numpy as np

_ENDS = (2.5, 97.5)  # percent of draws below an interval's ends
# Samples per feature from which an interval held the distance; see `interval`.
_NEEDED = 6


class Moments(NamedTuple):
  """What is known of some samples, float64; parts add up to the whole.

  Attributes:
    count: of samples.
    mean: of their features, [D].
    scatter: sum over samples of the outer products of what each deviates from
      the mean, [D, D].
  """

  count: int
  mean: Float[np.ndarray, 'D']
  scatter: Float[np.ndarray, 'D D']


class Estimate(NamedTuple):
  """A distance, or a difference of two, less its bias; its 95 % interval.

  Of few samples all three may lie far below the distance itself, by the bias.

  Attributes:
    low: of the interval.
    high: likewise.
    corrected: less the bias that the draws show.
  """

  low: float
  high: float
  corrected: float


def moments(features: Float[np.ndarray, 'N D']) -> Moments:
  """The moments of samples, a row each.

  Raises:
    ValueError: a feature that is no number.
  """
  wrong = np.argwhere(~np.isfinite(features))
  if len(wrong):
    row, column = wrong[0]
    raise ValueError(
      f'feature {column} of sample {row} is {features[row, column]}; '
      f'{len(wrong)} of {features.size} are no finite numbers'
    )
  features = features.astype(np.float64)
  if not len(features):
    width = features.shape[1]
    return Moments(0, np.zeros(width), np.zeros((width, width)))
  mean = features.mean(axis=0)
  apart = features - mean
  return Moments(len(features), mean, apart.T @ apart)


def merged(parts: Iterable[Moments]) -> Moments:
  """The moments of all samples of the parts (Chan et al., 1979).

  In the order given, so that one order gives one result, to the bit.

  Raises:
    ValueError: no parts, or parts of different widths.
  """
  whole = None
  for part in parts:
    whole = part if whole is None else _joined(whole, part)
  if whole is None:
    raise ValueError('no moments to merge')
  return whole


def _joined(one: Moments, other: Moments) -> Moments:
  """The moments of two sets of samples together."""
  _check_widths(one, other)
  count = one.count + other.count
  if not count:
    return one
  apart = other.mean - one.mean
  mean = one.mean + apart * (other.count / count)
  between = np.outer(apart, apart) * (one.count * other.count / count)
  return Moments(count, mean, one.scatter + other.scatter + between)


def distance(one: Moments, other: Moments) -> float:
  """The squared Fréchet distance of two sets, from unbiased covariances.

  With `C = F F^T`, the trace of `(C1 C2)^(1/2)` is the sum of the singular
  values of `F1^T F2`: of symmetric matrices alone, and with no root of what
  rounding left of zero.

  Raises:
    ValueError: sets of different widths, or of fewer than two samples.
  """
  _check_widths(one, other)
  for each in (one, other):
    if each.count < 2:
      raise ValueError(
        f'{each.count} samples have no covariance: 2 or more are needed'
      )
  cross = _factor(one).T @ _factor(other)
  roots = np.linalg.svd(cross, compute_uv=False).sum()
  spread = sum(
    np.trace(each.scatter) / (each.count - 1) for each in (one, other)
  )
  apart = np.square(one.mean - other.mean).sum()
  return float(max(0.0, apart + spread - 2 * roots))


def interval(
  groups: Sequence[Float[np.ndarray, '_ D']],
  others: Sequence[Float[np.ndarray, '_ D']],
  draws: int = 200,
  seed: int = 0,
) -> Estimate:
  """What the distance of two sets would be in the world, and how surely.

  Samples of one story resemble one another, so whole stories are drawn, with
  replacement, as many as there are. A draw has the bias once more than the
  sets have, so that the interval is the draws' mirrored in the distance of the
  sets (basic bootstrap; Davison & Hinkley, 1997, 5.2). In simulations of 20 or
  60 stories of 4 samples of 8 features it held the true distance in 90 to
  100 %; the draws' own interval, which has the bias twice, in 0 to 63 %.

  The bias of few samples is larger than draws show: of 64 features the interval
  held the distance in 29 of 32 simulations of 384 samples, in 22 of 128, and in
  12 of 32. `needed` says how many are wanted.

  Args:
    groups: the features of each story, a row for each sample.
    others: likewise, of what they are compared with.
    draws: how often stories are drawn.
    seed: of the draws.

  Returns:
    None of it below zero.

  Raises:
    ValueError: fewer than two stories or no draws, a story of no samples, and
      what `distance` and `moments` do not take.
  """
  _check_groups(groups, others, draws=draws)
  rng = np.random.default_rng(seed)
  found = [
    _between(_drawn(groups, rng), _drawn(others, rng)) for _ in range(draws)
  ]
  estimate = _mirrored(_between(groups, others), found)
  return Estimate(*(max(0.0, each) for each in estimate))


def needed(width: int) -> int:
  """Samples on either side from which an interval can be believed."""
  return _NEEDED * width


def difference(
  groups: Sequence[Float[np.ndarray, '_ D']],
  others: Sequence[Float[np.ndarray, '_ D']],
  real: Sequence[Float[np.ndarray, '_ D']],
  draws: int = 200,
  seed: int = 0,
) -> Estimate:
  """How much farther from real film one set is than another, and how surely.

  As `interval`, the same real film drawn for both. In simulations of 8 to 96
  stories of 4 samples of 64 features it held the true difference in 95 % of
  240, also where a distance itself was mostly bias.

  Args:
    groups: the features of each story of the one set.
    others: of the other; as many samples, or the bias stays.
    real: of real film.
    draws: how often stories are drawn.
    seed: of the draws.

  Returns:
    Above zero where the one set is farther away.

  Raises:
    ValueError: as `interval`.
  """
  return _mirrored(*_differences((groups, others, real), draws, seed))


def growth(
  late: Sequence[Sequence[Float[np.ndarray, '_ D']]],
  early: Sequence[Sequence[Float[np.ndarray, '_ D']]],
  draws: int = 200,
  seed: int = 0,
) -> Estimate:
  """How much larger one difference is than another, and how surely.

  Args:
    late: what `difference` takes: groups, others, real.
    early: likewise, of other stories, which are drawn apart from those.
    draws: how often stories are drawn.
    seed: of the draws.

  Returns:
    Above zero where the one set is farther behind in `late`.

  Raises:
    ValueError: as `interval`.
  """
  whole, found = _differences(late, draws, seed)
  less, drawn = _differences(early, draws, seed + 1)
  return _mirrored(whole - less, found - drawn)


def _differences(
  sets: Sequence[Sequence[np.ndarray]], draws: int, seed: int
) -> tuple[float, np.ndarray]:
  """The difference of the first two sets from the third; and of drawn ones."""
  _check_groups(*sets, draws=draws)
  rng = np.random.default_rng(seed)
  found = []
  for _ in range(draws):
    one, other, world = (_drawn(each, rng) for each in sets)
    found.append(_between(one, world) - _between(other, world))
  groups, others, real = sets
  whole = _between(groups, real) - _between(others, real)
  return whole, np.array(found)


def _mirrored(whole: float, drawn: Sequence[float] | np.ndarray) -> Estimate:
  """The basic bootstrap: what draws are off by, the whole is, the other way."""
  below, above = np.percentile(drawn, _ENDS)
  ends = 2 * whole - np.array([above, below, np.mean(drawn)])
  return Estimate(*ends.tolist())


def _drawn(
  groups: Sequence[np.ndarray], rng: np.random.Generator
) -> list[np.ndarray]:
  """As many groups as there are, with replacement."""
  return [groups[at] for at in rng.integers(len(groups), size=len(groups))]


def _between(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float:
  """The distance of two sets, from the features of their groups."""
  return distance(*(moments(np.concatenate(each)) for each in (one, other)))


def _factor(of: Moments) -> Float[np.ndarray, 'D R']:
  """`F` of the covariance `F F^T`, of as many columns as its rank."""
  values, vectors = np.linalg.eigh(of.scatter / (of.count - 1))
  least = values[-1] * len(values) * np.finfo(np.float64).eps
  kept = values > max(0.0, least)
  return vectors[:, kept] * np.sqrt(values[kept])


def _check_groups(*sets: Sequence[np.ndarray], draws: int) -> None:
  """ValueError if there is nothing to draw stories from."""
  for groups in sets:
    if len(groups) < 2 or not all(map(len, groups)):
      raise ValueError(
        f'{len(groups)} stories of {[len(each) for each in groups]} samples: '
        'an interval needs 2 stories or more, of 1 sample or more'
      )
  if draws < 1:
    raise ValueError(f'draws is {draws}: an interval needs 1 or more')


def _check_widths(one: Moments, other: Moments) -> None:
  """ValueError if the features are not of one net."""
  if len(one.mean) != len(other.mean):
    raise ValueError(
      f'features of width {len(one.mean)} and of width {len(other.mean)} are '
      'of different nets'
    )
