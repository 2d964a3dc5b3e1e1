"""Attention in blocks is attention at once, and costs only what is filled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tv2tv_jax.mot import past
from tv2tv_jax.nn import attention

_SLOTS = 24


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
  monkeypatch.setattr(past, 'BLOCK', 8)


def _drawn(filled):
  """Queries, keys, values and what is seen: two rows, filled so far."""
  rng = np.random.default_rng(0)
  query = rng.normal(size=(2, 2, 3, 4, 8)).astype('f4')
  key, value = rng.normal(size=(2, 2, 2, _SLOTS, 8)).astype('f4')
  seen = np.arange(_SLOTS) < np.array(filled)[:, None]
  bias = attention.bias(jnp.array(seen)[:, None] & jnp.ones((1, 4, 1), bool))
  return *map(jnp.array, (query, key, value)), bias


@pytest.mark.parametrize('filled', [(1, 1), (8, 3), (9, 17), (24, 2)])
def test_blocks_are_the_whole(filled):
  drawn = _drawn(filled)
  found = past.in_blocks(*drawn, jnp.int32(max(filled)))
  wanted = attention.attended(*drawn)
  np.testing.assert_allclose(found.mean, wanted.mean, atol=1e-5)
  np.testing.assert_allclose(found.weight, wanted.weight, atol=1e-5)


@pytest.mark.parametrize(
  'slots,whole,block',
  [(6, 6, 8), (9, 16, 8), (128, 128, 8), (129, 144, 16), (1000, 1024, 64)],
)
def test_a_buffer_is_a_few_whole_blocks(slots, whole, block):
  assert past.in_whole_blocks(slots) == past.in_whole_blocks(whole) == whole
  assert past.block_of(slots) == past.block_of(whole) == block


def test_a_row_does_not_depend_on_its_neighbours_length():
  """To the bit: also where it sees nothing of the blocks that follow."""
  drawn = _drawn((5, 20))
  run = jax.jit(past.in_blocks)
  alone, beside = (run(*drawn, jnp.int32(n)) for n in (5, 20))
  for one, other in zip(alone, beside, strict=True):
    np.testing.assert_array_equal(one[0], other[0])
    assert np.abs(one[1] - other[1]).max() > 1e-3


def test_what_is_not_filled_is_not_read():
  """A block behind the last one may hold anything."""
  query, key, value, bias = _drawn((6, 7))
  key, value = (part.at[:, :, 8:].set(np.nan) for part in (key, value))
  found = past.in_blocks(query, key, value, bias, jnp.int32(7))
  assert np.isfinite(found.mean).all() and np.isfinite(found.weight).all()
