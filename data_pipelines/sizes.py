"""How long clips are, and how much is said in them, without reading them.

Rows are planned by sizes alone. They lie beside the records of a split as one
array of int32, which is mapped and not read: the number of clips; the latents
of each; for each, 1 if its story is over after its last latent; and, clip by
clip, the tokens of the prompt and of the words before each latent.
"""

from collections.abc import Iterable
import io
import pathlib
from typing import NamedTuple

from jaxtyping import Bool, Int
import numpy as np


class Size(NamedTuple):
  """The size of a clip.

  Attributes:
    counts: tokens of the prompt, then of the words before each latent.
    ended: whether the story is over after the last latent.
  """

  counts: Int[np.ndarray, 'N+1']
  ended: bool


class Sizes(NamedTuple):
  """The sizes of many clips.

  Attributes:
    chunks: latents of each clip.
    ended: whether its story is over after its last latent.
    counts: tokens of its prompt and of the words before each of its latents,
      clip by clip.
    begins: where each clip begins in `counts`.
  """

  chunks: Int[np.ndarray, 'W']
  ended: Bool[np.ndarray, 'W']
  counts: Int[np.ndarray, 'S']
  begins: Int[np.ndarray, 'W']


def name(split: str) -> str:
  """The file of a split's sizes."""
  return f'sizes-{split}.npy'


def of_clips(clips: Iterable[Size]) -> Sizes:
  """The sizes of clips, one by one."""
  clips = list(clips)
  return _sizes(
    np.array([len(clip.counts) - 1 for clip in clips], np.int32),
    np.array([clip.ended for clip in clips], bool),
    np.concatenate([np.zeros(0, np.int32), *(clip.counts for clip in clips)]),
  )


def to_bytes(sizes: Sizes) -> bytes:
  """What the file holds."""
  parts = [[len(sizes.chunks)], sizes.chunks, sizes.ended, sizes.counts]
  held = io.BytesIO()
  np.save(held, np.concatenate(parts).astype('<i4'))
  return held.getvalue()


def read(path: pathlib.Path, clips: int) -> Sizes:
  """The sizes in a file.

  Raises:
    ValueError: the file is damaged, or of another number of clips.
  """
  again = 'delete it, and sizes are read from the records'
  try:
    held = np.load(path, mmap_mode='r')
  except (ValueError, OSError, EOFError) as error:
    raise ValueError(f'{path}: damaged ({error}); {again}') from None
  if held.dtype != np.dtype('<i4') or held.ndim != 1 or held.size < 1:
    raise ValueError(
      f'{path}: {held.dtype} of shape {held.shape}, not a row of int32; {again}'
    )
  if held[0] != clips:
    raise ValueError(f'{path}: sizes of {held[0]} of {clips} clips; {again}')
  chunks, ended = held[1 : 1 + clips], held[1 + clips : 1 + 2 * clips]
  counts = held[1 + 2 * clips :]
  wanted = int(chunks.sum()) + clips
  if counts.size != wanted or (clips and min(chunks.min(), counts.min()) < 0):
    raise ValueError(
      f'{path}: {counts.size} counts of tokens, {wanted} were expected, none '
      f'below 0; {again}'
    )
  return _sizes(np.array(chunks), ended.astype(bool), counts)


def _sizes(chunks, ended, counts) -> Sizes:
  begins = np.cumsum(chunks + 1, dtype=np.int64) - (chunks + 1)
  return Sizes(chunks, ended, counts, begins)
