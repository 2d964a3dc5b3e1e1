"""Rows are found by their number, and hold every window of an epoch once."""

import collections
import pickle

import hypothesis
from hypothesis import strategies
import numpy as np
import pytest

from data_pipelines import pack
from data_pipelines import windows as windows_lib

_ROOM = (12, 20)


def _kinds(draw_counts):
  """Kinds of any size that fits a row, and how many there are of each."""
  return strategies.lists(
    strategies.tuples(
      strategies.integers(1, _ROOM[0]),
      strategies.integers(0, _ROOM[1]),
      draw_counts,
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda kind: kind[:2],
  )


@hypothesis.given(_kinds(strategies.integers(1, 9)))
def test_patterns_hold_every_window_once_and_fit(kinds):
  chunks, text, counts = np.array(kinds).T
  held = collections.Counter()
  for pattern in pack.patterns(chunks, text, counts, _ROOM):
    assert sum(chunks[list(pattern.kinds)]) <= _ROOM[0]
    assert sum(text[list(pattern.kinds)]) <= _ROOM[1]
    assert list(text[list(pattern.kinds)]) == sorted(
      text[list(pattern.kinds)], reverse=True
    )
    held.update(
      (kind, begin + row * step)
      for row in range(pattern.rows)
      for kind, begin, step in zip(
        pattern.kinds, pattern.begins, pattern.steps, strict=True
      )
    )
  assert held == collections.Counter(
    (kind, i) for kind, count in enumerate(counts) for i in range(count)
  )


def test_rows_are_nearly_full():
  chunks = np.arange(1, 13)
  counts = np.full(12, 100)
  rows = pack.patterns(chunks, np.zeros(12, int), counts, _ROOM)
  count = sum(pattern.rows for pattern in rows)
  assert chunks.sum() * 100 / 12 <= count <= 1.02 * chunks.sum() * 100 / 12


def _rows(seed=1, **changes):
  """40 windows of three kinds, some of them of long clips."""
  chunks = np.array([3, 4, 5, 12])[np.arange(40) % 4]
  windows = windows_lib.Windows(
    clip=np.arange(40, dtype=np.int32),
    first=np.zeros(40, np.int32),
    spare=np.where(chunks == 12, np.arange(40), 0).astype(np.int32),
    chunks=chunks.astype(np.int32),
    times=np.where(chunks == 12, 1 + np.arange(40) % 3, 1).astype(np.int32),
  )
  kinds = np.unique(chunks, return_inverse=True)[1]
  counts = np.bincount(kinds, windows.times).astype(int)
  patterns = pack.patterns(np.unique(chunks), np.zeros(4, int), counts, (12, 1))
  return windows, pack.Rows(windows, kinds, patterns, seed=seed, **changes)


def test_an_epoch_has_every_window_as_often_as_it_shall():
  windows, rows = _rows()
  epochs = [
    [rows[i] for i in range(epoch * rows.count, (epoch + 1) * rows.count)]
    for epoch in range(3)
  ]
  for epoch in epochs:
    clips = collections.Counter(w.clip for row in epoch for w in row)
    assert clips == dict(enumerate(windows.times.tolist()))
    for row in epoch:
      assert sum(window.chunks for window in row) <= 12
      for window in row:
        assert 0 <= window.offset <= windows.spare[window.clip]
  company = [
    {frozenset(w.clip for w in row) for row in epoch if len(row) > 1}
    for epoch in epochs
  ]
  assert len(company[0] & company[1]) < len(company[0]) / 2
  assert rows.clips == 40


@hypothesis.settings(max_examples=20)
@hypothesis.given(strategies.lists(strategies.integers(0, 10**12), min_size=1))
def test_a_row_does_not_depend_on_what_was_asked_before(indices):
  _, rows = _rows()
  asked = [rows[index] for index in indices]
  for index, row in zip(indices, asked, strict=True):
    assert _rows()[1][index] == row
  assert pickle.loads(pickle.dumps(rows))[indices[0]] == asked[0]


def test_the_plans_of_old_epochs_are_forgotten():
  _, rows = _rows()
  for epoch in range(50):
    rows[epoch * rows.count]
  assert len(rows._epochs) == 2


def test_seeds_are_other_orders_and_no_seed_is_none():
  one, two = ([_rows(seed)[1][i] for i in range(20)] for seed in (1, 2))
  assert one != two
  _, fixed = _rows(None)
  assert len(fixed) == fixed.count
  members = [window for i in range(len(fixed)) for window in fixed[i]]
  assert all(window.offset == 0 for window in members)
  assert [w.clip for w in members if w.chunks == 3] == list(range(0, 40, 4))


@pytest.mark.parametrize('share', [0.0, 0.4, 1.0])
def test_the_start_share_is_that_of_windows(share):
  windows = windows_lib.Windows(
    *(np.array([value], np.int32) for value in (0, 0, 10**6, 9, 1))
  )
  patterns = [pack.Pattern(1, (0,), (0,), (1,))]
  rows = pack.Rows(
    windows, np.zeros(1, int), patterns, seed=0, start_share=share
  )
  begun = np.mean([rows[i][0].offset == 0 for i in range(500)])
  assert abs(begun - share) < 0.08
