"""Grain streams of batches: film for the VAE, stories for TV2TV.

Both are endless, shuffled, and a pure function of the seed: the iterator's
`get_state` and `set_state` go on with the very next batch. What is drawn for
an element depends on the seed and its index alone.
"""

import bisect
from collections.abc import Sequence
import dataclasses
import os
import threading
from typing import Any

import grain
import numpy as np

from data_pipelines import latents as latents_lib
from data_pipelines import records
from tv2tv_jax.interleave import plan as plan_lib
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.interleave import tokens

GRID = 4  # frames between the starts of clips: controls change on it
_READ = grain.ReadOptions(num_threads=2, prefetch_buffer_size=16)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoriesConfig:
  """How clips of latents become rows.

  Attributes:
    layout: 'tv2tv', 'think2v' or 't2v'.
    chunks: latents of a row, the starting frame included.
    text_length: text tokens of a row.
    batch: rows of a batch.
    slots: room kept for the prompt and for the words before each chunk, so
      that attention leaves out what no row can see; (): text stands close
      together, which is shorter where words are few (`interleave.plan`).
    start_share: share of rows that begin with a clip's single frame; the
      others begin at any latent.
  """

  layout: story_lib.Layout = 'tv2tv'
  chunks: int = 9
  text_length: int = 96
  batch: int = 8
  slots: tuple[int, ...] = ()
  start_share: float = 0.4


def plan(config: StoriesConfig) -> plan_lib.Plan:
  """What is known of every row: its order, and where text ends."""
  slots = _slots(config)
  if slots is None:
    return plan_lib.in_order(config.chunks, config.text_length)
  return plan_lib.in_slots(config.chunks, *slots)


def _slots(config: StoriesConfig) -> story_lib.Slots | None:
  """The field `slots` as what it means."""
  if not config.slots:
    return None
  if len(config.slots) != 2:
    raise ValueError(
      f'data.slots is {config.slots}; give two numbers of tokens: for the '
      'prompt, and for the words before each chunk'
    )
  return story_lib.Slots(*config.slots)


