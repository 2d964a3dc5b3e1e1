"""Tensors of a file that PyTorch or safetensors wrote; nothing in it is run.

PyTorch's files are pickles, which may call anything: here they may name what
tensors are made of and nothing else. So its three formats are read without it:
archives of `torch.save`, what it wrote before version 1.6, and TorchScript,
whose program stays where it is.
"""

from collections.abc import Callable, Iterator
import io
import pathlib
import pickle
import pickletools
import struct
from typing import Any, NamedTuple
import zipfile
import zlib

import jax.numpy as jnp
import numpy as np
import safetensors
from safetensors import numpy as safetensors_numpy

_OLD_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {
  'FloatStorage': np.dtype(np.float32),
  'DoubleStorage': np.dtype(np.float64),
  'HalfStorage': np.dtype(np.float16),
  'BFloat16Storage': np.dtype(jnp.bfloat16),
  'LongStorage': np.dtype(np.int64),
  'IntStorage': np.dtype(np.int32),
}
# What damaged or foreign bytes may raise on their way through a pickle.
_TROUBLES = (
  pickle.UnpicklingError,
  zipfile.BadZipFile,
  EOFError,
  LookupError,
  AttributeError,
  TypeError,
  ValueError,
  MemoryError,
  OverflowError,
  RuntimeError,  # RecursionError, and a compression that is not known
  struct.error,
  zlib.error,
)


class _Storage(NamedTuple):
  """Numbers that several tensors may share.

  Attributes:
    key: its name in the file.
    dtype: of the numbers.
  """

  key: str
  dtype: np.dtype


class _Tensor(NamedTuple):
  """A tensor that has not been read; counts are in numbers.

  Attributes:
    storage: where its numbers are.
    offset: of its first.
    shape: of the tensor.
    strides: from each place on an axis to the next.
  """

  storage: _Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]


class _Module(dict):
  """A part of a TorchScript program: its attributes by name."""

  def __setstate__(self, state: dict[str, Any]) -> None:
    self.update(state)


def tensors(path: pathlib.Path) -> dict[str, np.ndarray]:
  """The tensors of a file by their names.

  Args:
    path: `.safetensors`; anything else is PyTorch's.

  Raises:
    ValueError: no such file, another kind of file, or not all of one.
  """
  try:
    if path.suffix == '.safetensors':
      return safetensors_numpy.load_file(path)
    file = io.BytesIO(path.read_bytes())
    return (_archived if zipfile.is_zipfile(file) else _old)(file)
  except OSError as error:
    raise ValueError(f'{path}: cannot be read ({error.strerror})') from None
  except (safetensors.SafetensorError, *_TROUBLES) as error:
    raise ValueError(
      f'{path}: no file of tensors, or not all of one '
      f'({type(error).__name__}: {error})'
    ) from None


def _archived(file: io.BytesIO) -> dict[str, np.ndarray]:
  """The tensors of an archive, TorchScript's among them."""
  with zipfile.ZipFile(file) as archive:
    found = [n for n in archive.namelist() if n.endswith('/data.pkl')]
    if len(found) != 1:
      raise ValueError('an archive, but none of PyTorch')
    folder = found[0].removesuffix('data.pkl')
    whole, _ = _unpickled(io.BytesIO(archive.read(found[0])))
    return _filled(whole, lambda key: archive.read(f'{folder}data/{key}'))


def _old(file: io.BytesIO) -> dict[str, np.ndarray]:
  """The tensors of a file from before archives: pickles, then numbers."""
  file.seek(0)
  if _unpickled(file)[0] != _OLD_MAGIC:
    raise ValueError('a pickle, but none of PyTorch')
  for _ in range(2):  # the format's version, and sizes of the machine's types
    _unpickled(file)
  whole, dtypes = _unpickled(file)
  numbers = {}
  for key in _unpickled(file)[0]:
    count = int.from_bytes(file.read(8), 'little')
    numbers[key] = file.read(count * dtypes[key].itemsize)
  return _filled(whole, numbers.__getitem__)


