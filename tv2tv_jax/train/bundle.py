"""One checkpoint: what it says it holds, and whether that is what it holds.

It is a folder of parts. Most are trees of arrays, each to be read alone; the
part `contents` is JSON that says what the others are, with a digest of each
array. For Orbax notices much of what may happen to a file, but not all: the
bytes of an array carry no checksum.
"""

from collections.abc import Callable, Mapping
import ctypes
import hashlib
import json
import os
import pathlib
from typing import Any, TypeVar

import jax
from jax.experimental import multihost_utils
import numpy as np
from orbax.checkpoint import v1 as ocp

from tv2tv_jax.train import digest as digest_lib

CONTENTS = 'contents'
# Bytes of a chunk on disk, at most: what can be read alone of an array, also of
# one that is stacked over all layers, gigabytes on one device. To cut an array
# takes a copy of it, so that small ones stay whole.
_CHUNK = 64 << 20
# Bytes of a host that are read at a time, beside the arrays they are for.
_READ = 1 << 30
# Options of glibc's mallopt.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3

# Of each part, arrays or what is like them, by name.
Parts = Mapping[str, Mapping[str, Any]]
Contents = dict[str, Any]
Read = TypeVar('Read')


class DamagedError(Exception):
  """A checkpoint cannot be read, or is not what was saved."""


def context() -> ocp.Context:
  """How Orbax writes bundles.

  Arrays are not compressed: it saves little of them, and takes as much memory
  again. They are in chunks, of which a conversion reads one at a time.
  """
  writing = ocp.Context()
  writing.array.saving.use_compression = False
  writing.array.saving.storage_options.chunk_byte_size = _CHUNK
  # What Grain would save of data goes on with as many processes only.
  registry = ocp.handlers.local_registry()
  registry.add(ocp.handlers.JsonHandler, checkpointable_name=CONTENTS)
  writing.checkpointables.registry = registry
  return writing


def contents(parts: Parts, **rest: Any) -> Contents:
  """What the part `contents` says of the arrays of other parts.

  Args:
    parts: the arrays.
    **rest: JSON to keep beside them.
  """
  digests = _flat({p: digest_lib.digests(part) for p, part in parts.items()})
  return sealed(kinds(_flat(parts)), digests, **rest)


def sealed(
  kinds: Mapping[str, str], digests: Mapping[str, int], **rest: Any
) -> Contents:
  """What `contents` says of arrays that are known by their digests.

  Args:
    kinds: type and shape of each array, by its part and its name.
    digests: of each.
    **rest: JSON to keep beside them.
  """
  held = json.loads(json.dumps(rest))
  held['arrays'] = {
    name: {'type': kind, 'digest': digests[name]}
    for name, kind in kinds.items()
  }
  return held | {'digest': digest(held)}


def write(folder: pathlib.Path, parts: Parts, contents: Contents) -> None:
  """Writes a checkpoint that is complete with these parts; waits for it."""
  with context():
    ocp.save_checkpointables(folder, {**parts, CONTENTS: contents})


def read_contents(folder: pathlib.Path) -> Contents:
  """What the part `contents` of a folder says.

  Raises:
    DamagedError: it cannot be read, or is not what was written; on all
      processes.
  """

  def load() -> Contents:
    held = _loaded(folder, {CONTENTS: None})[CONTENTS]
    if held.pop('digest') != digest(held):
      raise ValueError(f'{CONTENTS} are not what was saved')
    return held

  return _everywhere(load)


def read(folder: pathlib.Path, wanted: Parts, contents: Contents) -> Parts:
  """Arrays, in the layout of `wanted`, which is as `contents` say.

  Raises:
    DamagedError: one cannot be read, or is not what was saved; on all
      processes.
  """
  parts = _everywhere(lambda: _loaded(folder, wanted))
  found = _flat({p: digest_lib.digests(part) for p, part in parts.items()})
  other = [
    name
    for name, number in found.items()
    if number != contents['arrays'][name]['digest']
  ]
  if other:
    raise DamagedError(f'{", ".join(other)}: not what was saved')
  return parts


