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

from collections.abc import Sequence
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


# Plain numbers: arrays of members of an enumeration are slow to make.
_PAD, _PROMPT, _WORD, _BOF, _EOF, _EOS = map(int, Kind)


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


class Slots(NamedTuple):
  """Room that a row keeps for text, whether or not it is used.

  Attributes:
    prompt: tokens besides, before the first chunk of the row.
    words: tokens before each chunk: EOF of the chunk before, words and BOF.
  """

  prompt: int
  words: int


class Row(NamedTuple):
  """Stories as static arrays: one text stream, one chunk stream.

  Attributes:
    tokens: ids.
    kind: a `Kind` for each token.
    segment: the chunk of the row whose words the token belongs to, or -1.
    index: place of the token on the clean timeline of its story.
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
  stories: Sequence[Story],
  layout: Layout,
  *,
  special: tokens_lib.SpecialTokens,
  text_length: int,
  chunks: int,
  span: int,
  slots: Slots | None = None,
) -> Row:
  """The row of stories, one after another.

  No story sees another; each begins at place 0.

  Args:
    stories: their words.
    layout: where they go.
    special: the tokens that are no words.
    text_length: text tokens of a row.
    chunks: chunks of a row.
    span: places that a chunk takes on the timeline.
    slots: room for the text before each chunk, so that where it ends is known
      before the row is (`plan.in_slots`); None: text stands close together.

  Returns:
    int32 arrays of `[text_length]` and `[chunks]`, padded.

  Raises:
    ValueError: more text or chunks than a row, or text than a slot, holds.
  """
  told = [_told(story, layout, special) for story in stories]
  _check(stories, told, text_length, chunks)
  row = Row(
    tokens=np.full(text_length, special.pad, np.int32),
    kind=np.full(text_length, _PAD, np.int32),
    segment=np.full(text_length, -1, np.int32),
    index=np.zeros(text_length, np.int32),
    story=np.full(text_length, NOBODY, np.int32),
    chunk_index=np.zeros(chunks, np.int32),
    chunk_story=np.full(chunks, NOBODY, np.int32),
  )
  first = slot = 0
  for number, (story, text) in enumerate(zip(stories, told, strict=True)):
    count, filmed = len(text.tokens), len(story.words)
    segment, before = np.array([text.segment, text.before], np.int32)
    order = np.arange(count, dtype=np.int32)
    where = slice(slot, slot + count)
    if slots:
      where = _in_slots(before, first, slot, slots)
      ends = _ends(slots, first + before, chunks, text_length)
      if (over := where >= ends).any():
        raise ValueError(
          f'the text before chunk {before[np.argmax(over)]} of story {number} '
          f'does not fit its slot ({slots} of a row of {text_length} text '
          'tokens)'
        )
    row.tokens[where] = text.tokens
    row.kind[where] = text.kind
    row.segment[where] = np.where(segment < 0, -1, first + segment)
    row.index[where] = order + span * before
    row.story[where] = number
    numbers = np.arange(filmed, dtype=np.int32)
    texts = np.searchsorted(before, numbers, side='right')
    row.chunk_index[first + numbers] = texts + span * numbers
    row.chunk_story[first + numbers] = number
    first += filmed
    slot = int(where[-1]) + 1 if slots else slot + count
  return row


def _check(
  stories: Sequence[Story],
  told: Sequence['_Told'],
  text_length: int,
  chunks: int,
) -> None:
  """Whether the stories have room in a row."""
  written = sum(len(text.tokens) for text in told)
  filmed = sum(len(story.words) for story in stories)
  if written <= text_length and filmed <= chunks:
    return
  several = f' ({len(stories)} stories)' if len(stories) > 1 else ''
  raise ValueError(
    f'a story of {written} text tokens '
    f'(prompt: {sum(len(story.prompt) for story in stories)}) and '
    f'{filmed} chunks{several} does not fit a row of {text_length} text '
    f'tokens and {chunks} chunks'
  )


def _in_slots(
  before: Int[np.ndarray, 'L'], first: int, slot: int, slots: Slots
) -> Int[np.ndarray, 'L']:
  """Where the tokens of a story stand, each after so many of its chunks.

  The first ones go on at `slot`, in the slot before chunk `first` of the row;
  what follows a chunk begins at the next slot.
  """
  begins = np.searchsorted(before, before)
  starts = slots.prompt + slots.words * (first + before)
  return np.where(before, starts, slot) + np.arange(len(before)) - begins


def _ends(
  slots: Slots, chunk: Int[np.ndarray, 'L'], chunks: int, text_length: int
) -> Int[np.ndarray, 'L']:
  """Where the slot before a chunk ends; after the last chunk, the row does."""
  ends = np.minimum(slots.prompt + slots.words * (chunk + 1), text_length)
  return np.where(chunk < chunks, ends, text_length)


class _Told(NamedTuple):
  """The text of a story in the order of time; a list has an entry a token.

  Attributes:
    tokens: ids.
    kind: a `Kind` for each.
    segment: the chunk of the story whose words it belongs to, or -1.
    before: how many chunks of the story are before it.
  """

  tokens: list[int]
  kind: list[int]
  segment: list[int]
  before: list[int]

  def say(self, kind: int, segment: int, before: int, tokens: Sequence[int]):
    """Adds tokens of one kind."""
    count = len(tokens)
    self.tokens.extend(tokens)
    self.kind.extend([kind] * count)
    self.segment.extend([segment] * count)
    self.before.extend([before] * count)


def _told(
  story: Story, layout: Layout, special: tokens_lib.SpecialTokens
) -> _Told:
  """The text of a story, between its chunks."""
  told = _Told([], [], [], [])
  bof, eof = (special.bof,), (special.eof,)
  told.say(_PROMPT, -1, 0, (special.bos, *story.prompt))
  if layout == 'think2v':
    for i, words in enumerate(story.words[1:], start=1):
      told.say(_WORD, i, 0, words)
      told.say(_EOF, -1, 0, eof)
  for i, words in enumerate(story.words):
    if layout == 'tv2tv' and words:
      told.say(_WORD, i, i, words)
    told.say(_BOF, -1, i, bof)
    told.say(_EOF, -1, i + 1, eof)
  if story.ended:
    told.say(_EOS, -1, len(story.words), (special.eos,))
  return told
