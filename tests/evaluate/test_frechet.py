"""The Fréchet distance is scipy's, whoever holds which samples."""

import numpy as np
import pytest
from scipy import linalg

from tv2tv_jax.evaluate import frechet


def _samples(count: int, width: int, seed: int) -> np.ndarray:
  """Correlated features, each with a mean of its own, float32."""
  rng = np.random.default_rng(seed)
  mixed = rng.normal(size=(count, width)) @ rng.normal(size=(width, width))
  return (mixed + 3 * rng.normal(size=width)).astype(np.float32)


def _by_scipy(one: np.ndarray, other: np.ndarray) -> float:
  """The distance as its formula stands."""
  apart = one.mean(axis=0, dtype='f8') - other.mean(axis=0, dtype='f8')
  first, second = (np.cov(x, rowvar=False, dtype='f8') for x in (one, other))
  root = linalg.sqrtm(first @ second)
  return float(apart @ apart + np.trace(first + second - 2 * root.real))


@pytest.mark.parametrize(
  ('counts', 'rtol'),
  [
    ((300, 200), 1e-10),
    ((50, 200), 1e-10),
    # Fewer samples than features: the root of a singular product, where
    # scipy's is the less exact.
    ((12, 200), 1e-5),
    ((12, 9), 1e-5),
  ],
)
def test_it_is_scipys_by_the_matrix_square_root(counts, rtol):
  sets = [_samples(count, 24, seed) for seed, count in enumerate(counts)]
  found = frechet.distance(*map(frechet.moments, sets))
  assert found == pytest.approx(_by_scipy(*sets), rel=rtol)
  assert frechet.distance(*map(frechet.moments, sets[::-1])) == pytest.approx(
    found, rel=1e-10
  )


def test_it_is_the_textbook_one_where_a_formula_is_known():
  """In one dimension: (m1 - m2)^2 + (s1 - s2)^2."""
  one = frechet.Moments(5, np.array([1.0]), np.array([[4 * 9.0]]))
  other = frechet.Moments(11, np.array([3.5]), np.array([[10 * 25.0]]))
  assert frechet.distance(one, other) == pytest.approx(2.5**2 + 2.0**2)


@pytest.mark.parametrize('count', [400, 7])
def test_a_set_is_at_no_distance_from_itself(count):
  features = _samples(count, 24, 0)
  moments = frechet.moments(features)
  total = np.trace(moments.scatter) / (count - 1)
  assert frechet.distance(moments, moments) < 1e-12 * total
  moved = frechet.moments(features.astype('f8') + 2.0)
  assert frechet.distance(moments, moved) == pytest.approx(24 * 4.0)


def test_samples_that_are_all_the_same_have_a_distance():
  """From a film that stands still: the means', and the other's variance."""
  still = frechet.moments(np.full((9, 3), 2.0))
  moving = frechet.moments(_samples(50, 3, 0))
  assert frechet.distance(still, still) == 0.0
  apart = np.square(moving.mean - 2).sum() + np.trace(moving.scatter) / 49
  assert frechet.distance(still, moving) == pytest.approx(apart)


def test_parts_add_up_to_the_whole():
  """Two hosts know what one knows; an empty part adds nothing."""
  features = _samples(100, 6, 0)
  whole = frechet.moments(features)
  for cuts in ([50], [1, 2, 97], [0, 30, 30]):
    parts = [frechet.moments(part) for part in np.split(features, cuts)]
    merged = frechet.merged(parts)
    assert merged.count == 100
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(merged.scatter, whole.scatter, rtol=1e-9)


def test_far_from_zero_nothing_is_lost():
  """A mean of a million deviations leaves 10 of 16 digits of the scatter."""
  small = np.random.default_rng(0).normal(size=(60, 4))
  near, far = frechet.moments(small), frechet.moments(small + 1e6)
  np.testing.assert_allclose(far.scatter, near.scatter, rtol=1e-7, atol=1e-7)
  halves = frechet.merged(map(frechet.moments, np.split(small + 1e6, 2)))
  np.testing.assert_allclose(halves.scatter, near.scatter, rtol=1e-7, atol=1e-7)


