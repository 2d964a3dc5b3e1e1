"""Files of tensors that are laid out first, and filled in any order.

A file has its full length from the beginning: where a disk has no room for it,
that shows before anything is computed. What is not written is zero.
"""

from collections.abc import Iterable, Iterator, Mapping
import json
import math
import os
import pathlib
import re

import numpy as np

from tv2tv_jax.interop import safetensors

_UNITS = {'': 1, 'B': 1, 'KB': 10**3, 'MB': 10**6, 'GB': 10**9, 'TB': 10**12}
_ALIGNED = 8  # Bytes; the data of a file begins at a multiple.

# The dtype and shape of tensors by their names.
Kinds = Mapping[str, tuple[np.dtype, tuple[int, ...]]]


def size(text: str) -> int:
  """Bytes of a text as `5GB`.

  Raises:
    ValueError: another text, or no bytes.
  """
  match = re.fullmatch(r'(\d+(?:\.\d+)?) *([KMGT]?B?)', text.strip())
  if match is None or match[2] not in _UNITS or not float(match[1]):
    raise ValueError(
      f'{text!r} is no size: give a number with {", ".join(list(_UNITS)[2:])}'
    )
  return int(float(match[1]) * _UNITS[match[2]])


def begin(
  folder: pathlib.Path, stem: str, kinds: Kinds, most: int
) -> dict[str, safetensors.Tensor]:
  """Makes the files of a folder, with an index where there are several.

  Args:
    folder: gets `STEM.safetensors`, or `STEM-00001-of-0000N.safetensors`.
    stem: `model` as transformers names files.
    kinds: of the tensors, in their order.
    most: bytes of a file, unless one tensor has more.

  Returns:
    The tensors, all zero.

  Raises:
    OSError: there is no room.
  """
  parts = list(_parts(kinds, most))
  names = [f'{stem}.safetensors']
  if len(parts) > 1:
    names = [
      f'{stem}-{at:05}-of-{len(parts):05}.safetensors'
      for at in range(1, len(parts) + 1)
    ]
  found, places = {}, {}
  for name, part in zip(names, parts, strict=True):
    found |= _begin(folder / name, {key: kinds[key] for key in part})
    places |= dict.fromkeys(part, name)
  if len(parts) > 1:
    total = sum(tensor.size for tensor in found.values())
    index = {'metadata': {'total_size': total}, 'weight_map': places}
    text = json.dumps(index, indent=2) + '\n'
    (folder / f'{stem}.safetensors.index.json').write_text(text)
  return found


def bytes_of(kind: tuple[np.dtype, tuple[int, ...]]) -> int:
  """Bytes of a tensor."""
  dtype, shape = kind
  return math.prod(shape) * dtype.itemsize


def _parts(kinds: Kinds, most: int) -> Iterator[list[str]]:
  """The names of the tensors of each file."""
  part, room = [], most
  for name, kind in kinds.items():
    size = bytes_of(kind)
    if part and size > room:
      yield part
      part, room = [], most
    part.append(name)
    room -= size
  yield part


def _begin(path: pathlib.Path, kinds: Kinds) -> dict[str, safetensors.Tensor]:
  """A file with its header, of its full length."""
  names = {dtype: name for name, dtype in safetensors.DTYPES.items()}
  header, end = {'__metadata__': {'format': 'pt'}}, 0
  for name, (dtype, shape) in kinds.items():
    first, end = end, end + bytes_of((dtype, shape))
    header[name] = {
      'dtype': names[dtype],
      'shape': list(shape),
      'data_offsets': [first, end],
    }
  text = json.dumps(header, separators=(',', ':')).encode()
  text += b' ' * (-len(text) % _ALIGNED)
  with path.open('wb') as file:
    file.write(len(text).to_bytes(8, 'little') + text)
    file.flush()
    _reserve(file.fileno(), 8 + len(text), end, path)
  return {
    name: safetensors.Tensor(
      path, *kinds[name], 8 + len(text) + header[name]['data_offsets'][0]
    )
    for name in kinds
  }


def _reserve(file: int, begin: int, size: int, path: pathlib.Path) -> None:
  """Makes a file longer by bytes that the disk has."""
  if not size:
    return
  try:
    os.posix_fallocate(file, begin, size)
  except OSError as error:
    raise OSError(error.errno, error.strerror, str(path)) from None


def flush(tensors: Iterable[safetensors.Tensor]) -> None:
  """Waits until the files of some tensors are on the disk."""
  for path in sorted({tensor.file for tensor in tensors}):
    with path.open('rb+') as file:
      os.fsync(file.fileno())
