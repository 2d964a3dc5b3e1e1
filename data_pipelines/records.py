"""The dataset of takes: its schema and its reader.

A record is a *take*: contiguous frames of one episode, `1 + 4 * chunks` of
them. The dataset is one of TensorFlow Datasets in ArrayRecord files, which
neither writing nor reading needs TensorFlow for. Every field is described in
data_pipelines/README.md.
"""

from collections.abc import Mapping
import functools
import json
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import decode
from data_pipelines.prepare import words

VERSION = '1.0.0'
SPLITS = ('train', 'test')

_BYTES = ('video', 'controls', 'states')
_TEXTS = (
  'take',
  'source',
  'map',
  'prompt',
  'license',
  'segments',
  'control_names',
  'state_names',
  'version',
)
_INTEGERS = ('frame_count', 'height', 'width', 'seed', 'ended')


@functools.cache
def features() -> tfds.features.FeaturesDict:
  """Schema of a record; only scalars, strings and bytes."""
  return tfds.features.FeaturesDict(
    {
      **{name: tfds.features.Scalar(np.object_) for name in _BYTES},
      **{name: tfds.features.Text() for name in _TEXTS},
      **{name: tfds.features.Scalar(np.int64) for name in _INTEGERS},
      'rate': tfds.features.Scalar(np.float32),
    }
  )


class Take(NamedTuple):
  """A take, its video still encoded.

  Frame `t` is seen at `t / rate` seconds; row `t` of `controls` was held while
  it was made, and row 0 is zeros. `states` are for evaluation only.
  """

  where: str  # dataset, split and record, for errors
  take: str
  source: str
  map: str
  prompt: str
  license: str
  seed: int
  rate: float
  frame_count: int
  height: int
  width: int
  ended: bool
  segments: list[words.Segment]
  controls: np.ndarray  # uint8 [T, K]
  control_names: tuple[str, ...]
  states: np.ndarray  # float32 [T, S]
  state_names: tuple[str, ...]
  video: bytes

  def frames(self, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Frames `start` to `stop`, uint8 [T, Y, X, 3]."""
    stop = self.frame_count if stop is None else stop
    frames = decode.decode(
      self.video, start=start, stop=stop, where=f'{self.where}: video'
    )
    if frames.shape[1:] != (self.height, self.width, 3):
      raise ValueError(
        f'{self.where}: video is {frames.shape[2]}x{frames.shape[1]}, '
        f'width and height say {self.width}x{self.height}'
      )
    return frames

  def words(self, start: int, chunks: int, chunk_frames: int = 4):
    """Text before each latent of a clip that starts at frame `start`."""
    return words.words_of_chunks(
      self.segments, start / self.rate, chunks, chunk_frames / self.rate
    )


class Takes:
  """Random access to the takes of one split."""

  def __init__(self, directory: str | os.PathLike, split: str):
    self._where = f'{os.fspath(directory)}: {split}'
    self._source = open_split(directory, split)

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> Take:
    where = f'{self._where} record {index}'
    if not 0 <= index < len(self):
      raise IndexError(f'{where}: there are {len(self)} records')
    return parse_take(read_record(self._source, index, where), where)

  def __iter__(self):
    return (self[index] for index in range(len(self)))


def open_split(directory: str | os.PathLike, split: str):
  """The TFDS data source of a split; ValueError names what is amiss."""
  path = pathlib.Path(directory)
  if not (path / 'dataset_info.json').is_file():
    raise ValueError(
      f'{path}: no dataset here (dataset_info.json is missing); make one '
      'with `python -m launch.record` or `python -m launch.encode`'
    )
  builder = tfds.builder_from_directory(path)
  if split not in builder.info.splits:
    raise ValueError(
      f'{path}: no split {split!r}; it has {", ".join(builder.info.splits)}'
    )
  files = [pathlib.Path(name) for name in builder.info.splits[split].filepaths]
  for file in files:
    if not file.is_file():
      raise ValueError(f'{file}: file is missing; make the dataset again')
  try:
    source = builder.as_data_source(split)
    if len(source):
      source[len(source) - 1]  # opens the files
    return source
  except Exception as error:  # the reader has no error class of its own
    for file in files:
      _check_file(file)
    raise ValueError(
      f'{path}: split {split!r} is damaged ({_line(error)}); make the '
      'dataset again'
    ) from None


def read_record(source, index: int, where: str) -> Mapping[str, Any]:
  """A raw record; ValueError says where it is if it cannot be read."""
  try:
    return source[index]
  except Exception as error:  # the reader has no error class of its own
    raise ValueError(
      f'{where}: cannot be read ({_line(error)}); make the dataset again'
    ) from None


def parse_take(record: Mapping[str, Any], where: str) -> Take:
  """Checks a raw record; ValueError names the field that is wrong."""
  missing = sorted(set(features()) - set(record))
  if missing:
    raise ValueError(f'{where}: field {missing[0]} is missing')
  texts = {name: text(record, name, where) for name in _TEXTS}
  count, rate = int(record['frame_count']), float(record['rate'])
  if count < 1:
    raise ValueError(f'{where}: frame_count is {count}')
  if not rate > 0:
    raise ValueError(f'{where}: rate is {rate}')
  control_names = names(texts['control_names'], f'{where}: control_names')
  state_names = names(texts['state_names'], f'{where}: state_names')
  try:
    segments = words.parse_segments(texts['segments'])
  except ValueError as error:
    raise ValueError(f'{where}: {error}') from None
  return Take(
    where=where,
    segments=segments,
    control_names=control_names,
    state_names=state_names,
    controls=_table(
      record['controls'],
      np.uint8,
      (count, len(control_names)),
      f'{where}: controls',
    ),
    states=_table(
      record['states'],
      np.float32,
      (count, len(state_names)),
      f'{where}: states',
    ),
    frame_count=count,
    rate=rate,
    height=int(record['height']),
    width=int(record['width']),
    seed=int(record['seed']),
    ended=bool(record['ended']),
    video=record['video'],
    **{
      name: texts[name]
      for name in ('take', 'source', 'map', 'prompt', 'license')
    },
  )


def _check_file(path: pathlib.Path):
  from array_record.python import array_record_module

  try:
    reader = array_record_module.ArrayRecordReader(str(path))
    reader.read_all()
    reader.close()
  except Exception as error:  # the reader has no error class of its own
    raise ValueError(
      f'{path}: file of {path.stat().st_size} bytes is cut short or damaged '
      f'({_line(error)}); make the dataset again'
    ) from None


def text(record: Mapping[str, Any], name: str, where: str) -> str:
  """The text of a field, which TFDS gives as bytes."""
  value = record[name]
  try:
    return value if isinstance(value, str) else bytes(value).decode()
  except UnicodeDecodeError as error:
    raise ValueError(f'{where}: {name} is not text ({error})') from None


def names(text: str, where: str) -> tuple[str, ...]:
  """The texts of a JSON list; ValueError if it is none."""
  try:
    names = json.loads(text)
  except json.JSONDecodeError as error:
    raise ValueError(f'{where} is not JSON ({error})') from None
  if not isinstance(names, list) or not all(
    isinstance(name, str) for name in names
  ):
    raise ValueError(f'{where} is {text!r}, not a list of names')
  return tuple(names)


def _table(data, dtype, shape, where):
  size = int(np.prod(shape)) * np.dtype(dtype).itemsize
  if len(data) != size:
    raise ValueError(f'{where} has {len(data)} bytes, {shape} needs {size}')
  return np.frombuffer(data, dtype).reshape(shape)


def _line(error: Exception) -> str:
  """The first line of an error that may run over many."""
  return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
