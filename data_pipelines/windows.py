"""Which parts of clips become stories, and how much text those have.

A clip that is no longer than a row is a window as it is. Of a longer one, an
epoch of training draws a window of a row's chunks for every row that it would
fill, anywhere in it; evaluation cuts it into windows end to end.
"""

from typing import NamedTuple

from jaxtyping import Int
import numpy as np

from data_pipelines import sizes as sizes_lib
from tv2tv_jax.interleave import lengths as lengths_lib
from tv2tv_jax.interleave import story as story_lib

_BLOCK = 2**14  # windows that are looked at together: bounds memory.


class Window(NamedTuple):
  """Some latents of a clip, one after another.

  Attributes:
    source: which dataset of several.
    clip: which of its clips.
    offset: the first latent.
    chunks: how many.
  """

  source: int
  clip: int
  offset: int
  chunks: int


class Windows(NamedTuple):
  """The windows of an epoch, in the order of their clips.

  Attributes:
    clip: which clip each is of.
    first: the first latent that it may begin at.
    spare: how many latents later than that it may begin.
    chunks: its latents.
    times: how many such windows an epoch has.
  """

  clip: Int[np.ndarray, 'W']
  first: Int[np.ndarray, 'W']
  spare: Int[np.ndarray, 'W']
  chunks: Int[np.ndarray, 'W']
  times: Int[np.ndarray, 'W']


class Lengths(NamedTuple):
  """Text tokens of each window, at most: wherever it begins.

  Attributes:
    whole: of all its text.
    first: before its first chunk.
    other: before any other chunk.
  """

  whole: Int[np.ndarray, 'W']
  first: Int[np.ndarray, 'W']
  other: Int[np.ndarray, 'W']


def drawn(sizes: sizes_lib.Sizes, chunks: int) -> Windows:
  """The windows of training, for rows of so many chunks."""
  length = np.minimum(sizes.chunks, chunks)
  return Windows(
    clip=np.arange(len(length), dtype=np.int32),
    first=np.zeros_like(length),
    spare=sizes.chunks - length,
    chunks=length,
    times=np.maximum(1, sizes.chunks // chunks),
  )


def tiled(sizes: sizes_lib.Sizes, chunks: int) -> Windows:
  """The windows of evaluation: every latent once."""
  counts = -(-sizes.chunks // chunks)
  clip = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
  first = chunks * _within(counts)
  length = np.minimum(chunks, sizes.chunks[clip] - first)
  return Windows(
    clip, first, np.zeros_like(length), length, np.ones_like(length)
  )


def lengths(
  windows: Windows, sizes: sizes_lib.Sizes, layout: story_lib.Layout
) -> Lengths:
  """The text of windows, whose first words are never told."""
  chunks = windows.chunks.astype(np.int64)
  prompt = sizes.counts[sizes.begins[windows.clip]].astype(np.int64)
  words, most = np.zeros((2, len(chunks)), np.int64)
  for begin in range(0, len(chunks), _BLOCK):
    part = np.arange(begin, min(begin + _BLOCK, len(chunks)))
    some = Windows(*(field[part] for field in windows))
    words[part], most[part] = _said(some, sizes)
  last = windows.first + windows.spare + chunks == sizes.chunks[windows.clip]
  return Lengths(
    lengths_lib.whole(
      layout,
      prompt=prompt,
      words=words,
      chunks=chunks,
      ended=(sizes.ended[windows.clip] & last).astype(np.int64),
    ),
    *lengths_lib.between_chunks(
      layout, prompt=prompt, words=words, most=most, chunks=chunks
    ),
  )


def _said(
  windows: Windows, sizes: sizes_lib.Sizes
) -> tuple[Int[np.ndarray, 'W'], Int[np.ndarray, 'W']]:
  """Tokens of all words of a window, and before one chunk, at most."""
  begins = sizes.begins[windows.clip]
  start = begins[0]
  counts = sizes.counts[start : begins[-1] + sizes.chunks[windows.clip[-1]] + 1]
  before = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
  # The place in `counts` of the first latent, for every offset of each window.
  offsets = windows.spare + 1
  edges = np.cumsum(offsets) - offsets
  first = np.repeat(begins - start + 1 + windows.first, offsets)
  first = first + _within(offsets)
  words = before[first + np.repeat(windows.chunks, offsets)] - before[first + 1]
  alone = np.array(counts)
  alone[begins - start] = 0  # of the prompt
  alone[begins - start + 1] = 0  # of the starting frame
  clips, which = np.unique(begins - start, return_inverse=True)
  most = np.maximum.reduceat(alone, clips)[which]
  return np.maximum.reduceat(words, edges), most


def _within(counts: Int[np.ndarray, 'W']) -> Int[np.ndarray, 'S']:
  """0, 1, ... up to each count, one after another."""
  ends = np.cumsum(counts)
  return np.arange(ends[-1] if len(ends) else 0) - np.repeat(
    ends - counts, counts
  )
