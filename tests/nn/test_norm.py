"""Norms are PyTorch's, and do not look where they should not."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

from tv2tv_jax.nn import norm


def _pictures() -> jax.Array:
  return 2.0 + 3.0 * jax.random.normal(jax.random.key(0), (2, 3, 4, 6, 5))


def _scaled(layer):
  layer.scale[...] = jnp.arange(5.0) - 2.0
  return layer


def test_the_norm_of_pictures_is_a_group_norm_of_one_group():
  x, layer = _pictures(), _scaled(norm.PictureNorm(5))
  layer.bias[...] = jnp.arange(5.0)
  planes = torch.from_numpy(np.array(x)).reshape(6, 4, 6, 5)
  want = torch.nn.functional.group_norm(
    planes.permute(0, 3, 1, 2),
    1,
    torch.arange(5.0) - 2.0,
    torch.arange(5.0),
    eps=1e-6,
  )
  want = want.permute(0, 2, 3, 1).reshape(x.shape)
  np.testing.assert_allclose(layer(x), want, atol=2e-6)


def test_the_norm_of_a_vector_is_pytorchs():
  x, layer = _pictures(), _scaled(norm.RmsNorm(5))
  want = torch.nn.functional.rms_norm(
    torch.from_numpy(np.array(x)), (5,), torch.arange(5.0) - 2.0, eps=1e-5
  )
  np.testing.assert_allclose(layer(x), want, atol=2e-6)


def test_a_picture_is_normalised_on_its_own():
  x, layer = _pictures(), norm.PictureNorm(5)
  changed = layer(x.at[0, 1].mul(-4.0)) != layer(x)
  assert changed[0, 1].any()
  assert not changed.at[0, 1].set(False).any()


def test_half_precision_stays_and_is_normalised_in_full():
  x = (1000.0 * _pictures()).astype(jnp.bfloat16)
  for layer in (norm.PictureNorm(5), norm.RmsNorm(5)):
    y = layer(x)
    assert y.dtype == jnp.bfloat16
    want = layer(x.astype(jnp.float32))
    np.testing.assert_allclose(y.astype(jnp.float32), want, atol=2e-2)
