"""The dataset of encoded clips: what TV2TV learns from.

A record is a clip: `N` latents, the words before each as text and as token
ids, and where it is from. Latents are stored normalised and uncompressed, in
float16 or bfloat16: reading them costs a copy. Beside the records,
latents.json says which VAE and which tokenizer made them; reading with others
is refused, for their latents and ids mean something else.
`data_pipelines.prepare.encoding` writes such a dataset.
"""

from collections.abc import Iterator, Mapping, Sequence
import functools
import json
import math
import os
import pathlib
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Num
import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import records

VERSION = '2.0.0'
METADATA = 'latents.json'
DTYPES = {
  'float16': np.dtype(np.float16),
  'bfloat16': np.dtype(jnp.bfloat16),
}

_BYTES = ('latents', 'tokens', 'token_counts')
_INTEGERS = ('chunks', 'height', 'width', 'channels', 'ended')
_TEXTS = ('prompt', 'words', 'take')
_IDS = np.dtype('<i4')
_AGAIN = 'encode again with `python -m launch.encode`'


class Metadata(NamedTuple):
  """Where latents come from and how to undo their normalisation."""

  fingerprint: str  # of the VAE
  tokenizer: str  # its fingerprint
  dtype: str  # of the latents, a name of `DTYPES`
  mean: tuple[float, ...]  # of each channel
  std: tuple[float, ...]
  rate: float  # frames/s
  chunk_frames: int  # frames of a latent after the first
  chunks: int  # latents of a clip, the first one included


class Fingerprints(NamedTuple):
  """What a run will use latents with; None is any."""

  vae: str | None = None
  tokenizer: str | None = None


ANY = Fingerprints()


class Clip(NamedTuple):
  """An encoded clip."""

  latents: Num[np.ndarray, 'N Y X Z']  # normalised; [0] is one frame
  words: tuple[str, ...]  # before each latent; the first is ''
  prompt: str
  start: float  # seconds into the take
  ended: bool  # the story is over after the last latent
  take: str
  word_ids: tuple[tuple[int, ...], ...]  # the tokens of `words`
  prompt_ids: tuple[int, ...]


@functools.cache
def features() -> tfds.features.FeaturesDict:
  """Schema of a record; only scalars, strings and bytes."""
  return tfds.features.FeaturesDict(
    {
      **{name: tfds.features.Scalar(np.object_) for name in _BYTES},
      **{name: tfds.features.Scalar(np.int64) for name in _INTEGERS},
      'start': tfds.features.Scalar(np.float32),
      **{name: tfds.features.Text() for name in _TEXTS},
    }
  )


class Clips:
  """Random access to the encoded clips of one split."""

  def __init__(
    self,
    directory: str | os.PathLike,
    split: str,
    fingerprint: str | None = None,
    tokenizer: str | None = None,
  ):
    """Opens a split.

    Args:
      directory: a dataset of latents.
      split: of it.
      fingerprint: of the VAE that will decode; None is any.
      tokenizer: fingerprint of the tokenizer that will read; None is any.

    Raises:
      ValueError: no such dataset or split, a file is missing or cut short, or
        it was made by another VAE or tokenizer.
    """
    self.metadata = read_metadata(directory)
    for kind, found, wanted in (
      ('VAE', self.metadata.fingerprint, fingerprint),
      ('tokenizer', self.metadata.tokenizer, tokenizer),
    ):
      if wanted not in (None, found):
        raise ValueError(
          f'{directory}: encoded by the {kind} {found}, not by {wanted}; '
          + _AGAIN
        )
    self._where = f'{os.fspath(directory)}: {split}'
    self._source = records.open_split(directory, split)

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> Clip:
    where = f'{self._where} record {index}'
    if not 0 <= index < len(self):
      raise IndexError(f'{where}: there are {len(self)} records')
    record = records.read_record(self._source, index, where)
    return parse_clip(record, DTYPES[self.metadata.dtype], where)

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
    version = plain['version']
    if version != VERSION:
      raise ValueError(
        f'its version is {version}, this program reads {VERSION}'
      )
    metadata = Metadata(
      fingerprint=str(plain['fingerprint']),
      tokenizer=str(plain['tokenizer']),
      dtype=str(plain['dtype']),
      mean=tuple(map(float, plain['mean'])),
      std=tuple(map(float, plain['std'])),
      rate=float(plain['rate']),
      chunk_frames=int(plain['chunk_frames']),
      chunks=int(plain['chunks']),
    )
    if metadata.dtype not in DTYPES:
      raise ValueError(f'dtype is {metadata.dtype!r}')
    return metadata
  except KeyError as error:
    raise ValueError(f'{path}: {error} is missing; {_AGAIN}') from None
  except (ValueError, TypeError) as error:
    raise ValueError(f'{path}: {error}; {_AGAIN}') from None