def check(where: pathlib.Path, wanted: Parts, contents: Contents) -> None:
  """ValueError where the parts that are wanted are others than those there."""
  begins = tuple(f'{part}.' for part in wanted)
  found = {
    name: array['type']
    for name, array in contents['arrays'].items()
    if name.startswith(begins)
  }
  agree(where, found, kinds(_flat(wanted)))


def agree(
  where: pathlib.Path, found: Mapping[str, str], wanted: Mapping[str, str]
) -> None:
  """ValueError names all that is missing, unknown or of another kind."""
  missing = sorted(wanted.keys() - found.keys())
  extra = sorted(found.keys() - wanted.keys())
  lines = [f'missing {", ".join(missing)}'] if missing else []
  lines += [f'not known {", ".join(extra)}'] if extra else []
  lines += [
    f'{name} is {found[name]}, not {wanted[name]}'
    for name in sorted(wanted.keys() & found.keys())
    if found[name] != wanted[name]
  ]
  if lines:
    raise ValueError(
      f'{where}: its checkpoint is of another model: {"; ".join(lines)}'
    )


def kinds(arrays: Mapping[str, Any]) -> dict[str, str]:
  """Type and shape of each array, as `float32[4, 3]`."""
  return {
    name: f'{array.dtype}{list(array.shape)}' for name, array in arrays.items()
  }


def _flat(parts: Parts) -> dict[str, Any]:
  """Arrays by the names of their part and of their own."""
  return {
    f'{part}.{name}': array
    for part, arrays in parts.items()
    for name, array in arrays.items()
  }


def digest(held: Contents) -> str:
  """A digest of JSON."""
  return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()


def _loaded(folder: os.PathLike, wanted: Mapping[str, Any]) -> dict[str, Any]:
  """Parts of a folder; each process reads alone, and waits for no other."""
  here = jax.process_index()
  reading = context()
  reading.multiprocessing.primary_host = here
  reading.multiprocessing.active_processes = {here}
  sizes = (a.size * a.dtype.itemsize for a in jax.tree.leaves(wanted))
  # Orbax refuses what does not fit at all.
  reading.memory.read_concurrent_bytes = max(_READ, 2 * max(sizes, default=0))
  give_memory_back()
  with reading:
    return ocp.load_checkpointables(folder, wanted)


def give_memory_back() -> None:
  """From now on large buffers go back to the system when they are freed.

  Left to itself, glibc keeps those of up to 32 MiB for later: a process that
  was resumed then held half as much again as a fresh one (DECISIONS.md).
  """
  set_option = getattr(ctypes.CDLL(None), 'mallopt', lambda *_: None)
  set_option(_MMAP_THRESHOLD, 1 << 20)
  set_option(_TRIM_THRESHOLD, 1 << 21)


def _everywhere(load: Callable[[], Read]) -> Read:
  """What `load` returns, if it does so on all processes.

  Whatever a damaged file makes of it is damage; that memory is short is not.
  """
  loaded, said = None, ''
  try:
    loaded = load()
  except Exception as error:
    if isinstance(_cause(error), MemoryError | jax.errors.JaxRuntimeError):
      raise
    said = reason(error)
  if jax.process_count() > 1:
    failed = multihost_utils.process_allgather(np.bool_(said))
    if failed.any() and not said:
      said = f'process {np.argmax(failed)} cannot read it'
  if said:
    raise DamagedError(said)
  return loaded


def reason(error: BaseException) -> str:
  """What an error of Orbax, which wraps many, comes from; one line."""
  cause = _cause(error)
  said = f'{type(cause).__name__}: {cause}'.splitlines()[0]
  return said.split(' [tensorstore_spec')[0]


def _cause(error: BaseException) -> BaseException:
  """The first of the errors that led to this one."""
  while error.__cause__:
    error = error.__cause__
  return error