def test_the_interval_has_the_true_distance_and_not_the_bias():
  """Stories of one distribution, moved by 1.5 in one of eight features."""
  held, above = 0, 0
  for seed in range(12):
    rng = np.random.default_rng(seed)
    groups, others = rng.normal(size=(2, 30, 2, 8))
    others[..., 0] += 1.5
    found = frechet.interval(list(groups), list(others), draws=40, seed=seed)
    held += found.low <= 1.5**2 <= found.high
    plain = frechet.distance(
      frechet.moments(groups.reshape(-1, 8)),
      frechet.moments(others.reshape(-1, 8)),
    )
    above += found.corrected < plain
    assert found.low <= found.corrected <= found.high
  assert held >= 10 and above == 12


def test_the_bias_of_a_few_samples_leaves_the_difference_alone():
  """Of 24 samples of 16 features a distance of 0.25 is mostly bias."""
  held = 0
  for seed in range(8):
    rng = np.random.default_rng(seed)
    near, far, real = (
      list(rng.normal(size=(12, 2, 16)) + moved * np.eye(16)[0])
      for moved in (0.5, 1.5, 0.0)
    )
    found = frechet.difference(far, near, real, draws=40, seed=seed)
    held += found.low <= 1.5**2 - 0.5**2 <= found.high
    plain = frechet.distance(
      *(frechet.moments(np.concatenate(each)) for each in (near, real))
    )
    assert plain > 10 * 0.5**2
  assert held >= 7


def test_growth_is_what_one_difference_has_more_than_another():
  held = 0
  for seed in range(8):
    rng = np.random.default_rng(seed)

    def sets(far, rng=rng):
      return [
        list(rng.normal(size=(60, 2, 8)) + moved * np.eye(8)[0])
        for moved in (far, 0.5, 0.0)
      ]

    late, early = sets(2.0), sets(1.0)
    found = frechet.growth(late, early, draws=40, seed=seed)
    held += found.low <= 2.0**2 - 1.0**2 <= found.high
    back = frechet.growth(early, late, draws=40, seed=seed)
    assert back.corrected < 0 < found.low
  assert held >= 6


def test_sets_are_no_nearer_than_themselves():
  groups = [_samples(3, 4, seed) for seed in range(6)]
  found = frechet.difference(groups, groups, groups, 20)
  assert found.low < 0 < found.high


def test_an_interval_is_the_same_again():
  groups = [_samples(3, 4, seed) for seed in range(6)]
  found = [frechet.interval(groups, groups[:4], 20, s) for s in (0, 0, 1)]
  assert found[0] == found[1] != found[2]
  assert frechet.needed(4) == 24


def test_what_has_no_distance_is_named():
  two, wide = frechet.moments(np.eye(2)), frechet.moments(np.eye(3))
  with pytest.raises(ValueError, match='width 2 and of width 3'):
    frechet.distance(two, wide)
  with pytest.raises(ValueError, match='width 2 and of width 3'):
    frechet.merged([two, wide])
  with pytest.raises(ValueError, match='1 samples have no covariance'):
    frechet.distance(two, frechet.moments(np.zeros((1, 2))))
  with pytest.raises(ValueError, match='feature 1 of sample 2 is nan; 1 of 6'):
    frechet.moments(np.array([[0, 0], [0, 0], [0, np.nan]]))
  with pytest.raises(ValueError, match='no moments'):
    frechet.merged([])
  with pytest.raises(ValueError, match=r'1 stories of \[2\] samples'):
    frechet.interval([np.eye(2)], [np.eye(2)] * 2)
  with pytest.raises(ValueError, match=r'2 stories of \[2, 0\] samples'):
    frechet.interval([np.eye(2)] * 2, [np.eye(2), np.zeros((0, 2))])