def metadata_json(metadata: Metadata) -> str:
  """What latents.json holds."""
  plain = {**metadata._asdict(), 'version': VERSION}
  return json.dumps(plain, indent=2) + '\n'


def record_of(clip: Clip, metadata: Metadata) -> dict[str, Any]:
  """A clip as it is stored.

  Raises:
    ValueError: it does not fit the metadata, or is not finite in its dtype.
  """
  latents = np.asarray(clip.latents)
  chunks, channels = metadata.chunks, len(metadata.mean)
  if (latents.shape[:1], latents.shape[3:]) != ((chunks,), (channels,)):
    raise ValueError(
      f'take {clip.take}: latents are {latents.shape}, '
      f'[{chunks}, Y, X, {channels}] was expected'
    )
  for name in ('words', 'word_ids'):
    if len(getattr(clip, name)) != chunks:
      raise ValueError(
        f'take {clip.take}: {len(getattr(clip, name))} {name} for {chunks} '
        'latents'
      )
  with np.errstate(over='ignore'):
    half = latents.astype(DTYPES[metadata.dtype])
  if not np.isfinite(half).all():
    raise ValueError(
      f'take {clip.take}: latents are not finite in {metadata.dtype}'
    )
  texts = (clip.prompt_ids, *clip.word_ids)
  return {
    'latents': half.tobytes(),
    'chunks': chunks,
    'height': half.shape[1],
    'width': half.shape[2],
    'channels': channels,
    'ended': int(clip.ended),
    'start': clip.start,
    'prompt': clip.prompt,
    'words': json.dumps(clip.words),
    'take': clip.take,
    'tokens': np.array([i for text in texts for i in text], _IDS).tobytes(),
    'token_counts': np.array([*map(len, texts)], _IDS).tobytes(),
  }


def parse_clip(record: Mapping[str, Any], dtype: np.dtype, where: str) -> Clip:
  """Checks a raw record; ValueError names the field that is wrong."""
  for name in features():
    if record.get(name) is None:  # So the reader fills in what a file lacks.
      raise ValueError(
        f'{where}: field {name} is missing; if a file was cut short, make the '
        'dataset again'
      )
  shape = tuple(
    int(record[name]) for name in ('chunks', 'height', 'width', 'channels')
  )
  latents = _table(record, 'latents', dtype, shape, where)
  texts = {name: records.text(record, name, where) for name in _TEXTS}
  words = records.names(texts['words'], f'{where}: words')
  if len(words) != shape[0]:
    raise ValueError(
      f'{where}: words has {len(words)} texts for {shape[0]} latents'
    )
  prompt_ids, *word_ids = _ids(record, 1 + shape[0], where)
  return Clip(
    latents=latents,
    words=words,
    prompt=texts['prompt'],
    start=float(record['start']),
    ended=bool(record['ended']),
    take=texts['take'],
    word_ids=tuple(word_ids),
    prompt_ids=prompt_ids,
  )


def _ids(
  record: Mapping[str, Any], texts: int, where: str
) -> Sequence[tuple[int, ...]]:
  """The token ids of the prompt and of the words before each latent."""
  counts = _table(record, 'token_counts', _IDS, (texts,), where)
  if (counts < 0).any():
    raise ValueError(f'{where}: token_counts has {counts.min()}')
  ends = np.cumsum(counts, dtype=np.int64)
  ids = _table(record, 'tokens', _IDS, (int(ends[-1]),), where).tolist()
  return [
    tuple(ids[end - count : end])
    for count, end in zip(counts, ends, strict=True)
  ]


def _table(
  record: Mapping[str, Any],
  name: str,
  dtype: np.dtype,
  shape: tuple[int, ...],
  where: str,
) -> np.ndarray:
  """The array that a field's bytes are; they may not be written to."""
  data, size = record[name], math.prod(shape) * dtype.itemsize
  if len(data) != size:
    raise ValueError(
      f'{where}: {name} has {len(data)} bytes, {shape} in {dtype} needs {size}'
    )
  return np.frombuffer(data, dtype).reshape(shape)