class ClipSource:
  """Every clip of a split that starts on a grid, as `frames` and `controls`.

  Decoded takes are kept in memory up to a limit; beyond it, each clip is
  decoded when it is asked for.
  """

  def __init__(
    self,
    directory: str | os.PathLike,
    split: str,
    *,
    frames: int,
    stride: int = GRID,
    memory: int = 2**30,
  ):
    """Opens a split.

    Args:
      directory: a dataset of takes.
      split: of it.
      frames: of a clip.
      stride: frames between the starts of clips.
      memory: bytes of decoded frames to keep.

    Raises:
      ValueError: no take is as long as a clip.
    """
    if frames < 1 or stride < 1:
      raise ValueError(f'frames ({frames}) and stride ({stride}) must be >= 1')
    self._takes = list(records.Takes(directory, split))
    self._frames, self._stride = frames, stride
    self._left, self._kept = memory, {}
    self._lock = threading.Lock()
    self._ends, total = [], 0
    for take in self._takes:
      total += max(0, (take.frame_count - frames) // stride + 1)
      self._ends.append(total)
    if not total:
      longest = max((take.frame_count for take in self._takes), default=0)
      raise ValueError(
        f'{directory}: no take of split {split!r} has {frames} frames, '
        f'the longest has {longest}'
      )

  def __len__(self) -> int:
    return self._ends[-1]

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    which = bisect.bisect_right(self._ends, index)
    before = self._ends[which - 1] if which else 0
    start = (int(index) - before) * self._stride
    stop = start + self._frames
    return {
      'frames': self._decoded(which, start, stop),
      'controls': self._takes[which].controls[start:stop],
    }

  def _decoded(self, which, start, stop):
    kept = self._kept.get(which)
    if kept is not None:
      return kept[start:stop]
    take = self._takes[which]
    size = take.frame_count * take.height * take.width * 3
    with self._lock:
      keep = size <= self._left
      self._left -= size if keep else 0
    if not keep:
      return take.frames(start, stop)
    frames = self._kept[which] = take.frames()
    return frames[start:stop]

  def __repr__(self) -> str:
    return f'ClipSource({len(self)} clips of {self._frames} frames)'


def clips(
  directory: str | os.PathLike,
  split: str,
  *,
  frames: int,
  batch: int,
  seed: int,
  stride: int = GRID,
  with_controls: bool = False,
) -> grain.DatasetIterator:
  """Batches of `frames` uint8 [B, T, Y, X, 3].

  With `with_controls`, also `controls` uint8 [B, T, K]; row 0 of a clip is
  what made its first frame.
  """
  source = ClipSource(directory, split, frames=frames, stride=stride)
  _check_batch(batch, len(source), directory, split)
  names = ('frames', 'controls') if with_controls else ('frames',)
  return read(batches(source, batch, seed, names))


def batches(
  source: ClipSource,
  batch: int,
  seed: int,
  names: Sequence[str] = ('frames',),
) -> grain.MapDataset:
  """Endless batches of shuffled clips, with the fields `names` of each."""
  stream = grain.MapDataset.source(source).seed(seed).shuffle().repeat()
  stream = stream.map(lambda clip: {name: clip[name] for name in names})
  return stream.batch(batch)


def read(stream: grain.MapDataset) -> grain.DatasetIterator:
  """The elements of a stream, read ahead by threads."""
  return iter(stream.to_iter_dataset(_READ))


def stories(
  directory: str | os.PathLike,
  split: str,
  config: StoriesConfig,
  *,
  special: tokens.SpecialTokens,
  span: int,
  seed: int,
  fingerprints: latents_lib.Fingerprints = latents_lib.ANY,
) -> grain.DatasetIterator:
  """Batches of `latents` [B, N, Y, X, Z] and the fields of a `Row`.

  Latents have the dtype they are stored in, and words are the stored ids.

  Args:
    directory: a dataset of latents.
    split: of it.
    config: how clips become rows.
    special: the tokenizer's tokens that are no words.
    span: places that a chunk takes on the timeline.
    seed: of the order and of the windows.
    fingerprints: of the VAE that will decode and the tokenizer that will read.

  Raises:
    ValueError: latents of another VAE or tokenizer, clips shorter than a row,
      or text that does not fit one.
  """
  source = latents_lib.Clips(directory, split, *fingerprints)
  _check_batch(config.batch, len(source), directory, split)
  window = _Window(config, special, span, f'{directory}: {split}')
  stream = grain.MapDataset.source(source).seed(seed).shuffle().repeat()
  stream = stream.random_map(window)
  return iter(stream.batch(config.batch).to_iter_dataset(_READ))


@dataclasses.dataclass(frozen=True)
class _Window(grain.transforms.RandomMap):
  """A window of a clip, laid out."""

  config: StoriesConfig
  special: tokens.SpecialTokens
  span: int
  where: str

  def random_map(self, clip, rng: np.random.Generator) -> dict[str, Any]:
    config = self.config
    spare = len(clip.latents) - config.chunks
    if spare < 0:
      raise ValueError(
        f'{self.where}: the clip of take {clip.take} has {len(clip.latents)} '
        f'latents, a row needs {config.chunks}; lower data.chunks or encode '
        'longer clips'
      )
    offset = 0
    if rng.random() >= config.start_share:
      offset = int(rng.integers(spare + 1))
    stop = offset + config.chunks
    story = story_lib.Story(
      prompt=clip.prompt_ids,
      # The first frame is given.
      words=((), *clip.word_ids[offset + 1 : stop]),
      ended=clip.ended and stop == len(clip.latents),
    )
    try:
      row = story_lib.lay_out(
        [story],
        config.layout,
        special=self.special,
        text_length=config.text_length,
        chunks=config.chunks,
        span=self.span,
        slots=_slots(config),
      )
    except ValueError as error:
      raise ValueError(
        f'{self.where}: take {clip.take} at latent {offset}: {error}; '
        'raise data.text_length'
      ) from None
    return {'latents': clip.latents[offset:stop], **row._asdict()}


def _check_batch(batch, count, directory, split):
  if batch < 1:
    raise ValueError(f'batch is {batch}; it must be at least 1')
  if not count:
    raise ValueError(f'{directory}: split {split!r} is empty')
