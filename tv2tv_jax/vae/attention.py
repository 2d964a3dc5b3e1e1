"""Attention in a VAE: over the pixels of a frame, or over a pixel's past."""

from collections.abc import Callable

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tv2tv_jax.nn import conv

# Keys and values of the frames before, and how many of them there are.
TimePast = tuple[
  Float[Array, 'B M Y X D'], Float[Array, 'B M Y X D'], Int[Array, '']
]


class PictureAttention(nnx.Module):
  """`x` plus attention of one head: each pixel to all of its own frame."""

  def __init__(
    self, width: int, norm: Callable[[int], nnx.Module], *, rngs: nnx.Rngs
  ):
    self.norm = norm(width)
    self.query, self.key, self.value, self.output = _projections(width, rngs)

  def __call__(
    self, x: Float[Array, 'B T Y X D'], past: tuple[()] | None = None
  ) -> tuple[Float[Array, 'B T Y X D'], tuple[()]]:
    """Runs on a chunk; there is nothing to remember."""
    y = self.norm(x)

    def pixels(layer):
      return layer(y).reshape(*x.shape[:2], -1, x.shape[-1])

    query, key, value = map(pixels, (self.query, self.key, self.value))
    scores = jnp.einsum(
      'BTPD,BTSD->BTPS', query, key, preferred_element_type=jnp.float32
    )
    weights = jax.nn.softmax(scores * x.shape[-1] ** -0.5, axis=-1)
    y = jnp.einsum('BTPS,BTSD->BTPD', weights.astype(x.dtype), value)
    return x + self.output(y.reshape(x.shape)), ()


class TimeAttention(nnx.Module):
  """`x` plus attention of one head: each pixel to itself, before and now.

  It sees its own frame and the `memory` frames before it, whatever the chunks
  are. With a clip of no more frames it sees all there was, as Cosmos does.
  """

  def __init__(
    self,
    width: int,
    norm: Callable[[int], nnx.Module],
    memory: int,
    *,
    rngs: nnx.Rngs,
  ):
    self.memory = memory
    self.norm = norm(width)
    self.query, self.key, self.value, self.output = _projections(width, rngs)

  def __call__(
    self, x: Float[Array, 'B T Y X D'], past: TimePast | None = None
  ) -> tuple[Float[Array, 'B T Y X D'], TimePast]:
    """Runs on a chunk; `past=None` begins a clip."""
    y = self.norm(x)
    key, value = self.key(y), self.value(y)
    if past is None:
      none = jnp.zeros_like(x[:, :1])
      none = jnp.concatenate([none] * self.memory, axis=1)
      past = none, none, jnp.zeros((), jnp.int32)
    *held, count = past
    key, value = (
      jnp.concatenate([old.astype(x.dtype), new], axis=1)
      for old, new in zip(held, (key, value), strict=True)
    )
    frames = x.shape[1]
    at = jnp.arange(frames)[:, None] + self.memory
    there = jnp.arange(frames + self.memory)[None]
    sees = (there <= at) & (there >= at - self.memory)
    sees &= there >= self.memory - count
    y = _over_time(self.query(y), key, value, sees)
    kept = key[:, frames:], value[:, frames:]
    count = jnp.minimum(count + frames, self.memory)
    return x + self.output(y), (*kept, count)


def _over_time(
  query: Float[Array, 'B T Y X D'],
  key: Float[Array, 'B S Y X D'],
  value: Float[Array, 'B S Y X D'],
  sees: Array,
) -> Float[Array, 'B T Y X D']:
  """Attention along time, pixel by pixel, with the softmax in fp32."""
  scores = jnp.einsum(
    'BTYXD,BSYXD->BYXTS', query, key, preferred_element_type=jnp.float32
  )
  scores = jnp.where(sees, scores * query.shape[-1] ** -0.5, -jnp.inf)
  weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
  return jnp.einsum('BYXTS,BSYXD->BTYXD', weights, value)


def _projections(width: int, rngs: nnx.Rngs) -> tuple[conv.Conv2d, ...]:
  """Query, key, value and output: matrices with a bias, pixel by pixel."""
  return tuple(
    conv.Conv2d(width, width, (1, 1), rngs=rngs, scale=scale)
    for scale in (1.0, 1.0, 1.0, 0.1)
  )
