"""Parts of attention merge into the whole, and agree with JAX's own."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama import configuration_llama

from tv2tv_jax.nn import attention
from tv2tv_jax.nn import rope
from tv2tv_jax.nn import self_attention


def _inputs():
  keys = jax.random.split(jax.random.key(0), 4)
  query = jax.random.normal(keys[0], (2, 3, 2, 5, 8))
  key, value = (jax.random.normal(k, (2, 3, 7, 8)) for k in keys[1:3])
  mask = jax.random.bernoulli(keys[3], 0.6, (2, 5, 7)).at[..., 0].set(True)
  return query, key, value, mask


def test_grouped_heads_agree_with_jax():
  query, key, value, mask = _inputs()
  bias = attention.bias(mask)
  found = attention.attended(query, key, value, bias).mean
  expected = jax.nn.dot_product_attention(
    query.reshape(2, 6, 5, 8).swapaxes(1, 2),
    key.swapaxes(1, 2),
    value.swapaxes(1, 2),
    mask=mask[:, None],
  )
  found = found.reshape(2, 6, 5, 8).swapaxes(1, 2)
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_parts_merge_into_the_whole():
  query, key, value, mask = _inputs()
  bias = attention.bias(mask)
  whole = attention.attended(query, key, value, bias).mean
  parts = [
    attention.attended(
      query, key[:, :, part], value[:, :, part], bias[..., part]
    )
    for part in (slice(0, 3), slice(3, 7))
  ]
  np.testing.assert_allclose(attention.merged(parts), whole, atol=1e-5)


def test_a_query_that_sees_nothing_is_finite_and_weighs_nothing():
  query, key, value, mask = _inputs()
  blind = attention.bias(jnp.zeros_like(mask))
  nothing = attention.attended(query, key, value, blind)
  assert np.isfinite(nothing.mean).all()
  some = attention.attended(query, key, value, attention.bias(mask))
  np.testing.assert_allclose(
    attention.merged([nothing, some]), some.mean, atol=1e-6
  )


def test_rotations_depend_on_distance_alone():
  query, key = jax.random.normal(jax.random.key(1), (2, 1, 5, 3, 8))
  turns = rope.frequencies(8, rope.RopeConfig(theta=1e3))

  def scores(shift):
    at = jnp.arange(5)[None] + shift
    turn = rope.turn(at, turns)
    q, k = (rope.rotated(x, turn) for x in (query, key))
    return jnp.einsum('bqkh,bskh->bkqs', q, k)

  np.testing.assert_allclose(scores(0), scores(900), atol=1e-3)
  assert not np.allclose(scores(0)[..., 0, 1], scores(0)[..., 0, 2])


@pytest.mark.parametrize('factor', [1.0, 8.0, 32.0])
@pytest.mark.parametrize('width', [64, 128])
def test_frequencies_are_those_of_transformers(factor, width):
  scaling = dict(
    rope_type='llama3',
    rope_theta=5e5,
    factor=factor,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=8192,
  )
  config = configuration_llama.LlamaConfig(
    head_dim=width, rope_parameters=scaling
  )
  expected, _ = ROPE_INIT_FUNCTIONS['llama3'](config, torch.device('cpu'))
  found = rope.frequencies(width, rope.RopeConfig(theta=5e5, factor=factor))
  np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6)


def test_places_of_a_picture_see_that_picture_alone():
  layer = self_attention.SelfAttention(8, 2, rngs=nnx.Rngs(0))
  x = jax.random.normal(jax.random.key(0), (1, 2, 3, 4, 8))

  def seen(x):
    return jnp.sum(jnp.square(layer(x)[0, 1, 2, 3] - x[0, 1, 2, 3]))

  size = np.abs(jax.jit(jax.grad(seen))(x)).max(axis=-1)[0]
  assert (size[0] == 0).all() and (size[1] > 0).all()


def test_heads_that_do_not_divide_are_named():
  with pytest.raises(ValueError, match='3 attention heads do not divide 8'):
    self_attention.SelfAttention(8, 3, rngs=nnx.Rngs(0))
