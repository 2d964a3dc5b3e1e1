"""The dataset of encoded clips: what TV2TV learns from.

A record is a clip: `N` latents, the words before each as text and as token
ids, and where it is from. Latents are stored normalised and uncompressed, in
float16 or bfloat16: reading them costs a copy. Clips may be of any length.
Beside the records, latents.json says which VAE and which tokenizer made them;
reading with others is refused, for their latents and ids mean something else.
`data_pipelines.prepare.encoding` writes such a dataset.
"""

from collections.abc import Iterator, Mapping, Sequence
import functools
import json
import os
import pathlib
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Num
import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import encoded as encoded_lib
from data_pipelines import records
from data_pipelines import sizes as sizes_lib

VERSION = '2.0.0'
METADATA = 'latents.json'
DTYPES = {
  'float16': np.dtype(np.float16),
  'bfloat16': np.dtype(jnp.bfloat16),
}

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
  chunks: int  # latents of the longest clip, the first one included


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
      **{name: tfds.features.Scalar(np.object_) for name in encoded_lib.BYTES},
      **{name: tfds.features.Scalar(np.int64) for name in encoded_lib.INTEGERS},
      'start': tfds.features.Scalar(np.float32),
      **{name: tfds.features.Text() for name in encoded_lib.TEXTS},
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
    self._directory, self._split = pathlib.Path(directory), split
    self.where = f'{self._directory}: {split}'  # for errors
    self._source = records.open_split(directory, split)

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> Clip:
    record, where = self._record(index, tuple(features()))
    return parse_clip(record, DTYPES[self.metadata.dtype], where)

  def encoded(self, index: int) -> encoded_lib.Encoded:
    """What training reads of a clip, in a tenth of the time."""
    record, where = self._record(index, encoded_lib.NAMES)
    return encoded_lib.parse(record, DTYPES[self.metadata.dtype], where)

  def sizes(self) -> sizes_lib.Sizes:
    """The sizes of all clips.

    From the file beside the records if there is one, else from every record.
    """
    path = self._directory / sizes_lib.name(self._split)
    if path.is_file():
      return sizes_lib.read(path, len(self))
    raw = map(self._raw, range(len(self)))
    return encoded_lib.sizes_of(raw, self.where)

  def _record(
    self, index: int, names: Sequence[str]
  ) -> tuple[dict[str, Any], str]:
    """Some fields of a record, and where it is."""
    where = f'{self.where} record {index}'
    if not 0 <= index < len(self):
      raise IndexError(f'{where}: there are {len(self)} records')
    return encoded_lib.fields(self._raw(index), names, where), where

  def _raw(self, index: int) -> bytes:
    where = f'{self.where} record {index}'
    return records.read_record(self._source.data_source, index, where)

  def __iter__(self) -> Iterator[Clip]:
    return (self[index] for index in range(len(self)))


def check_alike(clips: Clips, other: Clips) -> None:
  """ValueError if two datasets cannot be learned from together."""
  for name in Metadata._fields:
    one, two = (getattr(each.metadata, name) for each in (clips, other))
    if name != 'chunks' and one != two:
      raise ValueError(
        f'{clips.where}: {name} is {one}, that of {other.where} is {two}; '
        'encode both alike to learn from both'
      )


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
  chunks, channels = len(latents), len(metadata.mean)
  if not 0 < chunks <= metadata.chunks or latents.shape[3:] != (channels,):
    raise ValueError(
      f'take {clip.take}: latents are {latents.shape}, '
      f'[1 to {metadata.chunks}, Y, X, {channels}] was expected'
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
    'tokens': np.array(
      [i for text in texts for i in text], encoded_lib.IDS
    ).tobytes(),
    'token_counts': np.array([*map(len, texts)], encoded_lib.IDS).tobytes(),
  }


def parse_clip(record: Mapping[str, Any], dtype: np.dtype, where: str) -> Clip:
  """Checks a raw record; ValueError names the field that is wrong."""
  encoded = encoded_lib.parse(record, dtype, where)
  encoded_lib.check_there(record, features(), where)
  texts = {
    name: records.text(record, name, where) for name in encoded_lib.TEXTS
  }
  words = records.names(texts['words'], f'{where}: words')
  if len(words) != len(encoded.latents):
    raise ValueError(
      f'{where}: words has {len(words)} texts for {len(encoded.latents)} '
      'latents'
    )
  prompt_ids, *word_ids = encoded.texts()
  return Clip(
    latents=encoded.latents,
    words=words,
    prompt=texts['prompt'],
    start=float(record['start']),
    ended=encoded.ended,
    take=texts['take'],
    word_ids=tuple(word_ids),
    prompt_ids=prompt_ids,
  )
