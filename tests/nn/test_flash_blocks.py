"""Blocks are skipped, and not fetched, where nobody sees anybody."""

import itertools

import hypothesis
from hypothesis import strategies
import jax.numpy as jnp
import numpy as np
import pytest

from tests.nn import rows
from tv2tv_jax.nn import flash
from tv2tv_jax.nn import flash_blocks as blocks
from tv2tv_jax.nn import flash_walk as walks


@hypothesis.settings(max_examples=40)
@hypothesis.given(
  layout=rows.LAYOUTS, rules=strategies.sampled_from([(), rows.WINDOW])
)
def test_a_pair_of_blocks_is_skipped_only_if_nobody_sees_anybody(layout, rules):
  inputs, _ = rows.arrays(0)
  seen = rows.seen(**layout)
  kinds = blocks.cut(
    *inputs, seen, blocks.How(sizes=rows.SIZES, **dict(rules))
  ).kinds
  mask = rows.mask(seen, **dict(rules))
  for row, i, j in itertools.product(range(rows.ROWS), range(2), range(3)):
    pairs = mask[row, i * 128 : i * 128 + 128, j * 128 : j * 128 + 128]
    if kinds[row, i, j] == blocks.HIDDEN:
      assert not pairs.any()
    if kinds[row, i, j] == blocks.WHOLLY:
      assert pairs.all() and pairs.shape[1] == 128  # No key is padding.


def _kinds(seen, rules=()):
  """What pairs of blocks of 128 need, and who sees whom in them."""
  length = seen.index.shape[1]
  row = jnp.zeros((1, 1, 1, length, rows.WIDTH))
  how = blocks.How(sizes=(128, 128), **dict(rules))
  kinds = blocks.cut(row, row[:, :, 0], row[:, :, 0], seen, how).kinds
  count = length // 128
  mask = rows.mask(seen, **dict(rules)).reshape(count, 128, count, 128)
  return np.asarray(kinds[0]), mask.swapaxes(1, 2)


@pytest.mark.parametrize('chunk', [1, 128, 200])
@pytest.mark.parametrize(
  'rules',
  [
    (),
    (('window', 256),),
    (('window', 256), ('sink', 100)),
    (('window', 256), ('sink', 128)),
  ],
  ids=str,
)
def test_of_a_row_in_time_order_all_is_skipped_that_nobody_sees(chunk, rules):
  place = jnp.arange(1024)[None]
  nothing = jnp.zeros_like(place)
  horizon = (place // chunk + 1) * chunk
  seen = flash.Seen(horizon, nothing, place, nothing)
  kinds, mask = _kinds(seen, rules)
  some, every = mask.any(axis=(2, 3)), mask.all(axis=(2, 3))
  expected = np.where(some, blocks.PARTLY, blocks.HIDDEN)
  expected[every] = blocks.WHOLLY
  np.testing.assert_array_equal(kinds, expected)
  assert (kinds == blocks.HIDDEN).any() and (kinds == blocks.WHOLLY).any()


@pytest.mark.parametrize('ends', [(300, 1024), (1024, 300)])
def test_a_block_of_two_stories_needs_the_mask(ends):
  place = jnp.arange(1024)[None]
  of_query, of_key = (jnp.where(place < end, 0, 1) for end in ends)
  kinds, mask = _kinds(flash.Seen(place + 2000, of_query, place, of_key))
  assert mask[kinds == blocks.WHOLLY].all()
  assert not mask[kinds == blocks.HIDDEN].any()
  assert {*kinds.flat} == {blocks.HIDDEN, blocks.PARTLY, blocks.WHOLLY}


@hypothesis.settings(max_examples=20)
@hypothesis.given(layout=rows.LAYOUTS, by_query=strategies.booleans())
def test_nothing_is_fetched_for_a_pair_that_is_skipped(layout, by_query):
  inputs, _ = rows.arrays(0)
  cut = blocks.cut(*inputs, rows.seen(**layout), blocks.How(sizes=rows.SIZES))
  walk = walks.walk(cut, by_query=by_query)
  assert walk.grid == (rows.ROWS, rows.HEADS, *((2, 3) if by_query else (3, 2)))
  kinds, fetched = (
    np.asarray(x).reshape(-1, walk.grid[3]) for x in (walk.kinds, walk.fetched)
  )
  for kind, fetch in zip(kinds, fetched, strict=True):
    needed = np.flatnonzero(kind)
    np.testing.assert_array_equal(fetch[needed], needed)
    assert set(fetch) <= (set(needed) or {0})
    assert (np.diff(fetch) >= 0).all()  # None is fetched twice.