def _unpickled(file: io.BytesIO) -> tuple[Any, dict[str, np.dtype]]:
  """What the next pickle of a file holds, and the dtypes of storages in it.

  Raises:
    ValueError: a pickle that would number what it holds beyond all there can
      be, for which `pickle` makes room at once.
  """
  begin = file.tell()
  for opcode, number, _ in pickletools.genops(file):
    if opcode.name.endswith('PUT') and number > file.getbuffer().nbytes:
      raise ValueError(f'a pickle, damaged at {opcode.name} {number}')
  file.seek(begin)
  unpickler = _Unpickler(file)
  return unpickler.load(), unpickler.dtypes


class _Unpickler(pickle.Unpickler):
  """Reads pickles that hold tensors, and plain values around them."""

  def __init__(self, file: io.BytesIO):
    super().__init__(file, encoding='latin1')
    self.dtypes = {}

  def find_class(self, module: str, name: str) -> Any:
    """What a name stands for, if tensors are made of it."""
    if module.startswith('__torch__'):
      return _Module
    if module == 'torch' and name in _DTYPES:
      return name
    try:
      return _NAMES[module, name]
    except KeyError:
      raise pickle.UnpicklingError(f'{module}.{name} is no tensor') from None

  def persistent_load(self, pid: Any) -> _Storage:
    """A storage, by what the file says of it."""
    kind, dtype, key = pid[:3]
    if kind != 'storage':
      raise pickle.UnpicklingError(f'{kind} is no storage')
    self.dtypes[key] = _DTYPES[dtype]
    return _Storage(key, _DTYPES[dtype])


def _rebuilt(
  storage: _Storage,
  offset: int,
  shape: tuple[int, ...],
  strides: tuple[int, ...],
  *_,
) -> _Tensor:
  return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _listed(values: Any, *_) -> Any:
  return values


# Functions and classes that the files name, and what here does their part.
_NAMES: dict[tuple[str, str], Callable[..., Any]] = {
  ('collections', 'OrderedDict'): _Module,
  ('torch._utils', '_rebuild_tensor'): _rebuilt,
  ('torch._utils', '_rebuild_tensor_v2'): _rebuilt,
  ('torch._utils', '_rebuild_parameter'): _listed,
} | {
  ('torch.jit._pickle', f'build_{kind}list'): _listed
  for kind in ('int', 'tensor', 'double', 'bool')
}


def _filled(
  whole: Any, numbers: Callable[[str], bytes]
) -> dict[str, np.ndarray]:
  """Every tensor with its numbers, by the names that lead to it."""
  held = {}
  out = {}
  for name, tensor in _named(whole):
    key, dtype = tensor.storage
    if key not in held:
      held[key] = np.frombuffer(numbers(key), dtype)
    out[name] = _viewed(held[key], tensor, name)
  return out


def _named(value: Any, prefix: str = '') -> Iterator[tuple[str, _Tensor]]:
  """The tensors in a value; what else there is does not matter."""
  if isinstance(value, _Tensor):
    yield prefix, value
  elif isinstance(value, dict):
    for key, each in value.items():
      yield from _named(each, f'{prefix}.{key}' if prefix else str(key))


def _viewed(held: np.ndarray, tensor: _Tensor, name: str) -> np.ndarray:
  """A tensor's part of what its storage holds.

  Raises:
    ValueError: it asks for more than there is.
  """
  _, offset, shape, strides = tensor
  steps = [(n - 1) * step for n, step in zip(shape, strides, strict=True)]
  last = offset + sum(steps)
  if min((offset, *shape, *strides)) < 0 or (
    0 not in shape and last >= len(held)
  ):
    raise ValueError(f'{name} is not all there')
  if 0 in shape:
    return np.zeros(shape, held.dtype)
  return np.lib.stride_tricks.as_strided(
    held[offset:],
    shape,
    [step * held.itemsize for step in strides],
    writeable=False,
  )
