"""Tensors of a Hugging Face folder: named and shaped first, read in pieces.

The library checks a file's header against its length; reading is done here,
a few rows at a time, for it would map whole files into memory. So is writing
(`shards.py`): a tensor is mapped where it is to be.
"""

from collections.abc import Iterator
import json
import math
import pathlib
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import safetensors

DTYPES = {
  'F32': np.dtype(np.float32),
  'F16': np.dtype(np.float16),
  'BF16': np.dtype(jnp.bfloat16),
}
_PIECE = 8 << 20  # Bytes read at once.


class Tensor(NamedTuple):
  """A tensor that has not been read.

  Attributes:
    file: where it is.
    dtype: of its numbers.
    shape: of the tensor.
    begin: its first byte in the file.
  """

  file: pathlib.Path
  dtype: np.dtype
  shape: tuple[int, ...]
  begin: int

  @property
  def size(self) -> int:
    """Bytes."""
    return math.prod(self.shape) * self.dtype.itemsize

  def mapped(self, *, write: bool = False) -> np.ndarray:
    """The tensor as it stands in its file, which is not read before it is used.

    Memory that was touched is counted as this process's until the array goes.
    """
    if not self.size:
      return np.empty(self.shape, self.dtype)
    there = np.memmap(
      self.file,
      self.dtype,
      'r+' if write else 'r',
      offset=self.begin,
      shape=self.shape,
    )
    return np.asarray(there)

  def pieces(
    self, begin: int = 0, end: int | None = None
  ) -> Iterator[tuple[int, np.ndarray]]:
    """Some rows from `begin` to `end` at a time, and the place of the first."""
    row = self.shape[1:]
    width = math.prod(row)
    end = self.shape[0] if end is None else end
    step = max(1, _PIECE // (width * self.dtype.itemsize))
    for first in range(begin, end, step):
      rows = min(step, end - first)
      numbers = np.fromfile(
        self.file,
        self.dtype,
        rows * width,
        offset=self.begin + first * width * self.dtype.itemsize,
      )
      yield first, numbers.reshape(rows, *row)


def tensors(folder: pathlib.Path, stem: str) -> dict[str, Tensor]:
  """The tensors of a folder: of its one file, or of the shards of its index.

  Args:
    folder: has `STEM.safetensors` or `STEM.safetensors.index.json`.
    stem: `model` as transformers names files.

  Raises:
    ValueError: no weights there, a shard that is missing or not whole, or an
      index that tells of other tensors than its shards hold.
  """
  single = folder / f'{stem}.safetensors'
  if single.is_file():
    return _of_file(single)
  index = folder / f'{single.name}.index.json'
  if not index.is_file():
    raise ValueError(f'{folder}: neither {single.name} nor {index.name} there')
  places = mapping(index).get('weight_map')
  if not isinstance(places, dict) or not all(
    isinstance(name, str) and name == pathlib.PurePath(name).name
    for name in places.values()
  ):
    raise ValueError(f'{index}: weight_map does not map tensors to file names')
  files = sorted(set(places.values()))
  absent = [name for name in files if not (folder / name).is_file()]
  if absent:
    raise ValueError(
      f'{folder}: no {", ".join(absent)} there, which {index.name} names'
    )
  found, where = {}, {}
  for name in files:
    part = _of_file(folder / name)
    found |= part
    where |= dict.fromkeys(part, name)
  wrong = [
    f'{key} is in {where.get(key)}, said to be in {places.get(key)}'
    for key in sorted(places.keys() | where.keys())
    if where.get(key) != places.get(key)
  ]
  if wrong:
    raise ValueError(f'{index}: {"; ".join(wrong)}')
  return found


def mapping(path: pathlib.Path) -> dict[str, Any]:
  """The mapping that a JSON file holds.

  Raises:
    ValueError: no such file, or no mapping in it.
  """
  if not path.is_file():
    raise ValueError(f'{path.parent}: no {path.name} there')
  try:
    values = json.loads(path.read_bytes())
  except ValueError as error:
    raise ValueError(f'{path}: not JSON ({error})') from None
  if not isinstance(values, dict):
    raise ValueError(f'{path}: JSON, but no mapping')
  return values


def _of_file(path: pathlib.Path) -> dict[str, Tensor]:
  """The tensors of one file."""
  found = {}
  try:
    with safetensors.safe_open(path, framework='numpy') as file:
      for name in file.offset_keys():
        header = file.get_slice(name)
        found[name] = header.get_dtype(), tuple(header.get_shape())
  except safetensors.SafetensorError as error:
    raise ValueError(
      f'{path}: no safetensors file, or not all of one ({error})'
    ) from None
  other = [
    f'{n} is {kind}' for n, (kind, _) in found.items() if kind not in DTYPES
  ]
  if other:
    raise ValueError(
      f'{path}: {", ".join(other)}; read are {", ".join(DTYPES)}'
    )
  with path.open('rb') as file:
    begin = 8 + int.from_bytes(file.read(8), 'little')
  # The format leaves no gap between one tensor and the next.
  for name, (kind, shape) in found.items():
    found[name] = Tensor(path, DTYPES[kind], shape, begin)
    begin += found[name].size
  return found
