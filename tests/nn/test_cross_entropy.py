"""Surprise in blocks is surprise; no scores of a whole row are ever there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tv2tv_jax import sharding
from tv2tv_jax.nn import cross_entropy


def test_cross_entropy_is_the_textbooks():
  logits = jax.random.normal(jax.random.key(0), (5, 7))
  targets = jnp.array([0, 6, 3, 3, 1])
  expected = -jax.nn.log_softmax(logits)[jnp.arange(5), targets]
  found = cross_entropy.cross_entropy(logits, targets)
  np.testing.assert_allclose(found, expected, atol=1e-6)


def _inputs(length):
  keys = jax.random.split(jax.random.key(length), 3)
  hidden = jax.random.normal(keys[0], (2, length, 8))
  weight = jax.random.normal(keys[1], (8, 16))
  return hidden, weight, jax.random.randint(keys[2], (2, length), 0, 16)


def _blockwise(hidden, weight, targets):
  def head(x):
    axes = ('batch', 'length', 'vocab')
    return jnp.einsum(
      'BLD,DV->BLV', x, weight, out_sharding=sharding.spec(*axes)
    )

  out = cross_entropy.of_hidden(head, hidden, targets)
  return jnp.sum(jnp.sin(out)), out


def _whole(hidden, weight, targets):
  out = cross_entropy.cross_entropy(hidden @ weight, targets)
  return jnp.sum(jnp.sin(out)), out


def _with_gradients(function):
  return jax.jit(jax.value_and_grad(function, (0, 1), has_aux=True))


@pytest.mark.parametrize('length', [1, 128, 129, 256, 509])
def test_blocks_change_neither_values_nor_gradients(length):
  """Whether they divide the row or not."""
  inputs = _inputs(length)
  found = jax.tree.leaves(_with_gradients(_blockwise)(*inputs))
  expected = jax.tree.leaves(_with_gradients(_whole)(*inputs))
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize('mesh', [(1, 2, 2, 2)], indirect=True)
def test_the_vocabulary_and_the_row_may_be_split(mesh):
  inputs = _inputs(520)
  _, expected = _whole(*inputs)
  hidden, weight, targets = inputs
  hidden = sharding.place(hidden, 'batch', 'length', 'embed')
  targets = sharding.place(targets, 'batch', 'length')
  weight = sharding.place(weight, 'embed', 'vocab')
  (_, found), _ = _with_gradients(_blockwise)(hidden, weight, targets)
  np.testing.assert_allclose(found, expected, atol=1e-4)


def test_no_scores_of_a_whole_row_are_there():
  """In the whole program of value and gradient, at no place."""
  length, vocabulary = 1024, 1 << 16
  hidden = jax.ShapeDtypeStruct((1, length, 8), jnp.float32)
  weight = jax.ShapeDtypeStruct((8, vocabulary), jnp.float32)
  targets = jax.ShapeDtypeStruct((1, length), jnp.int32)

  def temporaries(function):
    lowered = _with_gradients(function).lower(hidden, weight, targets)
    return lowered.compile().memory_analysis().temp_size_in_bytes

  row = 4 * length * vocabulary
  assert temporaries(_whole) >= row
  assert temporaries(_blockwise) < row
