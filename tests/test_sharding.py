"""Logical axes become mesh axes in one place, and nowhere without a mesh."""

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
import pytest

from tv2tv_jax import sharding


def test_without_a_mesh_there_is_no_layout():
  assert sharding.spec('batch', 'length') is None
  x = jnp.ones(4)
  assert sharding.place(x, 'embed_in') is x


def test_axes_are_looked_up(mesh):
  expected = PartitionSpec(('data', 'fsdp'), None, 'tensor')
  assert sharding.spec('batch', None, 'heads') == expected
  with pytest.raises(KeyError, match='btach'):
    sharding.spec('btach')


def test_no_mesh_axis_is_used_twice_by_a_weight(mesh):
  for axes in (('embed_in', 'mlp'), ('embed_in', 'heads', 'head_dim')):
    jax.NamedSharding(mesh, sharding.spec(*axes))  # Raises on a collision.


def test_an_abstract_tree_has_the_layout_of_the_real_one(mesh):
  def make(key):
    return sharding.place(jax.random.normal(key, (8, 4)), 'embed_in', 'mlp')

  abstract = sharding.abstract(make, jax.random.key(0))
  real = jax.jit(make)(jax.random.key(0))
  assert abstract.sharding.spec == real.sharding.spec
  assert (abstract.shape, abstract.dtype) == (real.shape, real.dtype)


def test_a_mesh_that_does_not_fit_is_named():
  with pytest.raises(ValueError, match=r'mesh \(3, 1, 1\) does not cover 8'):
    sharding.make_mesh((3, 1, 1))
