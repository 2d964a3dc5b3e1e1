"""Clips of latents as rows of stories: what shares a row, and its arrays."""

from collections.abc import Sequence
import dataclasses
from typing import Literal

import numpy as np

from data_pipelines import encoded as encoded_lib
from data_pipelines import latents as latents_lib
from data_pipelines import pack
from data_pipelines import windows as windows_lib
from tv2tv_jax.interleave import plan as plan_lib
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.interleave import tokens

_UNITS = 64  # that a row's text is counted in: bounds the kinds of windows.


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoriesConfig:
  """How clips of latents become rows.

  Attributes:
    layout: 'tv2tv', 'think2v' or 't2v'.
    chunks: latents of a row, the starting frames included. Of a longer clip,
      an epoch has as many windows as it fills rows; one that begins within the
      clip is told what stands before its own chunks, nothing of what was said.
    text_length: text tokens of a row.
    batch: rows of a batch, over all hosts.
    slots: room kept for the prompt and for the words before each chunk, so
      that attention leaves out what no row can see; (): text stands close
      together, which is shorter where words are few (`interleave.plan`).
    start_share: share of the windows of a longer clip that begin with its
      single frame; the others begin at any latent.
    pack: whether clips that are shorter than a row share one.
    oversize: what a clip is whose text does not fit a row: an 'error', or
      something to 'leave_out'.
    workers: processes that read ahead; 0: a thread of this one.
  """

  layout: story_lib.Layout = 'tv2tv'
  chunks: int = 9
  text_length: int = 96
  batch: int = 8
  slots: tuple[int, ...] = ()
  start_share: float = 0.4
  pack: bool = False
  oversize: Literal['error', 'leave_out'] = 'error'
  workers: int = 0


def plan(config: StoriesConfig) -> plan_lib.Plan:
  """What is known of every row: its order, and where text ends."""
  slots = slots_of(config)
  if slots is None:
    return plan_lib.in_order(config.chunks, config.text_length)
  return plan_lib.in_slots(config.chunks, *slots)


def slots_of(config: StoriesConfig) -> story_lib.Slots | None:
  """The field `slots` as what it means."""
  if not config.slots:
    return None
  if len(config.slots) != 2:
    raise ValueError(
      f'data.slots is {config.slots}; give two numbers of tokens: for the '
      'prompt, and for the words before each chunk'
    )
  return story_lib.Slots(*config.slots)


def rows(
  clips: latents_lib.Clips,
  config: StoriesConfig,
  *,
  source: int = 0,
  seed: int | None = None,
) -> pack.Rows:
  """The rows of a dataset: without a seed each window once, in a fixed order.

  Args:
    clips: of the dataset.
    config: how they become rows.
    source: its number among several.
    seed: of the order and of the windows; None: evaluation.

  Raises:
    ValueError: a clip that fits no row, or none that does.
  """
  sizes = clips.sizes()
  cut = windows_lib.tiled if seed is None else windows_lib.drawn
  windows = cut(sizes, config.chunks)
  lengths = windows_lib.lengths(windows, sizes, config.layout)
  fit = _fit(windows, lengths, config)
  if not fit.all() and config.oversize == 'error':
    _complain(clips, int(windows.clip[np.argmin(fit)]), config)
  # All windows of a clip, or none.
  fit &= ~np.isin(windows.clip, windows.clip[~fit])
  if not fit.any():
    raise ValueError(
      f'{clips.where}: no clip fits a row; raise data.text_length or data.slots'
    )
  windows, lengths = (
    type(each)(*(field[fit] for field in each)) for each in (windows, lengths)
  )
  kinds, patterns = _patterns(windows, lengths, config)
  return pack.Rows(
    windows,
    kinds,
    patterns,
    source=source,
    seed=seed,
    start_share=config.start_share,
  )


def _fit(windows, lengths, config: StoriesConfig) -> np.ndarray:
  """Which windows fit a row of their own, wherever they begin."""
  slots = slots_of(config)
  if slots is None:
    return lengths.whole <= config.text_length
  needed = slots.prompt + slots.words * config.chunks + 2
  if config.text_length < needed:
    raise ValueError(
      f'data.text_length is {config.text_length}; data.slots of '
      f'{config.chunks} chunks, EOF and EOS need {needed}'
    )
  alone = lengths.first <= slots.prompt + slots.words
  return alone & ((windows.chunks < 2) | (lengths.other <= slots.words))


def _complain(
  clips: latents_lib.Clips, clip: int, config: StoriesConfig
) -> None:
  """Names a clip that does not fit."""
  encoded = clips.encoded(clip)
  prompt, *words = encoded.counts.tolist()
  raise ValueError(
    f'{clips.where} record {clip}: take {encoded.take}: a prompt of {prompt} '
    f'tokens and words of {", ".join(map(str, words[1:]))} before its chunks '
    f'do not fit a row of {config.chunks} chunks and {config.text_length} text '
    f'tokens{f" in slots of {config.slots}" if config.slots else ""}; raise '
    'data.text_length or data.slots, or set data.oversize=leave_out'
  )


