"""Clips of any length whose latents say where they are from."""

from collections.abc import Sequence
import pathlib

import numpy as np

from data_pipelines import encoded
from data_pipelines import latents
from data_pipelines import sizes
from data_pipelines.prepare import encoding
from tests.data_pipelines import tiny_latents
from tv2tv_jax.interleave import tokens

SPECIAL = tokens.SpecialTokens(pad=0, bos=1, eos=2, bof=3, eof=4)
METADATA = tiny_latents.METADATA._replace(rate=16.0, chunks=40)


def clip(number: int, words: Sequence[Sequence[int]], ended: bool = False):
  """A clip with these words before its latents, each `[number, place]`."""
  places = np.arange(len(words), dtype=np.float32)
  values = np.stack([np.full_like(places, number), places], 1)
  return latents.Clip(
    latents=values[:, None, None],
    words=tuple(' '.join(map(str, each)) for each in words),
    prompt='film',
    start=0.0,
    ended=ended,
    take=f'take-{number}',
    word_ids=tuple(map(tuple, words)),
    prompt_ids=(5, 6 + number % 3),
  )


def clips(lengths: Sequence[int], seed: int = 0) -> list[latents.Clip]:
  """Clips of these lengths that say up to three words a chunk."""
  rng = np.random.default_rng(seed)
  return [
    clip(
      number,
      [()]
      + [rng.integers(10, 99, rng.integers(4)).tolist() for _ in range(n - 1)],
      ended=bool(number % 2),
    )
    for number, n in enumerate(lengths)
  ]


def write(
  out: pathlib.Path, train: Sequence[latents.Clip], test: Sequence[latents.Clip]
) -> pathlib.Path:
  """A dataset of these clips."""
  splits = {'train': train, 'test': test}
  counts = {split: len(those) for split, those in splits.items()}
  job = encoding.Job(out, METADATA, {'clips': counts}, counts, 1000)
  job.begin()
  for piece in job.pieces:
    job.write(piece, splits[piece.split])
  job.join()
  return out


class Held:
  """Clips in memory, in the form in which they are stored."""

  where = 'memory: train'

  def __init__(self, those: Sequence[latents.Clip]):
    self._records = [latents.record_of(one, METADATA) for one in those]

  def __len__(self) -> int:
    return len(self._records)

  def encoded(self, index: int) -> encoded.Encoded:
    """As of `latents.Clips`."""
    dtype = latents.DTYPES[METADATA.dtype]
    return encoded.parse(self._records[index], dtype, self.where)

  def sizes(self):
    """As of `latents.Clips`."""
    clips = map(self.encoded, range(len(self)))
    return sizes.of_clips(sizes.Size(one.counts, one.ended) for one in clips)
