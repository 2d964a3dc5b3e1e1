"""Wilson's interval, and shares read by a reader that errs."""

import itertools
import math

import numpy as np
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


def test_a_reader_that_never_errs_needs_no_correction():
  many = intervals.Count(10**9, 10**9)
  for hits in (0, 3, 20):
    read = intervals.Count(hits, 20)
    found = intervals.corrected(read, many, many)
    assert found.share == pytest.approx(read.share)
    assert found.low <= read.share <= found.high
    # What is left is the interval of Agresti and Coull (1998).
    trials = 20 + 1.959964**2
    centre = (hits + 1.959964**2 / 2) / trials
    half = 1.959964 * (centre * (1 - centre) / trials) ** 0.5
    wanted = max(0.0, centre - half), min(1.0, centre + half)
    assert found[1:] == pytest.approx(wanted, abs=1e-5)


def test_the_share_is_what_errors_have_hidden():
  """Half of 200 are there; 90 % of these are read, and 20 % of the others."""
  found = intervals.corrected(
    intervals.Count(110, 200),
    intervals.Count(90, 100),
    intervals.Count(80, 100),
  )
  assert found.share == pytest.approx(0.5)
  assert 0.3 < found.low < 0.5 < found.high < 0.7


def test_the_interval_is_the_published_one():
  """Lang & Reiczigel (2014), equations 4, 6, 7, 16 and 17."""
  read, right, other = (110, 200), (90, 100), (80, 100)
  found = intervals.corrected(
    *(intervals.Count(*x) for x in (read, right, other))
  )
  z2 = 1.959964**2
  p, trials = (110 + z2 / 2) / (200 + z2), 200 + z2
  se, sp = 91 / 102, 81 / 102
  prevalence = (p + sp - 1) / (se + sp - 1)
  errors = se * (1 - se) / 102, sp * (1 - sp) / 102
  shift = prevalence * errors[0] - (1 - prevalence) * errors[1]
  variance = (
    p * (1 - p) / trials
    + prevalence**2 * errors[0]
    + (1 - prevalence) ** 2 * errors[1]
  ) / (se + sp - 1) ** 2
  middle, half = prevalence + 2 * z2 * shift, (z2 * variance) ** 0.5
  assert found[1:] == pytest.approx((middle - half, middle + half), abs=1e-6)


def test_the_interval_holds_the_truth_as_often_as_it_says():
  rng = np.random.default_rng(0)
  for truth, right, other in itertools.product((0.1, 0.6), (0.8, 0.95), (0.9,)):
    read = truth * right + (1 - truth) * (1 - other)
    held = 0
    for hits, s, n in zip(
      *(
        rng.binomial(*each, 300)
        for each in ((60, read), (40, right), (80, other))
      ),
      strict=True,
    ):
      found = intervals.corrected(
        intervals.Count(int(hits), 60),
        intervals.Count(int(s), 40),
        intervals.Count(int(n), 80),
      )
      assert found.low <= found.share <= found.high
      held += found.low <= truth <= found.high
    assert held >= 275  # 285 are 95 %


@pytest.mark.parametrize(
  ('sensitivity', 'specificity'),
  [
    ((5, 10), (5, 10)),
    ((0, 0), (9, 10)),
    ((1, 1), (0, 60)),
    ((3, 10), (6, 10)),
    ((900, 1000), (0, 1)),
  ],
)
def test_a_reader_no_better_than_chance_tells_nothing(sensitivity, specificity):
  found = intervals.corrected(
    intervals.Count(7, 10),
    intervals.Count(*sensitivity),
    intervals.Count(*specificity),
  )
  assert math.isnan(found.share) and found[1:] == (0.0, 1.0)


def test_what_was_missed_is_the_rest():
  assert intervals.Count(3, 10).missed == intervals.Count(7, 10)
