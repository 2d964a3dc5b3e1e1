"""What training reads of a stored clip of latents, and only that.

TFDS takes ten times as long for a record: it looks for ragged arrays in every
field.
"""

from collections.abc import Iterable, Mapping, Sequence
import itertools
import math
from typing import Any, NamedTuple

from jaxtyping import Int, Num
import numpy as np
from tensorflow_datasets.proto import tf_example_pb2

from data_pipelines import records
from data_pipelines import sizes as sizes_lib

BYTES = ('latents', 'tokens', 'token_counts')
INTEGERS = ('chunks', 'height', 'width', 'channels', 'ended')
TEXTS = ('prompt', 'words', 'take')
_LISTS = {
  **dict.fromkeys(BYTES + TEXTS, 'bytes_list'),
  **dict.fromkeys(INTEGERS, 'int64_list'),
  'start': 'float_list',
}
NAMES = (*BYTES, *INTEGERS, 'take')
IDS = np.dtype('<i4')


class Encoded(NamedTuple):
  """What training reads of a clip; arrays may not be written to.

  Attributes:
    latents: normalised; [0] is one frame.
    tokens: ids of the prompt, then of the words before each latent.
    counts: how many of them are the prompt's, and each words'.
    ended: whether the story is over after the last latent.
    take: where it is from.
  """

  latents: Num[np.ndarray, 'N Y X Z']
  tokens: Int[np.ndarray, 'L']
  counts: Int[np.ndarray, 'N+1']
  ended: bool
  take: str

  def texts(self) -> list[tuple[int, ...]]:
    """The ids of the prompt, and of the words before each latent."""
    ids = self.tokens.tolist()
    ends = itertools.accumulate(self.counts.tolist(), initial=0)
    return [tuple(ids[a:b]) for a, b in itertools.pairwise(ends)]


def fields(raw: bytes, names: Sequence[str], where: str) -> dict[str, Any]:
  """Some fields of a record of bytes; ValueError names one that is missing."""
  try:
    held = tf_example_pb2.Example.FromString(raw).features.feature
  except Exception as error:  # the parser's own package is none of ours
    raise ValueError(
      f'{where}: is no record ({error}); make the dataset again'
    ) from None
  record = {}
  for name in names:
    # Of a field that is not there, the list is empty.
    values = getattr(held[name], _LISTS[name]).value
    record[name] = values[0] if len(values) == 1 else None
  return record


def parse(record: Mapping[str, Any], dtype: np.dtype, where: str) -> Encoded:
  """What training reads; ValueError names the field that is wrong."""
  check_there(record, NAMES, where)
  shape = tuple(
    int(record[name]) for name in ('chunks', 'height', 'width', 'channels')
  )
  if min(shape) < 1:
    raise ValueError(f'{where}: chunks, height, width, channels are {shape}')
  counts = _counts(record, shape[0], where)
  return Encoded(
    latents=_table(record, 'latents', dtype, shape, where),
    tokens=_table(record, 'tokens', IDS, (int(counts.sum()),), where),
    counts=counts,
    ended=bool(record['ended']),
    take=records.text(record, 'take', where),
  )


def sizes_of(raw: Iterable[bytes], where: str) -> sizes_lib.Sizes:
  """The sizes of clips as they are stored; ValueError names what is wrong."""
  names = ('chunks', 'ended', 'token_counts')

  def size(index, held):
    place = f'{where} record {index}'
    record = fields(held, names, place)
    check_there(record, names, place)
    counts = _counts(record, int(record['chunks']), place)
    return sizes_lib.Size(counts, bool(record['ended']))

  return sizes_lib.of_clips(itertools.starmap(size, enumerate(raw)))


def _counts(
  record: Mapping[str, Any], chunks: int, where: str
) -> Int[np.ndarray, 'N+1']:
  """Tokens of the prompt and of the words before each latent."""
  counts = _table(record, 'token_counts', IDS, (1 + chunks,), where)
  if counts.min() < 0:
    raise ValueError(f'{where}: token_counts has {counts.min()}')
  return counts


def check_there(
  record: Mapping[str, Any], names: Iterable[str], where: str
) -> None:
  """So the reader fills in what a file lacks: with None."""
  for name in names:
    if record.get(name) is None:
      raise ValueError(
        f'{where}: field {name} is missing; if a file was cut short, make the '
        'dataset again'
      )


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
