"""What a person says on the way, as words before chunks."""

from collections.abc import Sequence
import math
import re
from typing import NamedTuple

from launch import storyteller as storyteller_lib


class Said(NamedTuple):
  """An instruction, and what errors call it."""

  where: str
  say: storyteller_lib.Say


class Span(NamedTuple):
  """The chunks of a story that can be told something: first to last."""

  first: int
  last: int


def parsed(text: str, hold: float) -> Said:
  """`"1.0: turn left"` as an instruction; nothing after the colon is silence.

  Raises:
    ValueError: it has no time.
  """
  match = re.fullmatch(
    r'\s*(\d+\.?\d*|\.\d+)\s*:\s*(.*?)\s*', text, re.ASCII | re.DOTALL
  )
  if not match:
    raise ValueError(
      f'--say {text!r}: write it as "SECONDS: WORDS", as in "1.0: turn left"'
    )
  say = storyteller_lib.Say(float(match[1]), match[2], hold)
  return Said(f'--say {text!r}', say)


def with_ending(
  said: Sequence[Said],
  end: Said,
  teller: storyteller_lib.Storyteller,
  span: Span,
) -> list[Said]:
  """What is said, and the end: words for the last `hold` seconds.

  Args:
    said: what is said on the way.
    end: the last words; their time is the story's.
    teller: tells the story.
    span: chunks that can be told something.

  Raises:
    ValueError: something is said while the ending is.
  """
  _check_hold(end)
  first = max(span.first, span.last + 1 - _chunks(end.say.hold, teller))
  end = end._replace(say=end.say._replace(time=teller.time_of(first)))
  for each in said:
    if each.say.time > end.say.time:
      raise ValueError(
        f'{each.where} would be said during {end.where}, which begins at '
        f'{end.say.time:.2f} s: say it before, or hold the ending for less'
      )
  return [*said, end]


def by_chunk(
  said: Sequence[Said], teller: storyteller_lib.Storyteller, span: Span
) -> dict[int, str]:
  """The words of each chunk that is told any; '' where it is told silence.

  Where two hold at once, the later one does.

  Args:
    said: what is said.
    teller: tells the story.
    span: chunks that can be told something.

  Raises:
    ValueError: a time outside of the story, two that begin with one chunk, or
      words that cannot be told; names each.
  """
  begins: dict[int, Said] = {}
  for each in said:
    chunk = _first(each, teller, span)
    if chunk in begins:
      raise ValueError(
        f'{begins[chunk].where} and {each.where} begin with the same chunk, '
        f'at {teller.time_of(chunk):.2f} s: keep one of them'
      )
    begins[chunk] = each
    _check_words(each, teller)
  asks = {}
  for chunk, each in sorted(begins.items()):
    end = min(chunk + _chunks(each.say.hold, teller), span.last + 1)
    asks |= dict.fromkeys(range(chunk, end), each.say.text)
  return dict(sorted(asks.items()))


def _first(said: Said, teller: storyteller_lib.Storyteller, span: Span) -> int:
  """The chunk that an instruction begins with."""
  _check_hold(said)
  time = said.say.time
  if not math.isfinite(time) or time < 0:
    raise ValueError(f'{said.where}: {time:g} s is no time of a story')
  end = teller.time_of(span.last + 1)
  chunk = teller.chunk_at(min(time, end))
  if chunk > span.last:
    raise ValueError(
      f'{said.where}: {time:g} s is after the end of the story, whose last '
      f'chunk begins at {teller.time_of(span.last):.2f} s'
    )
  if chunk < span.first:
    raise ValueError(
      f'{said.where}: {time:g} s is in what is filmed already; the first new '
      f'chunk begins at {teller.time_of(span.first):.2f} s'
    )
  return chunk


def _check_words(said: Said, teller: storyteller_lib.Storyteller) -> None:
  """Whether words can be told."""
  count = len(teller.encode(said.say.text, said.where))
  if count > teller.config.words_budget:
    raise ValueError(
      f'{said.where}: {count} tokens of words before one chunk are over the '
      f'budget of {teller.config.words_budget}: say less at a time'
    )


def _check_hold(said: Said) -> None:
  """Whether it is a length of time."""
  if not 0 <= said.say.hold < math.inf:
    raise ValueError(
      f'{said.where}: a hold of {said.say.hold:g} s is no length of time'
    )


def _chunks(hold: float, teller: storyteller_lib.Storyteller) -> int:
  """Chunks before which words are restated."""
  return max(1, round(min(hold, 1e6) * teller.rate / teller.step))
