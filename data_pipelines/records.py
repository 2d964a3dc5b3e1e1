"""The dataset of takes: its schema and its reader.

A record is a *take*: contiguous frames of one episode or film, `1 + 4 * chunks`
of them, with timed words. The dataset is one of TensorFlow Datasets in
ArrayRecord files, which neither writing nor reading needs TensorFlow for. Every
field is described in data_pipelines/README.md.
"""

from collections.abc import Mapping
import fractions
import functools
import json
import math
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import decode
from data_pipelines.prepare import dataset
from data_pipelines.prepare import words

VERSION = '2.0.0'
SPLITS = ('train', 'test')

_BYTES = ('video', 'controls', 'states')
_TEXTS = (
  'take',
  'source',
  'origin',
  'license',
  'segments',
  'control_names',
  'state_names',
  'details',
  'version',
)
_INTEGERS = ('frame_count', 'height', 'width', 'ended')
_FLOATS = ('rate', 'start')
_AGAIN = 'make the dataset again'
# No file is this short: one has a first and a last block.
_BLOCK = 2**16


@functools.cache
def features() -> tfds.features.FeaturesDict:
  """Schema of a record; only scalars, strings and bytes."""
  return tfds.features.FeaturesDict(
    {
      **{name: tfds.features.Scalar(np.object_) for name in _BYTES},
      **{name: tfds.features.Text() for name in _TEXTS},
      **{name: tfds.features.Scalar(np.int64) for name in _INTEGERS},
      **{name: tfds.features.Scalar(np.float32) for name in _FLOATS},
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
  origin: str
  start: float  # seconds in the origin
  license: str
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
  details: dict[str, Any]  # what only the source knows
  video: bytes

  @property
  def prompt(self) -> str:
    """The meta prompt, '' if there is none."""
    return words.prompt_of(self.segments)

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

  def words(
    self, start: int, chunks: int, chunk_frames: int = 4
  ) -> tuple[str, ...]:
    """Text before each latent of a clip that starts at frame `start`."""
    return words.words_of_chunks(
      self.segments,
      start / self.rate,
      chunks,
      chunk_frames / self.rate,
      (self.frame_count - 1) / self.rate,
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


def splits(directory: str | os.PathLike) -> tuple[str, ...]:
  """The splits that a dataset has; ValueError if there is none."""
  return tuple(_builder(pathlib.Path(directory)).info.splits)


def open_split(directory: str | os.PathLike, split: str):
  """The TFDS data source of a split; ValueError names what is amiss."""
  path = pathlib.Path(directory)
  builder = _builder(path)
  if split not in builder.info.splits:
    raise ValueError(
      f'{path}: no split {split!r}; it has {", ".join(builder.info.splits)}'
    )
  files = [pathlib.Path(name) for name in builder.info.splits[split].filepaths]
  for file in files:
    if not file.is_file():
      raise ValueError(f'{file}: file is missing; {_AGAIN}')
    if file.stat().st_size <= _BLOCK:
      _check_file(file)
  try:
    source = builder.as_data_source(split)
    if len(source):
      source[len(source) - 1]  # opens the files
    return source
  except Exception as error:  # the reader has no error class of its own
    for file in files:
      _check_file(file)
    raise ValueError(
      f'{path}: split {split!r} is damaged ({dataset.line(error)}); {_AGAIN}'
    ) from None


def _builder(path: pathlib.Path) -> tfds.core.DatasetBuilder:
  if not (path / 'dataset_info.json').is_file():
    raise ValueError(
      f'{path}: no dataset here (dataset_info.json is missing); make one '
      'with `python -m launch.record` or `python -m launch.encode`'
    )
  return tfds.builder_from_directory(path)


def read_record(source, index: int, where: str) -> Mapping[str, Any]:
  """A raw record; ValueError says where it is if it cannot be read."""
  try:
    return source[index]
  except Exception as error:  # the reader has no error class of its own
    raise ValueError(
      f'{where}: cannot be read ({dataset.line(error)}); {_AGAIN}'
    ) from None


def parse_take(record: Mapping[str, Any], where: str) -> Take:
  """Checks a raw record; ValueError names the field that is wrong."""
  version = text({'version': VERSION, **record}, 'version', where)
  if version != VERSION:  # First: it explains every other difference.
    raise ValueError(
      f'{where}: version is {version!r}, this program reads {VERSION}; {_AGAIN}'
    )
  for name in features():
    if record.get(name) is None:  # The reader fills in what a file lacks.
      raise ValueError(f'{where}: field {name} is missing; {_AGAIN}')
  texts = {name: text(record, name, where) for name in _TEXTS}
  count, rate = int(record['frame_count']), float(record['rate'])
  if count < 1:
    raise ValueError(f'{where}: frame_count is {count}')
  if not (math.isfinite(rate) and rate > 0):
    raise ValueError(f'{where}: rate is {rate}')
  rate = exact_rate(rate)
  control_names = names(texts['control_names'], f'{where}: control_names')
  state_names = names(texts['state_names'], f'{where}: state_names')
  try:
    segments = words.parse_segments(texts['segments'], count / rate)
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
    details=_details(texts['details'], f'{where}: details'),
    frame_count=count,
    rate=rate,
    start=float(record['start']),
    height=int(record['height']),
    width=int(record['width']),
    ended=bool(record['ended']),
    video=record['video'],
    **{name: texts[name] for name in ('take', 'source', 'origin', 'license')},
  )


def exact_rate(rate: float) -> float:
  """The rate that a video can have: of 30000/1001, a record keeps less."""
  return float(fractions.Fraction(rate).limit_denominator(1001))


def _check_file(path: pathlib.Path):
  from array_record.python import array_record_module

  try:
    reader = array_record_module.ArrayRecordReader(str(path))
    if not reader.ok():
      raise EOFError('its end is missing')
    reader.read_all()
    reader.close()
  except Exception as error:  # the reader has no error class of its own
    raise ValueError(
      f'{path}: file of {path.stat().st_size} bytes is cut short or damaged '
      f'({dataset.line(error)}); {_AGAIN}'
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
  names = _json(text, where)
  if not isinstance(names, list) or not all(
    isinstance(name, str) for name in names
  ):
    raise ValueError(f'{where} is {text!r}, not a list of names')
  return tuple(names)


def _details(text: str, where: str) -> dict[str, Any]:
  details = _json(text, where)
  if not isinstance(details, dict):
    raise ValueError(f'{where} is {text!r}, not an object')
  return details


def _json(text: str, where: str) -> Any:
  try:
    return json.loads(text)
  except (ValueError, RecursionError) as error:
    raise ValueError(f'{where} is not JSON ({error})') from None


def _table(data, dtype, shape, where):
  size = int(np.prod(shape)) * np.dtype(dtype).itemsize
  if len(data) != size:
    raise ValueError(f'{where} has {len(data)} bytes, {shape} needs {size}')
  return np.frombuffer(data, dtype).reshape(shape)
