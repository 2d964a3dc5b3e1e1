"""Root-mean-square normalisation, computed in fp32."""

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax import sharding

EPSILON = 1e-5  # Llama's.


class RmsNorm(nnx.Module):
  """`x / rms(x) * scale` over the last axis (Zhang & Sennrich, 2019)."""

  def __init__(self, width: int, *, epsilon: float = EPSILON):
    self.epsilon = epsilon
    self.scale = nnx.Param(sharding.place(jnp.ones(width)))

  def __call__(self, x: Float[Array, '... D']) -> Float[Array, '... D']:
    """Normalises in fp32, returns the dtype of `x`."""
    return (unit_rms(x, self.epsilon) * self.scale[...]).astype(x.dtype)


def unit_rms(
  x: Float[Array, '... D'], epsilon: float = EPSILON
) -> Float[Array, '... D']:
  """`x` in fp32 with a mean square of one over the last axis."""
  x = x.astype(jnp.float32)
  return x * jax.lax.rsqrt(
    jnp.mean(jnp.square(x), axis=-1, keepdims=True) + epsilon
  )


class PictureNorm(nnx.Module):
  """`(x - mean) / deviation * scale + bias`, over all values of a picture.

  Group normalisation of one group (Wu & He, 2018), each picture on its own.
  """

  def __init__(self, width: int, *, epsilon: float = 1e-6):
    self.epsilon = epsilon
    self.scale = nnx.Param(sharding.place(jnp.ones(width)))
    self.bias = nnx.Param(sharding.place(jnp.zeros(width)))

  def __call__(self, x: Float[Array, '... Y X D']) -> Float[Array, '... Y X D']:
    """Normalises in fp32, returns the dtype of `x`."""
    y = x.astype(jnp.float32)
    axes = (-3, -2, -1)
    y = y - jnp.mean(y, axis=axes, keepdims=True)
    y = y * jax.lax.rsqrt(
      jnp.mean(jnp.square(y), axis=axes, keepdims=True) + self.epsilon
    )
    return (y * self.scale[...] + self.bias[...]).astype(x.dtype)
