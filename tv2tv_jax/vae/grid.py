"""How tiles lie in a picture, and what each of them counts where."""

from collections.abc import Iterator
import itertools
from typing import NamedTuple

from jaxtyping import Float
import numpy as np

_LEAST = 8  # latent pixels of the smallest tile, along each side
_MARGIN = 0.25  # share of an overlap, on either side, that counts nothing


class Side(NamedTuple):
  """Tiles along rows, or along columns, in latent pixels.

  Attributes:
    starts: of each tile; the first is 0, the last ends with the picture.
    size: of each tile.
  """

  starts: tuple[int, ...]
  size: int

  @property
  def end(self) -> int:
    """Latent pixels of the picture."""
    return self.starts[-1] + self.size


class Grid(NamedTuple):
  """Tiles of a picture."""

  rows: Side
  columns: Side

  @property
  def area(self) -> int:
    """Latent pixels of a tile."""
    return self.rows.size * self.columns.size

  @property
  def count(self) -> int:
    """Tiles."""
    return len(self.rows.starts) * len(self.columns.starts)

  @property
  def work(self) -> int:
    """Latent pixels of all tiles."""
    return self.count * self.area


def tilings(length: int, overlap: int) -> Iterator[Side]:
  """Ways to cover `length` latent pixels, from one tile to many.

  Tiles share `overlap` at least, and are no smaller than twice that nor than 8,
  unless the picture is.
  """
  count, size = 1, length
  least = max(_LEAST, 2 * overlap)
  while count == 1 or size >= least:
    spread = [
      (at * (length - size)) // max(1, count - 1) for at in range(count)
    ]
    yield Side(tuple(spread), size)
    count += 1
    size = -(-(length + (count - 1) * overlap) // count)


class Cut(NamedTuple):
  """A tile along one side.

  Attributes:
    before: where it is in a piece.
    after: where it is in what becomes of the piece.
    share: what it counts at each pixel there.
  """

  before: slice
  after: slice
  share: Float[np.ndarray, 'size']


def cuts(side: Side, before: int, after: int) -> list[Cut]:
  """The tiles of a side, a latent pixel being so many pixels."""
  found = []
  for start, share in zip(side.starts, shares(side, after), strict=True):
    ends = start, start + side.size
    cut = (slice(*(each * n for each in ends)) for n in (before, after))
    found.append(Cut(*cut, share))
  return found


def shares(side: Side, scale: int) -> Float[np.ndarray, 'tiles size']:
  """What each tile counts at its pixels; at any place they sum to 1.

  Args:
    side: the tiles, in latent pixels.
    scale: pixels of a latent pixel.
  """
  starts, size = [start * scale for start in side.starts], side.size * scale
  shares = np.ones((len(starts), size))
  at = np.arange(size) + 0.5
  for number, (here, there) in enumerate(itertools.pairwise(starts)):
    shared = here + size - there
    if shared:
      ramp = (at / shared - _MARGIN) / (1 - 2 * _MARGIN)
      shares[number + 1] *= np.clip(ramp, 0, 1)
      shares[number] *= np.clip(ramp, 0, 1)[::-1]
  total = np.zeros(side.end * scale)
  for start, share in zip(starts, shares, strict=True):
    total[start : start + size] += share
  for start, share in zip(starts, shares, strict=True):
    share /= total[start : start + size]
  return shares.astype(np.float32)
