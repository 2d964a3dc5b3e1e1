"""Numbers from a checkpoint into files of tensors, or back, a box at a time.

What was written is read again, and compared with what it was made of.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
import itertools
import pathlib
from typing import Any

import numpy as np

from launch.conversion import held as held_lib
from tv2tv_jax.interop import leaf as leaf_lib
from tv2tv_jax.interop import safetensors
from tv2tv_jax.train import bundle
from tv2tv_jax.train import digest as digest_lib
from tv2tv_jax.train import pieces

_PIECE = 8 << 20  # Bytes that are compared at once.

Tensors = Mapping[str, safetensors.Tensor]
Done = Callable[[int], Any]


def out(
  held: held_lib.Held,
  leaves: Iterable[leaf_lib.Leaf],
  tensors: Tensors,
  done: Done,
) -> list[dict[str, Any]]:
  """Fills tensors from a checkpoint; gives what a report says of each.

  Raises:
    ValueError: the checkpoint is damaged.
    OSError: what was written is not what is read.
  """
  lines = []
  for name, group in _by_name(leaves).items():
    array, total = held.arrays[name], 0
    far = dict.fromkeys(group, 0.0)
    try:
      for box in array.boxes():
        values = array.read(box)
        begin = tuple(part.start for part in box)
        total += digest_lib.of_box(values, begin, array.shape)
        for leaf, inner, at in _layers(group, box):
          own = values if at is None else values[at]
          error = _put(leaf, inner, own, tensors[leaf.source])
          far[leaf] = max(far[leaf], error)
        done(values.nbytes)
    except bundle.DamagedError as error:
      raise ValueError(f'damaged: {error}') from None
    if held.digests is not None and total % 2**32 != held.digests[name]:
      raise ValueError(f'damaged: {array.place}: not what was saved')
    lines += [_line(leaf, tensors, error) for leaf, error in far.items()]
  return lines


def back(
  arrays: Mapping[str, pieces.Piecewise],
  leaves: Iterable[leaf_lib.Leaf],
  tensors: Tensors,
  done: Done,
) -> tuple[list[dict[str, Any]], dict[str, int]]:
  """Fills new arrays in fp32 from tensors.

  Returns:
    What a report says of each tensor, and the digest of each array.

  Raises:
    OSError: an array cannot be written, or is not what was written.
  """
  lines, digests = [], {}
  for name, group in _by_name(leaves).items():
    array, total = arrays[name], 0
    for box in array.boxes():
      shape = [part.stop - part.start for part in box]
      values = np.empty(shape, array.dtype)
      for leaf, inner, at in _layers(group, box):
        into = values if at is None else values[at]
        place = leaf.here(tensors[leaf.source].mapped())
        into[...] = place[inner]
        done(into.size * place.dtype.itemsize)
        del place
      array.write(box, values)
      begin = tuple(part.start for part in box)
      total += digest_lib.of_box(values, begin, array.shape)
      if not _same(array.read(box), values):
        raise OSError(f'{array.place}: read back, it is not what was written')
    digests[name] = total % 2**32
    lines += [_line(leaf, tensors, 0.0) for leaf in group]
  return lines, digests


def compare(
  folder: pathlib.Path, leaves: Iterable[leaf_lib.Leaf], tensors: Tensors
) -> list[dict[str, Any]]:
  """What a report says of tensors that became the arrays of a folder.

  Raises:
    OSError: they are not the same numbers.
  """
  arrays, lines = pieces.opened(folder), []
  for leaf in leaves:
    array = arrays[leaf.name]
    for box in array.boxes():
      place = leaf.here(tensors[leaf.source].mapped())
      if not _same(array.read(box), place[box].astype(array.dtype)):
        raise OSError(f'{array.place}: read back, it is not what was written')
    lines.append(_line(leaf, tensors, 0.0))
  return lines


def _by_name(
  leaves: Iterable[leaf_lib.Leaf],
) -> dict[str, list[leaf_lib.Leaf]]:
  """Leaves by the array that they are slices of, which most are alone."""
  groups: dict[str, list[leaf_lib.Leaf]] = {}
  for leaf in leaves:
    groups.setdefault(leaf.name, []).append(leaf)
  return groups


def _layers(
  group: list[leaf_lib.Leaf], box: pieces.Box
) -> Iterator[tuple[leaf_lib.Leaf, pieces.Box, int | None]]:
  """The leaves that a box has to do with: box in the leaf, place in the box."""
  if group[0].layer is None:
    yield group[0], box, None
    return
  layers = range(box[0].start, box[0].stop)
  for leaf in group:
    if leaf.layer in layers:
      yield leaf, box[1:], leaf.layer - box[0].start


def _put(
  leaf: leaf_lib.Leaf,
  box: pieces.Box,
  values: np.ndarray,
  tensor: safetensors.Tensor,
) -> float:
  """Writes numbers to their place; how far they are once they are read."""
  # NumPy moves bits several times as fast as bfloat16.
  bits, far = np.dtype(f'u{tensor.dtype.itemsize}'), 0.0
  place = leaf.here(tensor.mapped(write=True).view(bits))[box]
  for cut in _cuts(values.shape, values.dtype.itemsize):
    written = values[cut].astype(tensor.dtype).view(bits)
    if written.any():  # What is not written is zero.
      place[cut] = written
  del place
  found = leaf.here(tensor.mapped().view(bits))[box]
  for cut in _cuts(values.shape, values.dtype.itemsize):
    read = np.ascontiguousarray(found[cut]).view(tensor.dtype)
    if not _same(read, values[cut].astype(tensor.dtype)):
      raise OSError(
        f'{tensor.file}: {leaf.source}: read back, it is not what was written'
      )
    if tensor.dtype != values.dtype:
      far = max(far, _distance(read, values[cut]))
  return far


def _cuts(shape: tuple[int, ...], itemsize: int) -> Iterator[pieces.Box]:
  """Rows, and rows of rows, until a piece is small."""
  steps, room = [], _PIECE // itemsize
  for axis in range(len(shape)):
    rest = int(np.prod(shape[axis + 1 :]))
    steps.append(max(1, min(shape[axis], room // max(1, rest))))
    room = room if steps[-1] == 1 else rest * steps[-1]
  starts = (range(0, n, step) for n, step in zip(shape, steps, strict=True))
  for begin in itertools.product(*starts):
    yield tuple(slice(b, b + s) for b, s in zip(begin, steps, strict=True))


def _bits(values: np.ndarray) -> np.ndarray:
  """The numbers as integers, among which no two are equal that differ."""
  values = np.ascontiguousarray(values)
  return values.view(f'u{values.dtype.itemsize}')


def _same(one: np.ndarray, other: np.ndarray) -> bool:
  """Whether the bits of all numbers are."""
  return np.array_equal(_bits(one), _bits(other))


def _distance(one: np.ndarray, other: np.ndarray) -> float:
  """The largest absolute difference; infinite where one is no number."""
  with np.errstate(invalid='ignore'):
    far = np.abs(one.astype(np.float32) - other.astype(np.float32))
  return float(np.nan_to_num(far, nan=np.inf).max(initial=0.0))


def _line(leaf: leaf_lib.Leaf, tensors: Tensors, far: float) -> dict[str, Any]:
  """What a report says of a tensor."""
  tensor = tensors[leaf.source]
  line = {
    'there': leaf.source,
    'here': leaf.name,
    'shape': list(tensor.shape),
    'dtype': tensor.dtype.name,
    'max_difference': far,
  }
  if leaf.layer is not None:
    line['layer'] = leaf.layer
  if leaf.part[1] > 1:
    line['part'] = list(leaf.part)
  return line
