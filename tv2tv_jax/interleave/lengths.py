"""How much text stories have, known before they are laid out."""

from jaxtyping import Int
import numpy as np

from tv2tv_jax.interleave import story

# How many, of one story or of each of many.
Counts = int | Int[np.ndarray, '*W']


def whole(
  layout: story.Layout,
  *,
  prompt: Counts,
  words: Counts,
  chunks: Counts,
  ended: Counts,
) -> Counts:
  """The text tokens that stories take of a row.

  Args:
    layout: where words go.
    prompt: tokens of the meta prompt.
    words: tokens of the words before all chunks but the first, which has none.
    chunks: chunks, at least one.
    ended: whether the story is over after its last chunk.
  """
  marks = 1 + 2 * chunks + ended
  match layout:
    case 'tv2tv':
      return marks + prompt + words
    case 'think2v':
      return marks + prompt + words + chunks - 1
    case 't2v':
      return marks + prompt


def between_chunks(
  layout: story.Layout,
  *,
  prompt: Counts,
  words: Counts,
  most: Counts,
  chunks: Counts,
) -> tuple[Counts, Counts]:
  """Text tokens before a story's first chunk, and at most before another.

  Args:
    layout: where words go.
    prompt: tokens of the meta prompt.
    words: tokens of the words before all chunks but the first, which has none.
    most: tokens of the longest words before a chunk.
    chunks: chunks, at least one.
  """
  match layout:
    case 'tv2tv':
      return 2 + prompt, 2 + most
    case 'think2v':
      return 2 + prompt + words + chunks - 1, 2 + 0 * most
    case 't2v':
      return 2 + prompt, 2 + 0 * most
