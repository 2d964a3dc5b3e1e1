"""Blocks of pixels as channels, before and after the nets (as Cosmos does)."""

from typing import Literal

from flax import nnx
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax.vae import fold

# 'haar': sums and differences of neighbours along time, rows and columns, once
#   for every power of two; 'rearrange': pixels as they are.
Patching = Literal['haar', 'rearrange']


class Patches(nnx.Module):
  """Blocks of `size` frames, rows and columns as channels."""

  def __init__(self, size: int, patching: Patching):
    self.size, self.patching = size, patching

  def __call__(
    self, x: Float[Array, 'B T Y X C'], past: tuple[()] | None = None
  ) -> tuple[Float[Array, 'B N V U K'], tuple[()]]:
    """Packs a chunk; `past=None` begins a clip."""
    begins = past is None
    if self.patching == 'rearrange':
      y = fold.fold(x, (self.size,) * 3, begins)
      return _turned(y, self.size**3), ()
    for _ in range(self.size.bit_length() - 1):
      x = _butterflies(fold.fold(x, (2, 2, 2), begins)) / 8
    return x, ()


class Pixels(nnx.Module):
  """The inverse of `Patches`."""

  def __init__(self, size: int, patching: Patching):
    self.size, self.patching = size, patching

  def __call__(
    self, x: Float[Array, 'B N V U K'], past: tuple[()] | None = None
  ) -> tuple[Float[Array, 'B T Y X C'], tuple[()]]:
    """Unpacks a chunk; `past=None` begins a clip."""
    begins = past is None
    if self.patching == 'rearrange':
      y = _turned(x, x.shape[-1] // self.size**3)
      return fold.unfold(y, (self.size,) * 3, begins), ()
    for _ in range(self.size.bit_length() - 1):
      x = fold.unfold(_butterflies(x), (2, 2, 2), begins)
    return x, ()


def _butterflies(x: Float[Array, '... K']) -> Float[Array, '... K']:
  """Sums and differences along the three halvings that channels begin with.

  Applied twice it multiplies by 8.
  """
  shape = x.shape
  for bit in range(3):
    # Explicit layouts let a reshape split or merge one pair of axes at a time.
    x = x.reshape(*shape[:-1], 2**bit, -1)
    x = x.reshape(*x.shape[:-1], 2, x.shape[-1] // 2)
    low, high = x[..., 0, :], x[..., 1, :]
    x = jnp.stack([low + high, low - high], axis=-2)
    x = x.reshape(*x.shape[:-2], 2 * x.shape[-1]).reshape(shape)
  return x


def _turned(x: Float[Array, '... K'], outer: int) -> Float[Array, '... K']:
  """Channels of `outer` groups as groups of `outer` channels."""
  y = x.reshape(*x.shape[:-1], outer, -1)
  return jnp.swapaxes(y, -1, -2).reshape(x.shape)
