"""Wilson's interval."""

import math

import pytest

from tv2tv_jax.evaluate import intervals


@pytest.mark.parametrize(
  ('hits', 'trials', 'low', 'high'),
  [
    # Newcombe (1998), table I, method 3.
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0, 0.1611),
    (1, 29, 0.0061, 0.1718),
  ],
)
def test_wilson_is_the_published_one(hits, trials, low, high):
  assert intervals.wilson(hits, trials) == pytest.approx((low, high), abs=1e-4)


def test_all_is_the_mirror_of_none():
  low, high = intervals.wilson(0, 12)
  assert intervals.wilson(12, 12) == pytest.approx((1 - high, 1 - low))


def test_no_trials_tell_nothing():
  none = intervals.Count(0, 0)
  assert none.interval == (0.0, 1.0)
  assert math.isnan(none.share)
  assert str(none) == 'none'


def test_impossible_counts_are_named():
  with pytest.raises(ValueError, match='3 hits in 2 trials'):
    intervals.wilson(3, 2)
