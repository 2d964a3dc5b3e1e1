"""A run, released or not, as a Hugging Face folder for PyTorch."""

from collections.abc import Callable, Sequence
import functools
import pathlib
from typing import Any

import numpy as np

from launch.conversion import filling
from launch.conversion import folders
from launch.conversion import held as held_lib
from launch.conversion import plan as plan_lib
from tv2tv_jax.interop import leaf as leaf_lib
from tv2tv_jax.interop import shards

_FOLDERS = {'all': folders.whole, 'text': folders.text, 'vae': folders.vae}


def plan(workdir: pathlib.Path, asked: plan_lib.Asked) -> plan_lib.Plan:
  """What becomes of a workdir.

  Raises:
    ValueError: no workdir, not whole, or one that has no such part.
  """
  folder = _FOLDERS[asked.part](folders.run(workdir), asked)
  kinds = {}
  for held, leaves in folder.groups:
    held_lib.agree(held, leaves)
    kinds |= _kinds(held, leaves, asked.dtype)
  kind = next(iter(kinds.values()))[0].name
  return plan_lib.Plan(
    head={
      'part': asked.part,
      'made_of': [held.known for held, _ in folder.groups],
      'dtype': kind,
      'max_shard_size': asked.most,
    },
    tensors=len(kinds),
    size=sum(
      int(np.prod(array.shape)) * array.dtype.itemsize
      for held, _ in folder.groups
      for array in held.arrays.values()
    ),
    write=functools.partial(_write, folder, kinds, asked.most, kind),
  )


def _write(
  folder: folders.Folder,
  kinds: shards.Kinds,
  most: int,
  kind: str,
  partial: pathlib.Path,
  done: Callable[[int], Any],
) -> dict[str, Any]:
  """Fills a folder; gives the rest of its report."""
  tensors = shards.begin(partial, folder.stem, kinds, most)
  folder.rest(partial, kind)
  lines = []
  for held, leaves in folder.groups:
    lines += filling.out(held, leaves, tensors, done)
  shards.flush(tensors.values())
  return {
    'tensors': lines,
    'max_difference': max(line['max_difference'] for line in lines),
    'remarks': list(folder.remarks),
  }


def _kinds(
  held: held_lib.Held,
  leaves: Sequence[leaf_lib.Leaf],
  dtype: np.dtype | None,
) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
  """What the tensors are; several leaves may be parts of one."""
  return {
    leaf.source: (dtype or held.arrays[leaf.name].dtype, leaf.whole)
    for leaf in leaves
  }
