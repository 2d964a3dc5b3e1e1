"""Parts of attention merge into the whole, and agree with JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np

from tv2tv_jax.nn import attention
from tv2tv_jax.nn import rope


def _inputs():
  keys = jax.random.split(jax.random.key(0), 4)
  query = jax.random.normal(keys[0], (2, 5, 3, 2, 8))
  key, value = (jax.random.normal(k, (2, 7, 3, 8)) for k in keys[1:3])
  mask = jax.random.bernoulli(keys[3], 0.6, (2, 5, 7)).at[..., 0].set(True)
  return query, key, value, mask


def test_grouped_heads_agree_with_jax():
  query, key, value, mask = _inputs()
  found = attention.attended(query, key, value, mask).mean
  expected = jax.nn.dot_product_attention(
    query.reshape(2, 5, 6, 8), key, value, mask=mask[:, None]
  )
  np.testing.assert_allclose(found.reshape(2, 5, 6, 8), expected, atol=1e-5)


def test_parts_merge_into_the_whole():
  query, key, value, mask = _inputs()
  whole = attention.attended(query, key, value, mask).mean
  parts = [
    attention.attended(query, key[:, part], value[:, part], mask[..., part])
    for part in (slice(0, 3), slice(3, 7))
  ]
  np.testing.assert_allclose(attention.merged(parts), whole, atol=1e-5)


def test_a_query_that_sees_nothing_is_finite_and_weighs_nothing():
  query, key, value, mask = _inputs()
  nothing = attention.attended(query, key, value, jnp.zeros_like(mask))
  assert np.isfinite(nothing.mean).all()
  some = attention.attended(query, key, value, mask)
  np.testing.assert_allclose(
    attention.merged([nothing, some]), some.mean, atol=1e-6
  )


def test_rotations_depend_on_distance_alone():
  query, key, _, _ = _inputs()
  turns = rope.frequencies(8, rope.RopeConfig(theta=1e3))

  def scores(shift):
    at = jnp.arange(5)[None] + shift
    q = rope.rotated(query[:1], at, turns)
    k = rope.rotated(key[:1, :5], at, turns)
    return jnp.einsum('bqkgh,bskh->bkgqs', q, k)

  np.testing.assert_allclose(scores(0), scores(900), atol=1e-3)
  assert not np.allclose(scores(0)[..., 0, 1], scores(0)[..., 0, 2])
