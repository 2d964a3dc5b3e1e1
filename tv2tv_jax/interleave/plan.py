"""What is known of a row before its numbers: which keys a query cannot see.

A mask says who sees whom when a row is there. Much of it is known before: in a
row in time order no chunk sees a later one, and where every chunk's words have
a slot of their own, no chunk sees a later slot. Queries are cut into pieces,
and each piece attends to the keys that it may see at all: about half of the
scores are never computed, and the compiled program is the same for every row.
"""

import itertools
from typing import NamedTuple

from tv2tv_jax.interleave import streams as streams_lib

Streams = streams_lib.Streams

_PIECES = 8  # of a stream at most: more saves little and compiles for longer.
_SMALLEST = 64  # tokens of a piece: less does not fill a matrix product.


class Plan(NamedTuple):
  """Rows in time order, with so many text tokens before each chunk.

  Within text, and within chunks, what stands later in memory is later in time
  (or of a later story, or padding). Static: a plan is part of the program.

  Attributes:
    least: for each chunk, text tokens of the row that surely come before it.
    most: for each chunk, text tokens that may come before it.
  """

  least: tuple[int, ...]
  most: tuple[int, ...]


class Piece(NamedTuple):
  """Some queries of a stream, and how many keys they may see at most.

  Attributes:
    stream: `text`, `clean` or `noisy`.
    begin: first query.
    end: after the last query.
    text: the first so many text tokens are keys.
    clean: the first so many clean tokens are keys.
  """

  stream: str
  begin: int
  end: int
  text: int
  clean: int


def in_order(chunks: int, text_length: int) -> Plan:
  """All that the order of a row tells, wherever its words are.

  Before chunk `c` stand BOS, `c + 1` BOF and `c` EOF.
  """
  return Plan(
    tuple(min(2 * c + 2, text_length) for c in range(chunks)),
    (text_length,) * chunks,
  )


def in_slots(chunks: int, prompt: int, slot: int) -> Plan:
  """Rows in which the words before every chunk have `slot` tokens."""
  ends = tuple(prompt + slot * (c + 1) for c in range(chunks))
  return Plan(ends, ends)


def pieces(plan: Plan | None, lengths: Streams, chunks: int) -> list[Piece]:
  """The pieces that queries are cut into, stream by stream.

  Args:
    plan: of the rows; None if nothing is known, not even their order.
    lengths: tokens of each stream that is there.
    chunks: of a row.

  Raises:
    ValueError: a plan for another number of chunks.
  """
  text, clean = lengths.text or 0, lengths.clean or 0
  if plan is None:
    return [
      Piece(name, 0, getattr(lengths, name), text, clean)
      for name in lengths.present
    ]
  if len(plan.most) != chunks:
    raise ValueError(
      f'a plan for {len(plan.most)} chunks, and rows of {chunks} chunks'
    )
  found = []
  for begin, end in _cut(plan, text):
    seen = sum(least < end for least in plan.least)
    found.append(Piece('text', begin, end, end, seen * clean // chunks))
  for name in ('clean', 'noisy'):
    length = getattr(lengths, name)
    for first, last in _shares(chunks, length or 0):
      size = length // chunks
      # A noisy chunk sees the clean chunks before it; at least one is kept,
      # under its mask, so that no piece is left without keys.
      seen = last if name == 'clean' else max(1, last - 1)
      found.append(
        Piece(
          name,
          first * size,
          last * size,
          min(text, plan.most[last - 1]),
          seen * clean // chunks,
        )
      )
  return found


def _shares(count: int, tokens: int) -> list[tuple[int, int]]:
  """`count` things of `tokens` tokens together, in shares of about one size."""
  if not tokens:
    return []
  number = max(1, min(_PIECES, count, tokens // _SMALLEST))
  ends = [round(count * i / number) for i in range(number + 1)]
  return list(itertools.pairwise(ends))


def _cut(plan: Plan, text: int) -> list[tuple[int, int]]:
  """Where to cut the text: between slots where there are any."""
  if plan.least != plan.most:
    return _shares(text, text)
  ends = [0, *plan.most]
  if ends[-1] < text:
    ends.append(text)
  return [
    (ends[first], ends[last]) for first, last in _shares(len(ends) - 1, text)
  ]
