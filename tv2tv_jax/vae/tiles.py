"""Pictures of any size through the causal VAE, in memory that is bounded.

A picture is cut into tiles of equal size that overlap, and every piece of a
clip goes through one program tile by tile. Each tile has its own past, which
waits in the memory of the host, so that the device holds a single tile however
large the picture is. Where tiles overlap they are blended: the outer quarter of
an overlap counts nothing, for there a tile sees its own edge, and between is a
linear ramp. A choice: tiles as in diffusers' VAEs, but sized by the compiler's
own account of memory, and with margins.

Layers that look at a whole picture (attention, norms over pictures) see a tile
only: there a tiled picture is near the whole one, not equal to it.
"""

from collections.abc import Mapping
import dataclasses
import itertools
import math
from typing import Any

import jax
import numpy as np

from tv2tv_jax.vae import grid as grid_lib
from tv2tv_jax.vae import program as program_lib
from tv2tv_jax.vae import stream as stream_lib
from tv2tv_jax.vae import vae as vae_lib

_GIB = 1 << 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class TileConfig:
  """How large a tile may be.

  Attributes:
    memory: of a device, in GiB; parameters, a piece, its past and all between.
    overlap: pixels that neighbours share at least, rounded up to whole latent
      pixels.
  """

  memory: float = 8.0
  overlap: int = 64

  def __post_init__(self):
    if not self.memory > 0:
      raise ValueError(f'tiles.memory is {self.memory}: give more than 0 GiB')
    if self.overlap < 0:
      raise ValueError(f'tiles.overlap is {self.overlap}: give 0 or more')


def stream(
  vae: vae_lib.Vae, config: TileConfig, **kwargs: Any
) -> stream_lib.Stream:
  """A stream whose pieces run tile by tile; `kwargs` are of `Stream`.

  A picture that fits whole is one tile, and the stream a plain one.
  """
  made = stream_lib.Stream(vae, **kwargs)
  _, *pixels = vae.config.stride
  pixels, latents = tuple(pixels), (1, 1)
  made.encoder = Tiles(made.encoder, config, pixels, latents)
  made.decoder = Tiles(made.decoder, config, latents, pixels)
  return made


class Tiles:
  """A program that runs tile by tile, and knows which.

  Attributes:
    program: runs on a tile.
  """

  def __init__(
    self,
    program: program_lib.Program,
    config: TileConfig,
    before: tuple[int, int],
    after: tuple[int, int],
  ):
    """Prepares; tiles are chosen when the first piece comes.

    Args:
      program: runs on a tile.
      config: how large a tile may be.
      before: rows and columns of a piece that are one latent pixel.
      after: the same of what the program makes of it.
    """
    self.program, self._config = program, config
    self._before, self._after = before, after
    self._grids: dict[Any, grid_lib.Grid] = {}

  @property
  def compile_seconds(self) -> float:
    """Spent on compiling so far, with what was compiled to choose tiles."""
    return self.program.compile_seconds

  def memory(self, shape: tuple[int, ...], dtype: Any) -> int:
    """Bytes of a device that a tile of such a piece needs."""
    tile = self._tile(shape, self.grid(shape, dtype))
    return self.program.memory(tile, dtype)

  def __call__(
    self, piece: np.ndarray, past: vae_lib.Past = None
  ) -> tuple[np.ndarray, vae_lib.Past]:
    """Values of a piece, and the pasts of its tiles, which the host holds."""
    grid = self.grid(piece.shape, piece.dtype)
    if grid.count == 1:
      return self.program(piece, past)
    cuts = map(grid_lib.cuts, grid, self._before, self._after)
    tiles = list(itertools.product(*cuts))
    whole, kept = None, []
    olds = [None] * grid.count if past is None else past
    for (rows, columns), old in zip(tiles, olds, strict=True):
      values, new = self.program(piece[:, :, rows.before, columns.before], old)
      kept.append(jax.device_get(new))
      if whole is None:
        size = (each.end * n for each, n in zip(grid, self._after, strict=True))
        whole = np.zeros((*values.shape[:2], *size, values.shape[-1]), 'f4')
      share = rows.share[:, None, None] * columns.share[:, None]
      whole[:, :, rows.after, columns.after] += share * values
    return whole, kept

  def grid(self, shape: tuple[int, ...], dtype: Any) -> grid_lib.Grid:
    """The tiles of pieces of a shape.

    Those of the least work whose program fits, as the compiler says of it.
    Memory is all but linear in the area of a tile, so few are asked about.

    Raises:
      ValueError: not even the smallest tile fits.
    """
    key = (*shape, np.dtype(dtype))
    if key not in self._grids:
      self._grids[key] = self._chosen(shape, dtype)
    return self._grids[key]

  def _chosen(self, shape: tuple[int, ...], dtype: Any) -> grid_lib.Grid:
    bound, asked = self._config.memory * _GIB, {}

    def ask(grid):
      asked[grid] = self.program.memory(self._tile(shape, grid), dtype)

    options = self._options(shape)
    smallest, *larger = options
    ask(smallest)
    if asked[smallest] > bound:
      _, _, rows, columns, _ = self._tile(shape, smallest)
      raise ValueError(
        f'not even a tile of {columns} x {rows} fits into '
        f'{self._config.memory:g} GiB: it needs {asked[smallest]} bytes; give '
        'more memory, or fewer latents at once'
      )
    if larger:
      double = [each for each in larger if each.area >= 2 * smallest.area]
      ask((double or larger[-1:])[0])
    while promising := _promising(options, asked, bound):
      ask(min(promising, key=_cost))
    best = min((each for each in asked if asked[each] <= bound), key=_cost)
    for each in asked.keys() - {best}:
      self.program.forget(self._tile(shape, each), dtype)
    return best

  def _options(self, shape: tuple[int, ...]) -> list[grid_lib.Grid]:
    """All ways to tile a picture, the smallest tiles first."""
    sides = []
    for length, before, after in zip(
      shape[2:4], self._before, self._after, strict=True
    ):
      overlap = math.ceil(self._config.overlap / max(before, after))
      sides.append(list(grid_lib.tilings(length // before, overlap)))
    grids = [grid_lib.Grid(*each) for each in itertools.product(*sides)]
    return sorted(grids, key=lambda grid: grid.area)

  def _tile(
    self, shape: tuple[int, ...], grid: grid_lib.Grid
  ) -> tuple[int, ...]:
    """The shape of a tile of a piece."""
    rows, columns = (
      side.size * n for side, n in zip(grid, self._before, strict=True)
    )
    return *shape[:2], rows, columns, shape[-1]


def _promising(
  options: list[grid_lib.Grid],
  asked: Mapping[grid_lib.Grid, int],
  bound: float,
) -> list[grid_lib.Grid]:
  """What is better than all that fits, and fits too if memory is linear.

  By the line through the last two that were asked about.
  """
  best = min(_cost(each) for each in asked if asked[each] <= bound)
  known = list({each.area: size for each, size in asked.items()}.items())
  (x, y), (before, less) = known[-1], known[-2] if known[1:] else (0, 0)
  slope = (y - less) / (x - before)
  return [
    each
    for each in options
    if each not in asked
    and _cost(each) < best
    and y + slope * (each.area - x) <= bound
  ]


def _cost(grid: grid_lib.Grid) -> tuple[int, int]:
  """Work, then tiles."""
  return grid.work, grid.count
