"""Where the parts of a picture went: the cost of every displacement.

A picture is cut into cells. For each cell and each displacement, the cost is
how badly the first picture's pixels, moved so far, match the second's: a cost
volume, as optical flow has used since Lucas and Kanade. It states motion
directly, where a convolution over stacked frames would have to learn to.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Contrast, in [-1, 1] pixels, under which a cell counts as blank.
_BLANK = 0.03


def costs(
  before: Float[Array, '*B Y X'],
  after: Float[Array, '*B Y X'],
  reach: tuple[int, int],
  cell: int,
) -> Float[Array, '*B V U D']:
  """Matching costs of each cell, of mean 0 and about unit variance over D.

  Args:
    before: gray pictures.
    after: gray pictures, some time later.
    reach: largest displacement in rows and in columns, in pixels.
    cell: rows and columns of a cell.

  Returns:
    Costs of the `D = (2 reach_y + 1) (2 reach_x + 1)` displacements, columns
    fastest; index `D // 2` stands still.
  """
  rows, columns = reach
  origin = (0,) * (before.ndim - 2)
  margins = [(0, 0)] * len(origin) + [(rows, rows), (columns, columns)]
  padded = jnp.pad(before, margins, mode='edge')
  grid = jnp.meshgrid(
    jnp.arange(2 * rows + 1), jnp.arange(2 * columns + 1), indexing='ij'
  )

  def cost(place):
    # A picture moved by (dy, dx) shows at (y, x) what was at (y - dy, x - dx).
    start = (*origin, 2 * rows - place[0], 2 * columns - place[1])
    moved = jax.lax.dynamic_slice(padded, start, before.shape)
    return _cells(jnp.abs(moved - after), cell)

  volume = jax.lax.map(cost, tuple(axis.reshape(-1) for axis in grid))
  volume = jnp.moveaxis(volume, 0, -1)
  centred = volume - jnp.mean(volume, axis=-1, keepdims=True)
  return centred / (jnp.std(volume, axis=-1, keepdims=True) + _BLANK)


def _cells(
  picture: Float[Array, '*B Y X'], cell: int
) -> Float[Array, '*B V U']:
  """Means over cells."""
  height, width = picture.shape[-2:]
  shape = (*picture.shape[:-2], height // cell, cell, width // cell, cell)
  return jnp.mean(picture.reshape(shape), axis=(-3, -1))
