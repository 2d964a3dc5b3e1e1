"""The arrays of a workdir on disk, of its model and of its VAE."""

from collections.abc import Iterable, Mapping
import pathlib
from typing import Any, NamedTuple

from tv2tv_jax.interop import leaf as leaf_lib
from tv2tv_jax.train import bundle
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import pieces
from tv2tv_jax.train import vae_folder


class Held(NamedTuple):
  """Arrays that have not been read.

  Attributes:
    place: where they are, for errors.
    arrays: by their names.
    digests: of each array as it was saved; None where nothing says them.
    known: what the arrays are known by, for a report.
  """

  place: pathlib.Path
  arrays: dict[str, pieces.Piecewise]
  digests: dict[str, int] | None
  known: dict[str, Any]


def model(workdir: pathlib.Path, *, ema: bool) -> Held:
  """The model of the newest checkpoint.

  Args:
    workdir: of a run, or released: that has the averaged weights alone, and no
      others are meant.
    ema: the averaged weights.

  Raises:
    ValueError: no checkpoint there, or one that is damaged.
  """
  return _of_checkpoint(workdir, ('ema',) if ema else ('model', 'ema'), '')


def vae(folder: pathlib.Path) -> Held:
  """The VAE of a folder; of a training run, the averaged one.

  Raises:
    ValueError: no VAE there, or one that is damaged.
  """
  weights = folder / vae_folder.WEIGHTS
  if not weights.is_dir():
    return _of_checkpoint(folder, ('ema',), 'vae.')
  try:
    arrays = pieces.opened(weights)
  except bundle.DamagedError as error:
    raise ValueError(f'a VAE that is damaged: {error}') from None
  return Held(weights, arrays, None, {})


def agree(held: Held, leaves: Iterable[leaf_lib.Leaf]) -> None:
  """ValueError names all that is missing, unknown or of another shape."""
  depths: dict[str, int] = {}
  wanted = {}
  for leaf in leaves:
    shape = leaf.shape
    if leaf.layer is not None:
      depths[leaf.name] = depths.get(leaf.name, 0) + 1
      shape = (depths[leaf.name], *shape)
    wanted[leaf.name] = str(list(shape))
  found = {name: str(list(a.shape)) for name, a in held.arrays.items()}
  bundle.agree(held.place, found, wanted)


def _of_checkpoint(
  workdir: pathlib.Path, parts: tuple[str, ...], prefix: str
) -> Held:
  """The first of some parts that the newest checkpoint has."""
  step = checkpoint.newest(workdir)
  if step is None:
    raise ValueError(f'{workdir}: no checkpoint there; train first')
  folder = workdir / checkpoint.FOLDER / str(step)
  try:
    contents = bundle.read_contents(folder.absolute())
    part = _first(parts, contents['arrays'], folder)
    arrays = pieces.opened(folder / part)
  except bundle.DamagedError as error:
    raise ValueError(f'{folder}: damaged: {error}') from None
  begins = f'{part}.{prefix}'
  return Held(
    folder / part,
    {
      name.removeprefix(prefix): array
      for name, array in arrays.items()
      if name.startswith(prefix)
    },
    {
      name.removeprefix(begins): array['digest']
      for name, array in contents['arrays'].items()
      if name.startswith(begins)
    },
    {'step': step, 'part': part, 'digest': bundle.digest(contents)},
  )


def _first(
  parts: tuple[str, ...], arrays: Mapping[str, Any], folder: pathlib.Path
) -> str:
  """The first part that a checkpoint has."""
  there = {name.partition('.')[0] for name in arrays}
  for part in parts:
    if part in there:
      return part
  raise ValueError(f'{folder}: has no part {" or ".join(parts)}')
