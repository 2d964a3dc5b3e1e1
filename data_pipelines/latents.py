"""The dataset of encoded clips: what TV2TV learns from.

A record is a clip: `N` latents, the words before each, and where it is from.
Latents are stored normalised, in uncompressed float16: reading them costs a
copy. Beside the records, latents.json says which VAE made them; reading with
another one is refused, for its latents mean something else.
"""

from collections.abc import Callable, Iterator
import contextlib
import functools
import json
import os
import pathlib
import shutil
from typing import Any, NamedTuple

from jaxtyping import Float16
import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import records
from data_pipelines.prepare import dataset

VERSION = '1.0.0'
METADATA = 'latents.json'
_RECORDS_A_PIECE = 64


class Metadata(NamedTuple):
  """Where latents come from and how to undo their normalisation."""

  fingerprint: str  # of the VAE
  mean: tuple[float, ...]  # of each channel
  std: tuple[float, ...]
  rate: float  # frames/s
  chunk_frames: int  # frames of a latent after the first


class Clip(NamedTuple):
  """An encoded clip."""

  latents: Float16[np.ndarray, 'N Y X Z']  # normalised; [0] is one frame
  words: tuple[str, ...]  # before each latent; the first is ''
  prompt: str
  start: float  # seconds into the take
  ended: bool  # the story is over after the last latent
  take: str


@functools.cache
def features() -> tfds.features.FeaturesDict:
  """Schema of a record; only scalars, strings and bytes."""
  sizes = ('chunks', 'height', 'width', 'channels', 'ended')
  return tfds.features.FeaturesDict(
    {
      'latents': tfds.features.Scalar(np.object_),
      **{name: tfds.features.Scalar(np.int64) for name in sizes},
      'start': tfds.features.Scalar(np.float32),
      **{name: tfds.features.Text() for name in ('prompt', 'words', 'take')},
    }
  )


def is_written(out: str | os.PathLike, metadata: Metadata) -> bool:
  """Whether `out` holds latents of this very VAE; ValueError if of another."""
  return dataset.is_finished(out, _plain(metadata))


@contextlib.contextmanager
def write_latents(
  out: str | os.PathLike, metadata: Metadata
) -> Iterator[Callable[[str, Clip], None]]:
  """Gives `write(split, clip)`; the dataset appears when the block is done.

  Raises:
    ValueError: a clip does not fit the metadata, or no clip was written.
    OSError: the disk is full.
  """
  is_written(out, metadata)
  place = dataset.partial(out)
  shutil.rmtree(place, ignore_errors=True)
  dataset.begin(out, _plain(metadata))
  waiting = {split: [] for split in records.SPLITS}
  pieces = {split: [] for split in records.SPLITS}

  def flush(split):
    path = place / f'{split}-{len(pieces[split]):05d}.array_record'
    dataset.write_piece(path, features(), waiting[split])
    pieces[split].append(path)
    waiting[split].clear()

  def write(split, clip):
    if split not in waiting:
      raise ValueError(f'{out}: no split {split!r}; choose from {[*waiting]}')
    waiting[split].append(_record(clip, metadata))
    if len(waiting[split]) >= _RECORDS_A_PIECE:
      flush(split)

  yield write
  for split in waiting:
    if waiting[split]:
      flush(split)
  if not pieces['train']:
    raise ValueError(f'{out}: no clip of the train split was written')
  dataset.finish(
    out,
    'latents',
    features(),
    {k: v for k, v in pieces.items() if v},
    version=VERSION,
    description='Clips encoded by a causal VAE, with the words before each.',
    extra={METADATA: json.dumps(_plain(metadata), indent=2) + '\n'},
  )


