"""A story, and the three ways to lay one out as a row of tokens.

TV2TV writes each chunk's words before the chunk, Think2V writes all words
first, T2V writes none (paper, baselines). Same model, same trainer, same
sampler: the comparison is the value of `layout`.

| layout | row (P the prompt, w the words, [i] chunk i) |
|---|---|
| tv2tv | BOS P BOF [0] EOF w1 BOF [1] EOF w2 BOF [2] EOF (EOS) |
| think2v | BOS P w1 EOF w2 EOF BOF [0] EOF BOF [1] EOF BOF [2] EOF (EOS) |
| t2v | BOS P BOF [0] EOF BOF [1] EOF BOF [2] EOF (EOS) |

The plan of Think2V closes each chunk's words with EOF, so that its place in
time is written too (choice, see DECISIONS.md).
"""

from collections.abc import Iterator
import enum
from typing import Literal, NamedTuple

from jaxtyping import Int
import numpy as np

from tv2tv_jax.interleave import tokens as tokens_lib

Layout = Literal['tv2tv', 'think2v', 't2v']
NOBODY = -1  # The story of padding.


class Kind(enum.IntEnum):
  """What a text token is."""

  PAD = 0
  PROMPT = 1
  WORD = 2
  BOF = 3
  EOF = 4
  EOS = 5


class Story(NamedTuple):
  """Words and their places between chunks.

  Attributes:
    prompt: ids of the meta prompt.
    words: for each chunk, the ids written just before it; the first is the
      starting frame's, usually empty.
    ended: whether the story is over after its last chunk (EOS follows).
  """

  prompt: tuple[int, ...]
  words: tuple[tuple[int, ...], ...]
  ended: bool


class Row(NamedTuple):
  """A story as static arrays: one text stream, one chunk stream.

  Attributes:
    tokens: ids.
    kind: a `Kind` for each token.
    segment: the chunk whose words the token belongs to, or -1.
    index: place of the token on the clean timeline.
    story: which story of the row the token is of, or `NOBODY`.
    chunk_index: place of each chunk's first token on the clean timeline.
    chunk_story: which story each chunk is of, or `NOBODY`.
  """

  tokens: Int[np.ndarray, '*B L']
  kind: Int[np.ndarray, '*B L']
  segment: Int[np.ndarray, '*B L']
  index: Int[np.ndarray, '*B L']
  story: Int[np.ndarray, '*B L']
  chunk_index: Int[np.ndarray, '*B N']
  chunk_story: Int[np.ndarray, '*B N']


def lay_out(
  story: Story,
  layout: Layout,
  *,
  special: tokens_lib.SpecialTokens,
  text_length: int,
  chunks: int,
  span: int,
) -> Row:
  """The row of one story.

  Args:
    story: its words.
    layout: where they go.
    special: the tokens that are no words.
    text_length: text tokens of a row.
    chunks: chunks of a row.
    span: places that a chunk takes on the timeline.

  Returns:
    int32 arrays of `[text_length]` and `[chunks]`, padded at the end.

  Raises:
    ValueError: the story has more text or chunks than a row holds.
  """
  row = Row(
    tokens=np.full(text_length, special.pad, np.int32),
    kind=np.full(text_length, Kind.PAD, np.int32),
    segment=np.full(text_length, -1, np.int32),
    index=np.zeros(text_length, np.int32),
    story=np.full(text_length, NOBODY, np.int32),
    chunk_index=np.zeros(chunks, np.int32),
    chunk_story=np.full(chunks, NOBODY, np.int32),
  )
  events = list(_events(story, layout, special))
  written = sum(kind is not None for kind, _, _ in events)
  if written > text_length or len(story.words) > chunks:
    raise ValueError(
      f'a story of {written} text tokens (prompt: {len(story.prompt)}) and '
      f'{len(story.words)} chunks does not fit a row of {text_length} text '
      f'tokens and {chunks} chunks'
    )
  place, slot, chunk = 0, 0, 0
  for kind, token, segment in events:
    if kind is None:
      row.chunk_index[chunk], row.chunk_story[chunk] = place, 0
      place, chunk = place + span, chunk + 1
      continue
    row.tokens[slot], row.kind[slot] = token, kind
    row.segment[slot], row.index[slot], row.story[slot] = segment, place, 0
    place, slot = place + 1, slot + 1
  return row


def _events(
  story: Story, layout: Layout, special: tokens_lib.SpecialTokens
) -> Iterator[tuple[Kind | None, int, int]]:
  """Kind, token and segment of each event in time; a chunk is (None, 0, i)."""
  yield Kind.PROMPT, special.bos, -1
  for token in story.prompt:
    yield Kind.PROMPT, token, -1
  if layout == 'think2v':
    for i, words in enumerate(story.words[1:], start=1):
      for token in words:
        yield Kind.WORD, token, i
      yield Kind.EOF, special.eof, -1
  for i, words in enumerate(story.words):
    if layout == 'tv2tv':
      for token in words:
        yield Kind.WORD, token, i
    yield Kind.BOF, special.bof, -1
    yield None, 0, i
    yield Kind.EOF, special.eof, -1
  if story.ended:
    yield Kind.EOS, special.eos, -1
