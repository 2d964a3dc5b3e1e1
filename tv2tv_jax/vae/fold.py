"""Packing frames, rows and columns into channels, and back.

A clip of `1 + t * n` frames folds into `1 + n`: before a clip begins its first
frame has always been there, so it fills the first group alone. Unfolding a
clip's first frame gives one frame, the last of its group. Later chunks fold
`t * n` frames into `n`.
"""

from flax import nnx
import jax.numpy as jnp
from jaxtyping import Array, Float

Size = tuple[int, ...]  # (t, y, x)


def fold(
  x: Float[Array, 'B T Y X C'], size: Size, begins: bool
) -> Float[Array, 'B N V U K']:
  """Groups of `size = (t, y, x)` as channels, ordered t, y, x, channel."""
  t, y, x_size = size
  if begins:
    x = jnp.concatenate([jnp.repeat(x[:, :1], t - 1, axis=1), x], axis=1)
  batch, frames, rows, columns, channels = x.shape
  # Explicit layouts let a reshape split one axis at a time.
  x = x.reshape(batch, frames // t, t, rows, columns, channels)
  x = x.reshape(batch, frames // t, t, rows // y, y, columns, channels)
  x = x.reshape(*x.shape[:5], columns // x_size, x_size, channels)
  x = x.transpose(0, 1, 3, 5, 2, 4, 6, 7)
  return x.reshape(*x.shape[:4], t * y * x_size * channels)


def unfold(
  x: Float[Array, 'B N V U K'], size: Size, begins: bool
) -> Float[Array, 'B T Y X C']:
  """The inverse of `fold`."""
  t, y, x_size = size
  batch, count, rows, columns, packed = x.shape
  x = x.reshape(*x.shape[:4], t, y, x_size, packed // (t * y * x_size))
  x = x.transpose(0, 1, 4, 2, 5, 3, 6, 7)
  # Explicit layouts let a reshape merge one pair of axes at a time.
  x = x.reshape(batch, count * t, *x.shape[3:])
  x = x.reshape(batch, count * t, rows * y, *x.shape[4:])
  x = x.reshape(batch, count * t, rows * y, columns * x_size, x.shape[-1])
  return x[:, t - 1 :] if begins else x


class Fold(nnx.Module):
  """`fold` as a layer of a chain."""

  def __init__(self, size: Size):
    self.size = size

  def __call__(
    self, x: Float[Array, 'B T Y X C'], past: tuple[()] | None = None
  ) -> tuple[Float[Array, 'B N V U K'], tuple[()]]:
    """Folds a chunk; `past=None` begins a clip."""
    return fold(x, self.size, begins=past is None), ()


class Unfold(nnx.Module):
  """`unfold` as a layer of a chain."""

  def __init__(self, size: Size):
    self.size = size

  def __call__(
    self, x: Float[Array, 'B N V U K'], past: tuple[()] | None = None
  ) -> tuple[Float[Array, 'B T Y X C'], tuple[()]]:
    """Unfolds a chunk; `past=None` begins a clip."""
    return unfold(x, self.size, begins=past is None), ()


def mean(
  x: Float[Array, 'B T Y X D'], size: Size, begins: bool
) -> Float[Array, 'B N V U D']:
  """The mean of every group."""
  y = fold(x, size, begins)
  return jnp.mean(y.reshape(*y.shape[:-1], -1, x.shape[-1]), axis=-2)


def repeated(
  x: Float[Array, 'B N Y X D'], begins: bool
) -> Float[Array, 'B T Y X D']:
  """Every frame twice, but a clip's first once."""
  y = unfold(jnp.concatenate([x, x], axis=-1), (2, 1, 1), begins=False)
  return y[:, 1:] if begins else y


def nearest(x: Float[Array, 'B T V U D']) -> Float[Array, 'B T Y X D']:
  """Twice the rows and columns by nearest neighbours."""
  return unfold(jnp.concatenate([x] * 4, axis=-1), (1, 2, 2), begins=False)
