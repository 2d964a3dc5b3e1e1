"""The latents that a model learns from, as batches of rows of stories.

Training is endless, shuffled, and a pure function of the seed and the number of
the batch; evaluation has every latent once, in a fixed order.
"""

import bisect
from collections.abc import Sequence
import os
import sys

import grain
import numpy as np

from data_pipelines import latents as latents_lib
from data_pipelines import pack
from data_pipelines import stories as stories_lib
from data_pipelines import stream as stream_lib
from tv2tv_jax.interleave import tokens

_THREADS = 1  # that read ahead: Python's lock lets no more work at once.


class Corpus:
  """Datasets of latents that one model reads, as batches of rows."""

  def __init__(
    self,
    directories: Sequence[str | os.PathLike],
    config: stories_lib.StoriesConfig,
    *,
    special: tokens.SpecialTokens,
    span: int,
    fingerprints: latents_lib.Fingerprints = latents_lib.ANY,
    share: stream_lib.Share = stream_lib.ALL,
    with_ids: bool = False,
  ):
    """Opens nothing.

    Args:
      directories: datasets of latents.
      config: how clips become rows.
      special: the tokenizer's tokens that are no words.
      span: places that a chunk takes on the timeline.
      fingerprints: of the VAE that will decode and the tokenizer that will
        read.
      share: what of each batch this host reads.
      with_ids: whether batches say which latents they hold.
    """
    self._directories, self._config, self._share = directories, config, share
    self._fingerprints = fingerprints
    self._reading = dict(special=special, span=span, with_ids=with_ids)

  def train(
    self, *, seed: int, weights: Sequence[float] = (), split: str = 'train'
  ) -> stream_lib.Stream:
    """Endless batches of `stories.Reader`; its docstring says what they hold.

    Args:
      seed: of the order and of the windows.
      weights: shares of the rows that datasets have, to a hundredth of the
        smallest; (): by the rows of their epochs.
      split: to read.

    Raises:
      ValueError: latents of several kinds, of another VAE or tokenizer, or a
        clip that fits no row.
    """
    clips = self._opened(split)
    seeds = np.random.SeedSequence(seed).generate_state(len(clips)).tolist()
    rows = [
      stories_lib.rows(each, self._config, source=source, seed=seeds[source])
      for source, each in enumerate(clips)
    ]
    weights = weights or [each.count for each in rows]
    if len(weights) != len(rows) or min(weights) <= 0:
      raise ValueError(
        f'weights are {weights} for {len(rows)} datasets; give one above 0 for '
        'each'
      )
    batches = self._batches(_Mixed(rows, weights), clips)
    return stream_lib.Stream(
      batches,
      threads=_THREADS,
      workers=self._config.workers,
      left_out=sum(map(len, clips)) - sum(each.clips for each in rows),
    )

  def held_out(self, count: int = 0, split: str = 'test') -> grain.IterDataset:
    """Each window of a split once, in a fixed order, or some spread over it.

    Every host has the same number of batches: the last ones are filled up with
    rows of padding.

    Args:
      count: of rows; 0 is all of them.
      split: to read.

    Raises:
      ValueError: as `train`.
    """
    clips = self._opened(split)
    rows = [
      stories_lib.rows(each, self._config, source=source)
      for source, each in enumerate(clips)
    ]
    chosen = _Spread(rows, count, self._config.batch)
    return stream_lib.read(self._batches(chosen, clips), _THREADS)

  def _opened(self, split: str) -> list[latents_lib.Clips]:
    """The datasets, which must be of one kind."""
    clips = [
      latents_lib.Clips(directory, split, *self._fingerprints)
      for directory in self._directories
    ]
    for each in clips:
      if not len(each):
        raise ValueError(f'{each.where}: the split is empty')
      latents_lib.check_alike(each, clips[0])
    return clips

  def _batches(self, rows, clips) -> grain.MapDataset:
    """Batches of this host's share of the rows."""
    reader = stories_lib.Reader(clips, self._config, **self._reading)
    mine = stream_lib.Mine(rows, self._config.batch, self._share)
    return grain.MapDataset.source(mine).map(reader.batch)


class _Mixed:
  """Rows of several datasets, of each its share of them at any time."""

  def __init__(self, rows: Sequence[pack.Rows], weights: Sequence[float]):
    self._rows = rows
    # Row `n` of dataset `k` is number `n * len(rows) + k`.
    numbers = [
      grain.MapDataset.range(source, sys.maxsize, len(rows))
      for source in range(len(rows))
    ]
    self._numbers = grain.MapDataset.mix(numbers, weights)

  def __len__(self) -> int:
    return len(self._numbers)

  def __getitem__(self, index: int) -> pack.Row:
    number, source = divmod(self._numbers[index], len(self._rows))
    return self._rows[source][number]

  def __repr__(self) -> str:
    return f'{self._rows}'


class _Spread:
  """Rows of all datasets, or some spread evenly over them, in whole batches."""

  def __init__(self, rows: Sequence[pack.Rows], count: int, batch: int):
    self._rows = rows
    self._ends = np.cumsum([len(each) for each in rows])
    total = int(self._ends[-1])
    count = min(count, total) or total
    self._chosen = np.linspace(0, total - 1, count).round().astype(int)
    self._length = -(-count // batch) * batch

  def __len__(self) -> int:
    return self._length

  def __getitem__(self, index: int) -> pack.Row:
    if index >= len(self._chosen):
      return ()
    place = int(self._chosen[index])
    which = bisect.bisect_right(self._ends, place)
    return self._rows[which][place - int(self._ends[which])]

  def __repr__(self) -> str:
    return f'{len(self._chosen)} rows of {self._rows}'
