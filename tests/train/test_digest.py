"""A digest is of the bits of an array and their places, on any mesh."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tv2tv_jax import sharding
from tv2tv_jax.train import digest


def _of(array):
  return digest.digests({'x': jnp.asarray(array)})['x']


_ARRAY = np.random.default_rng(0).normal(size=(16, 24, 8)).astype('f4')


@pytest.mark.parametrize('shape', [(1, 8, 1), (2, 2, 2), (8, 1, 1)])
def test_the_same_on_every_mesh(shape):
  with jax.set_mesh(sharding.make_mesh(shape)):
    array = jnp.asarray(_ARRAY)
    for axes in ((None, 'embed_in', 'mlp'), ('vocab', None, 'embed_in')):
      assert _of(sharding.place(array, *axes)) == _of(_ARRAY)


def test_any_bit_counts_and_so_does_its_place():
  bits = _ARRAY.view(np.uint32)
  seen = {_of(_ARRAY)}
  for place in ((0, 0, 0), (15, 23, 7), (3, 5, 1)):
    for bit in (0, 13, 31):
      other = bits.copy()
      other[place] ^= np.uint32(1 << bit)
      seen.add(_of(other.view(np.float32)))
  seen.add(_of(np.roll(_ARRAY, 1)))
  seen.add(_of(_ARRAY[::-1]))
  seen.add(_of(np.zeros_like(_ARRAY)))
  assert len(seen) == 13


@pytest.mark.parametrize(
  'dtype', ['bool', 'int8', 'uint16', 'bfloat16', 'float16', 'int32']
)
def test_of_every_width(dtype):
  some = jnp.arange(7).astype(dtype)
  assert _of(some) == _of(some + 0)
  assert _of(some) != _of(some.at[0].set(1))


def test_of_scalars_zeros_and_nothing():
  assert len({_of(jnp.float32(x)) for x in (0.0, -0.0, 1.0, np.nan)}) == 4
  assert _of(jnp.zeros(3)) != _of(jnp.zeros(4))
  assert _of(jnp.zeros((0, 3))) == 0
