"""Arrays of a checkpoint in pieces, none of which is much of a model.

Orbax reads and writes an array as a whole, also one that is stacked over all
layers. Here TensorStore, on which Orbax stands, does so a box at a time.
"""

from collections.abc import Iterator, Mapping
import itertools
import math
import os
import pathlib
import shutil
import tempfile
from typing import Any, NamedTuple

import numpy as np
import tensorstore

from tv2tv_jax.train import bundle

# Bytes of a chunk that is written, which is in memory at once.
_CHUNK = 16 << 20
# What a folder holds of its arrays, beside what Orbax says of them.
_STORE = ('manifest.ocdbt', 'd', 'ocdbt.process_0')

Box = tuple[slice, ...]


class Piecewise(NamedTuple):
  """An array on disk.

  Attributes:
    place: its folder and its name, for errors.
    array: what reads and writes it.
  """

  place: str
  array: tensorstore.TensorStore

  @property
  def shape(self) -> tuple[int, ...]:
    """Of the array."""
    return tuple(self.array.shape)

  @property
  def dtype(self) -> np.dtype:
    """Of its numbers."""
    return np.dtype(self.array.dtype.numpy_dtype)

  def boxes(self) -> Iterator[Box]:
    """The chunks in which it is on disk: what is read or written at once."""
    step = self.array.chunk_layout.write_chunk.shape or ()
    starts = (range(0, n, s) for n, s in zip(self.shape, step, strict=True))
    for begin in itertools.product(*starts):
      yield tuple(
        slice(b, min(b + s, n))
        for b, s, n in zip(begin, step, self.shape, strict=True)
      )

  def read(self, box: Box) -> np.ndarray:
    """Its numbers in a box.

    Raises:
      DamagedError: they cannot be read.
    """
    try:
      return self.array[box].read().result()
    except Exception as error:
      raise bundle.DamagedError(
        f'{self.place}: {bundle.reason(error)}'
      ) from error

  def write(self, box: Box, values: np.ndarray) -> None:
    """Puts numbers into a box of whole chunks.

    Raises:
      OSError: they cannot be written.
    """
    try:
      self.array[box].write(values).result()
    except Exception as error:
      raise OSError(f'{self.place}: {bundle.reason(error)}') from error


def opened(folder: pathlib.Path) -> dict[str, Piecewise]:
  """The arrays of a part of a checkpoint, or of one that has a single part.

  Raises:
    DamagedError: they cannot be opened.
  """
  parts = [folder] if (folder / _STORE[0]).is_file() else folder.glob('*')
  parts = [path for path in parts if (path / _STORE[0]).is_file()]
  if len(parts) != 1:
    raise bundle.DamagedError(f'{folder}: no arrays there')
  (folder,) = parts
  bundle.give_memory_back()
  try:
    store = tensorstore.KvStore.open(_store(folder)).result()
    keys = [key.decode() for key in store.list().result()]
    names = sorted({k.rpartition('/')[0] for k in keys if _describes(k)})
    return {
      name: Piecewise(
        f'{folder}: {name}',
        tensorstore.open(
          _spec(folder, name, f'{name}/zarr.json' in keys), open=True
        ).result(),
      )
      for name in names
    }
  except Exception as error:
    raise bundle.DamagedError(f'{folder}: {bundle.reason(error)}') from error


def begin(
  folder: pathlib.Path, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Piecewise]:
  """New arrays in fp32, all zero, in a folder that is for them alone."""
  bundle.give_memory_back()
  # Waiting for the disk at every chunk would take most of the time.
  late = tensorstore.Context({'file_io_sync': False})
  found = {}
  for name, shape in shapes.items():
    chunk = _chunk(shape)
    grid = {'name': 'regular', 'configuration': {'chunk_shape': chunk}}
    spec = _spec(folder, name, True) | {
      'metadata': {
        'shape': list(shape),
        'data_type': 'float32',
        'chunk_grid': grid,
        'codecs': [{'name': 'bytes', 'configuration': {'endian': 'little'}}],
      }
    }
    try:
      array = tensorstore.open(spec, create=True, context=late).result()
    except Exception as error:
      raise OSError(f'{folder}: {bundle.reason(error)}') from error
    found[name] = Piecewise(f'{folder}: {name}', array)
  return found


def adopt(
  arrays: pathlib.Path,
  folder: pathlib.Path,
  part: str,
  contents: bundle.Contents,
) -> None:
  """Makes a checkpoint of arrays that `begin` began in the folder `arrays`.

  Orbax writes it, of single numbers; then the arrays take their place.
  """
  names = [name.partition('.')[2] for name in contents['arrays']]
  with tempfile.TemporaryDirectory(dir=arrays.parent) as aside:
    bare = pathlib.Path(aside) / 'bare'
    stand_ins = {name: np.zeros(1, np.float32) for name in names}
    bundle.write(bare, {part: stand_ins}, contents)
    for name in _STORE:
      _remove(bare / part / name)
    for path in arrays.rglob('*'):
      if path.is_file():
        _flush(path)
    for path in list(arrays.iterdir()):
      path.rename(bare / part / path.name)
    arrays.rmdir()
    folder.parent.mkdir(parents=True, exist_ok=True)
    bare.rename(folder)


def _flush(path: pathlib.Path) -> None:
  """Waits until a file is on the disk."""
  with path.open('rb+') as file:
    os.fsync(file.fileno())


def _remove(path: pathlib.Path) -> None:
  """Takes a file or a folder away, if it is there."""
  if path.is_dir():
    shutil.rmtree(path)
  else:
    path.unlink(missing_ok=True)


def _chunk(shape: tuple[int, ...]) -> list[int]:
  """How much of an array is written at once: as many of its rows as may be."""
  chunk, room = list(shape), _CHUNK // 4
  for axis in range(len(shape)):
    rest = math.prod(shape[axis + 1 :])
    chunk[axis] = max(1, min(shape[axis], room // max(1, rest)))
    if chunk[axis] * rest <= room:
      break
  return chunk


def _describes(key: str) -> bool:
  """Whether a key is of what describes an array."""
  return key.rpartition('/')[2] in ('zarr.json', '.zarray')


def _store(folder: pathlib.Path) -> dict[str, Any]:
  """Where the arrays of a folder are."""
  return {'driver': 'ocdbt', 'base': f'file://{folder.absolute()}/'}


def _spec(folder: pathlib.Path, name: str, third: bool) -> dict[str, Any]:
  """Where an array is, of the third version of Zarr or of the second."""
  return {
    'driver': 'zarr3' if third else 'zarr',
    'kvstore': _store(folder) | {'path': f'{name}/'},
  }
