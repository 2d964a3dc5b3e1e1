"""Packing frames, rows and columns into channels, and back.

A clip of `1 + t * n` frames folds into `1 + n`: before a clip begins its first
frame has always been there, so it fills the first group alone. Unfolding a
clip's first frame gives one frame, the last of its group. Later chunks fold
`t * n` frames into `n`.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def fold(
  x: Float[Array, 'B T Y X C'], size: tuple[int, ...], begins: bool
) -> Float[Array, 'B N V U K']:
  """Groups of `size = (t, y, x)` as channels, ordered t, y, x, channel.

  Raises:
    ValueError: frames, rows or columns that do not fill whole groups.
  """
  t, y, x_size = size
  frames = x.shape[1]
  if begins:
    x = jnp.concatenate([jnp.repeat(x[:, :1], t - 1, axis=1), x], axis=1)
  if x.shape[1] % t:
    count = f'1 + {t}n frames' if begins else f'{t}n frames'
    chunk = 'the first chunk of a clip' if begins else 'a later chunk'
    raise ValueError(f'{chunk} has {frames} frames: give {count}')
  batch, frames, rows, columns, channels = x.shape
  if rows % y or columns % x_size:
    raise ValueError(
      f'frames of {columns} x {rows} (width x height) do not fold into '
      f'{x_size} x {y}: give multiples'
    )
  # Explicit layouts let a reshape split one axis at a time.
  x = x.reshape(batch, frames // t, t, rows, columns, channels)
  x = x.reshape(batch, frames // t, t, rows // y, y, columns, channels)
  x = x.reshape(*x.shape[:5], columns // x_size, x_size, channels)
  x = x.transpose(0, 1, 3, 5, 2, 4, 6, 7)
  return x.reshape(*x.shape[:4], t * y * x_size * channels)


def unfold(
  x: Float[Array, 'B N V U K'], size: tuple[int, ...], begins: bool
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