def _patterns(
  windows: windows_lib.Windows,
  lengths: windows_lib.Lengths,
  config: StoriesConfig,
) -> tuple[np.ndarray, list[pack.Pattern]]:
  """The kind of each window, and which kinds share a row."""
  if not config.pack:
    count = int(windows.times.sum())
    kinds = np.zeros(len(windows.clip), np.int64)
    return kinds, [pack.Pattern(count, (0,), (0,), (1,))]
  slots = slots_of(config)
  if slots is None:
    unit = max(1, config.text_length // _UNITS)
    room = config.text_length // unit
    # What fits a row fits it, however units round.
    text = np.minimum(-(-lengths.whole // unit), room)
  else:
    # After EOF and EOS of the story before there is less room: what needs all
    # of it stands first, and one of that kind is all that a row has room for.
    room, text = 1, (lengths.first + 2 > slots.words).astype(np.int64)
  table, kinds = np.unique(
    np.stack([windows.chunks, text], 1), axis=0, return_inverse=True
  )
  counts = np.bincount(kinds, windows.times).astype(np.int64)
  found = pack.patterns(table[:, 0], table[:, 1], counts, (config.chunks, room))
  return kinds, found


class Reader:
  """The arrays of rows."""

  def __init__(
    self,
    clips: Sequence[latents_lib.Clips],
    config: StoriesConfig,
    *,
    special: tokens.SpecialTokens,
    span: int,
    with_ids: bool = False,
  ):
    """Looks at one clip: all are of its size.

    Args:
      clips: the datasets, by the number that windows name them by.
      config: how clips become rows.
      special: the tokenizer's tokens that are no words.
      span: places that a chunk takes on the timeline.
      with_ids: whether batches say which latents they hold.
    """
    self._clips, self._config = clips, config
    self._special, self._span, self._with_ids = special, span, with_ids
    first = clips[0].encoded(0).latents
    self._shape, self._dtype = first.shape[1:], first.dtype

  def batch(self, rows: Sequence[pack.Row]) -> dict[str, np.ndarray]:
    """Rows side by side; a row of no window is padding.

    Returns:
      `latents` [B, N, Y, X, Z] as they are stored, zero where there are none;
      the fields of a `Row`; and, with ids, `ids` int32 [B, N, 3]: dataset, clip
      and latent of each chunk, -1 where there is none.

    Raises:
      ValueError: clips of several sizes, or a record that cannot be read.
    """
    config = self._config
    laid_out = []
    latents = np.empty((len(rows), config.chunks, *self._shape), self._dtype)
    for windows, held in zip(rows, latents, strict=True):
      stories, chunk = [], 0
      for window in windows:
        encoded = self._encoded(window)
        end = window.offset + window.chunks
        held[chunk : chunk + window.chunks] = encoded.latents[
          window.offset : end
        ]
        chunk += window.chunks
        prompt, *words = encoded.texts()
        stories.append(
          story_lib.Story(
            prompt=prompt,
            # The first frame is given.
            words=((), *words[window.offset + 1 : end]),
            ended=encoded.ended and end == len(encoded.latents),
          )
        )
      held[chunk:] = 0
      laid_out.append(self._laid_out(stories, windows))
    fields = zip(*laid_out, strict=True)
    batch = dict(zip(story_lib.Row._fields, map(np.stack, fields), strict=True))
    ids = {'ids': self._ids(rows)} if self._with_ids else {}
    return {'latents': latents, **batch, **ids}

  def _encoded(self, window: windows_lib.Window) -> encoded_lib.Encoded:
    """The clip of a window."""
    clips = self._clips[window.source]
    encoded = clips.encoded(window.clip)
    if encoded.latents.shape[1:] != self._shape:
      raise ValueError(
        f'{clips.where} record {window.clip}: latents of '
        f'{encoded.latents.shape[1:]}, those of the first clip are '
        f'{self._shape}; rows need one size'
      )
    return encoded

  def _laid_out(
    self, stories: Sequence[story_lib.Story], windows: pack.Row
  ) -> story_lib.Row:
    """One row."""
    config = self._config
    try:
      return story_lib.lay_out(
        stories,
        config.layout,
        special=self._special,
        text_length=config.text_length,
        chunks=config.chunks,
        span=self._span,
        slots=slots_of(config),
      )
    except ValueError as error:
      clips = ', '.join(str(window.clip) for window in windows)
      raise ValueError(
        f'{self._clips[windows[0].source].where} records {clips}: {error}; '
        'are the sizes beside them those of other clips?'
      ) from None

  def _ids(self, rows: Sequence[pack.Row]) -> np.ndarray:
    """Dataset, clip and latent of every chunk."""
    ids = np.full((len(rows), self._config.chunks, 3), -1, np.int32)
    for windows, row in zip(rows, ids, strict=True):
      chunk = 0
      for source, clip, offset, chunks in windows:
        part = row[chunk : chunk + chunks]
        part[:] = source, clip, 0
        part[:, 2] = np.arange(offset, offset + chunks)
        chunk += chunks
    return ids
