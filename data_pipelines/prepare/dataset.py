"""Pieces to a dataset: written aside, whole or not at all.

A *piece* is a file of finished records (one episode of a recording). Pieces
stay in `DIR.partial` until every one is there; then they are joined, in order,
into the shards of a TFDS dataset, which takes its final name by one rename.
Running the same command again goes on where it stopped, because the *recipe*
(everything the content depends on) lies beside the pieces.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import contextlib
import fcntl
import json
import os
import pathlib
import secrets
import shutil
from typing import Any

from array_record.python import array_record_module
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer

RECIPE = 'recipe.json'
_WRITER_OPTIONS = 'group_size:1,uncompressed'  # random access; video is small
_RECORDS_A_SHARD = 64


def partial(directory: str | os.PathLike) -> pathlib.Path:
  """Where the pieces of an unfinished dataset lie."""
  directory = pathlib.Path(directory)
  return directory.with_name(directory.name + '.partial')


def is_finished(
  directory: str | os.PathLike, recipe: Mapping[str, Any]
) -> bool:
  """Whether `directory` holds the dataset of this recipe.

  Raises:
    ValueError: it holds something else.
  """
  directory = pathlib.Path(directory)
  if not directory.exists():
    return False
  if directory.is_dir() and not any(directory.iterdir()):
    return False
  if not (directory / RECIPE).is_file():
    raise ValueError(
      f'{directory}: exists and is no dataset of this project; '
      'choose another --out'
    )
  check_recipe(directory, recipe)
  return True


def begin(directory: str | os.PathLike, recipe: Mapping[str, Any]):
  """Makes the place for pieces, or checks that it has the same recipe."""
  place = partial(directory)
  if (place / RECIPE).is_file():
    check_recipe(place, recipe)
    return
  place.mkdir(parents=True, exist_ok=True)
  write_text(place / RECIPE, json.dumps(recipe, indent=2) + '\n')


@contextlib.contextmanager
def held(directory: str | os.PathLike) -> Iterator[None]:
  """Keeps the place for pieces to one process of all hosts; others wait.

  The lock is the system's, so a process that dies lets go of it. Whoever had
  to wait may find the dataset finished and the place empty.

  Raises:
    OSError: the file system knows no locks.
  """
  path = partial(directory) / 'lock'
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open('a') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    yield


def check_recipe(place: pathlib.Path, recipe: Mapping[str, Any]):
  """ValueError names the first value that differs from the one asked for."""
  try:
    found = json.loads((place / RECIPE).read_text())
  except (json.JSONDecodeError, UnicodeDecodeError) as error:
    raise ValueError(f'{place / RECIPE}: not JSON ({error})') from None
  # The version first: another one explains every other difference.
  names = sorted(set(found) | set(recipe), key=lambda n: (n != 'version', n))
  for name in names:
    if found.get(name) != recipe.get(name):
      raise ValueError(
        f'{place}: was made with {name} = {found.get(name)!r}, not '
        f'{recipe.get(name)!r}; use the same value, choose another --out, '
        'or delete it'
      )


def write_text(path: pathlib.Path, text: str):
  """Writes a file that is there whole or not at all."""
  write_bytes(path, text.encode())


def write_bytes(path: pathlib.Path, data: bytes):
  """Writes a file that is there whole or not at all."""
  aside = _aside(path)
  try:
    aside.write_bytes(data)
    os.replace(aside, path)
  finally:
    aside.unlink(missing_ok=True)


def _aside(path: pathlib.Path) -> pathlib.Path:
  """Where a file lies until it is whole: no two writers share the place."""
  return path.with_name(f'{path.name}.{secrets.token_hex(4)}.tmp')


def write_piece(
  path: pathlib.Path,
  schema: tfds.features.FeaturesDict,
  records: Iterable[Mapping[str, Any]],
):
  """Writes records to one ArrayRecord file that is there whole or not at all.

  Raises:
    OSError: the disk is full or the file cannot be written.
  """
  serializer = example_serializer.ExampleSerializer(
    schema.get_serialized_info()
  )
  write_raw(
    path,
    (
      # A protobuf map has no order of its own: fix one, for equal files.
      serializer.get_tf_example(
        schema.encode_example(record)
      ).SerializeToString(deterministic=True)
      for record in records
    ),
  )


def write_raw(path: pathlib.Path, records: Iterable[bytes]) -> tuple[int, int]:
  """Writes serialized records; returns how many and how many bytes."""
  aside = _aside(path)
  count = size = 0
  try:
    with _written(path):
      writer = array_record_module.ArrayRecordWriter(
        str(aside), _WRITER_OPTIONS
      )
    for record in records:
      with _written(path):
        writer.write(record)
      count += 1
      size += len(record)
    with _written(path):
      healthy = writer.ok()
      writer.close()
    if not healthy:
      raise OSError(f'{path}: cannot be written; is the disk full?')
    os.replace(aside, path)
  finally:
    aside.unlink(missing_ok=True)
  return count, size


@contextlib.contextmanager
def _written(path: pathlib.Path) -> Iterator[None]:
  """OSError if the writer fails; it has no error class of its own."""
  try:
    yield
  except RuntimeError as error:
    full = 'No space left' in str(error)
    why = 'the disk is full; free some space and run again'
    raise OSError(
      f'{path}: cannot be written ({why if full else line(error)})'
    ) from None


def finish(
  directory: str | os.PathLike,
  name: str,
  schema: tfds.features.FeaturesDict,
  pieces: Mapping[str, Sequence[pathlib.Path]],
  *,
  version: str,
  description: str,
  extra: Mapping[str, str | bytes],
):
  """Joins the pieces of each split and gives the dataset its final name.

  Args:
    directory: final place; `partial(directory)` is removed afterwards.
    name: of the dataset, begins the name of every file.
    schema: features of a record.
    pieces: files of each split, in the order their records shall have.
    version: of the schema.
    description: what the dataset is, for dataset_info.json.
    extra: further files beside the dataset: name to content.
  """
  directory = pathlib.Path(directory)
  place = partial(directory) / 'whole'
  shutil.rmtree(place, ignore_errors=True)
  place.mkdir()
  info = tfds.core.DatasetInfo(
    builder=tfds.core.DatasetIdentity(
      name=name,
      version=tfds.core.Version(version),
      data_dir=str(place),
      module_name='',
    ),
    description=description,
    features=schema,
  )
  info.set_file_format('array_record')
  info.set_splits(
    tfds.core.SplitDict(
      [_join(place, name, split, files) for split, files in pieces.items()]
    )
  )
  info.write_to_directory(place)
  shutil.copy(partial(directory) / RECIPE, place / RECIPE)
  for file, content in extra.items():
    data = content.encode() if isinstance(content, str) else content
    write_bytes(place / file, data)
  if directory.exists():
    directory.rmdir()  # empty, or is_finished() had refused it
  os.replace(place, directory)
  shutil.rmtree(partial(directory), ignore_errors=True)


def _join(place, name, split, files) -> tfds.core.SplitInfo:
  template = tfds.core.ShardedFileTemplate(
    data_dir=place,
    dataset_name=name,
    split=split,
    filetype_suffix='array_record',
  )
  counts = [count(file) for file in files]
  shards = max(1, -(-sum(counts) // _RECORDS_A_SHARD))
  records = (record for file in files for record in _read(file))
  left, lengths, size = sum(counts), [], 0
  for shard in range(shards):
    wanted = -(-left // (shards - shard))
    path = template.sharded_filepath(shard_index=shard, num_shards=shards)
    taken = (record for _, record in zip(range(wanted), records, strict=False))
    written, length = write_raw(pathlib.Path(path), taken)
    left -= written
    size += length
    lengths.append(written)
  return tfds.core.SplitInfo(
    name=split,
    shard_lengths=lengths,
    num_bytes=size,
    filename_template=template,
  )


def count(file: pathlib.Path) -> int:
  """The records of a piece; ValueError if it is damaged."""
  with _opened(file) as reader:
    return reader.num_records()


def _read(file: pathlib.Path) -> list[bytes]:
  with _opened(file) as reader:
    return reader.read_all()


@contextlib.contextmanager
def _opened(file: pathlib.Path):
  """A reader of a piece; ValueError if it is damaged."""
  reader = array_record_module.ArrayRecordReader(str(file))
  try:
    if not reader.ok():
      reader.close()  # It says why.
      raise RuntimeError('cut short')
    yield reader
    reader.close()
  except RuntimeError as error:  # the reader has no error class of its own
    raise ValueError(
      f'{file}: damaged ({line(error)}); delete it and run again'
    ) from None


def line(error: Exception) -> str:
  """The first line of an error that may run over many."""
  return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