class Clips:
  """Random access to the encoded clips of one split."""

  def __init__(
    self,
    directory: str | os.PathLike,
    split: str,
    fingerprint: str | None = None,
  ):
    """Opens a split; `fingerprint` is of the VAE that will decode."""
    self.metadata = read_metadata(directory)
    if fingerprint not in (None, self.metadata.fingerprint):
      raise ValueError(
        f'{directory}: encoded by the VAE {self.metadata.fingerprint}, not by '
        f'{fingerprint}; encode again with `python -m launch.encode`'
      )
    self._where = f'{os.fspath(directory)}: {split}'
    self._source = records.open_split(directory, split)

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> Clip:
    where = f'{self._where} record {index}'
    if not 0 <= index < len(self):
      raise IndexError(f'{where}: there are {len(self)} records')
    return _parse(records.read_record(self._source, index, where), where)

  def __iter__(self) -> Iterator[Clip]:
    return (self[index] for index in range(len(self)))


def read_metadata(directory: str | os.PathLike) -> Metadata:
  """Metadata of a dataset of latents; ValueError names what is amiss."""
  path = pathlib.Path(directory) / METADATA
  if not path.is_file():
    raise ValueError(
      f'{path}: missing, so this is no dataset of latents; make one with '
      '`python -m launch.encode`'
    )
  try:
    plain = json.loads(path.read_text())
    return Metadata(
      fingerprint=str(plain['fingerprint']),
      mean=tuple(map(float, plain['mean'])),
      std=tuple(map(float, plain['std'])),
      rate=float(plain['rate']),
      chunk_frames=int(plain['chunk_frames']),
    )
  except (ValueError, KeyError, TypeError) as error:
    raise ValueError(
      f'{path}: damaged ({type(error).__name__}: {error}); encode again'
    ) from None


def _plain(metadata: Metadata) -> dict[str, Any]:
  """Metadata as JSON holds it."""
  return {
    **metadata._asdict(),
    'mean': [float(value) for value in metadata.mean],
    'std': [float(value) for value in metadata.std],
    'version': VERSION,
  }


def _record(clip: Clip, metadata: Metadata) -> dict[str, Any]:
  latents = np.asarray(clip.latents)
  if latents.ndim != 4 or latents.shape[-1] != len(metadata.mean):
    raise ValueError(
      f'take {clip.take}: latents are {latents.shape}, '
      f'[N, Y, X, {len(metadata.mean)}] was expected'
    )
  if len(clip.words) != len(latents):
    raise ValueError(
      f'take {clip.take}: {len(clip.words)} words for {len(latents)} latents'
    )
  half = latents.astype(np.float16)
  if not np.isfinite(half).all():
    raise ValueError(f'take {clip.take}: latents are not finite in float16')
  count, height, width, channels = half.shape
  return {
    'latents': half.tobytes(),
    'chunks': count,
    'height': height,
    'width': width,
    'channels': channels,
    'ended': int(clip.ended),
    'start': clip.start,
    'prompt': clip.prompt,
    'words': json.dumps(clip.words),
    'take': clip.take,
  }


def _parse(record, where: str) -> Clip:
  missing = sorted(set(features()) - set(record))
  if missing:
    raise ValueError(f'{where}: field {missing[0]} is missing')
  shape = tuple(
    int(record[name]) for name in ('chunks', 'height', 'width', 'channels')
  )
  data = record['latents']
  if len(data) != 2 * np.prod(shape):
    raise ValueError(
      f'{where}: latents has {len(data)} bytes, {shape} in float16 needs '
      f'{2 * np.prod(shape)}'
    )
  texts = {
    name: records.text(record, name, where)
    for name in ('prompt', 'words', 'take')
  }
  words = records.names(texts['words'], f'{where}: words')
  if len(words) != shape[0]:
    raise ValueError(
      f'{where}: words has {len(words)} texts for {shape[0]} latents'
    )
  return Clip(
    latents=np.frombuffer(data, np.float16).reshape(shape),
    words=words,
    prompt=texts['prompt'],
    start=float(record['start']),
    ended=bool(record['ended']),
    take=texts['take'],
  )
