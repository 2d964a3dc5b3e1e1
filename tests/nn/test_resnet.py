"""Residual blocks start near the identity and keep pictures apart."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tv2tv_jax import sharding
from tv2tv_jax.nn import causal_conv
from tv2tv_jax.nn import norm
from tv2tv_jax.nn import resnet

_run = jax.jit(lambda block, *inputs: block(*inputs))


def _pictures(width: int, batch: int = 2) -> jax.Array:
  return jax.random.normal(jax.random.key(1), (batch, 3, 4, 6, width))


def _causal(inputs: int, outputs: int, factored: bool = False):
  plain, split = causal_conv.CausalConv3d, causal_conv.FactoredConv3d
  return resnet.CausalResidualBlock(
    inputs,
    outputs,
    convolutions=(split if factored else plain,) * 2,
    norm=norm.PictureNorm if factored else norm.RmsNorm,
    rngs=nnx.Rngs(0),
  )


def test_a_condition_starts_without_effect():
  block = resnet.ResidualBlock(8, 8, rngs=nnx.Rngs(0), condition=4)
  x = _pictures(8)
  y = _run(block, x, jnp.ones((2, 3, 4)))
  np.testing.assert_allclose(y, _run(block, x), atol=1e-6)
  block.steer.kernel[...] = jnp.ones((4, 16))
  assert not np.allclose(_run(block, x, jnp.ones((2, 3, 4))), y)


def test_a_condition_steers_its_own_picture_only():
  block = resnet.ResidualBlock(8, 8, rngs=nnx.Rngs(0), condition=4)
  block.steer.kernel[...] = jnp.ones((4, 16))
  x, condition = _pictures(8), jnp.zeros((2, 3, 4))
  other = condition.at[0, 1].set(1.0)
  changed = _run(block, x, other) != _run(block, x, condition)
  assert changed[0, 1].any()
  assert not changed.at[0, 1].set(False).any()


def test_a_block_may_change_the_width():
  block = resnet.ResidualBlock(8, 12, rngs=nnx.Rngs(0))
  assert jax.eval_shape(block, _pictures(8)).shape == (2, 3, 4, 6, 12)


def test_a_new_block_is_near_the_identity():
  x = _pictures(8)
  for block in (
    resnet.ResidualBlock(8, 8, rngs=nnx.Rngs(0)),
    _causal(8, 8),
  ):
    y = jax.tree.leaves(_run(block, x))[0]
    assert 0.0 < np.std(y - x) < 0.2


@pytest.mark.parametrize('factored', [False, True])
@pytest.mark.parametrize('outputs', [8, 12])
def test_a_causal_block_streams(outputs, factored):
  block, x = _causal(8, outputs, factored), _pictures(8)
  whole, _ = _run(block, x)
  first, past = _run(block, x[:, :1])
  rest, _ = _run(block, x[:, 1:], past)
  np.testing.assert_allclose(
    jnp.concatenate([first, rest], 1), whole, atol=1e-5
  )


def test_a_mesh_changes_nothing():
  x, condition = _pictures(8, batch=8), jnp.ones((8, 3, 4))
  block = resnet.ResidualBlock(8, 8, rngs=nnx.Rngs(0), condition=4)
  plain = _run(block, x, condition)
  with jax.set_mesh(sharding.make_mesh((2, 2, 2))):
    block = resnet.ResidualBlock(8, 8, rngs=nnx.Rngs(0), condition=4)
    x = sharding.place(x, 'batch', None, None, None, None)
    condition = sharding.place(condition, 'batch', None, None)
    y = _run(block, x, condition)
  np.testing.assert_allclose(y, plain, atol=1e-5)
