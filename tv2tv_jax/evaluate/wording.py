"""How often a model writes while it films, and how much.

Counted are the chunks before which it was free to write: those that it filmed
and before which no person put words or silence. A count of a story adds to that
of another without rounding.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
import math
from typing import NamedTuple

from tv2tv_jax.evaluate import intervals


class Wording(NamedTuple):
  """What was written in some stories of one frame rate.

  Attributes:
    free: chunks before which the model might have written.
    written: of these, those before which it did.
    changed: of the texts written, those that are not what stood last, whoever
      wrote it.
    words: in the texts, parted by white space.
    tokens: in the texts.
    frames: of the free chunks.
    rate: frames a second.
  """

  free: int
  written: int
  changed: int
  words: int
  tokens: int
  frames: int
  rate: float

  @property
  def seconds(self) -> float:
    """Of film of the free chunks."""
    return self.frames / self.rate

  @property
  def share(self) -> intervals.Count:
    """Texts in so many chunks."""
    return intervals.Count(self.written, self.free)

  @property
  def words_per_second(self) -> float:
    """Of film; not a number where nothing was filmed freely."""
    return self.words / self.seconds if self.frames else math.nan

  @property
  def tokens_per_second(self) -> float:
    """Of film; likewise."""
    return self.tokens / self.seconds if self.frames else math.nan

  @property
  def seconds_per_text(self) -> float:
    """Of film; not a number where nothing was written."""
    return self.seconds / self.written if self.written else math.nan

  @property
  def seconds_per_change(self) -> float:
    """Of film until another text stands; likewise."""
    return self.seconds / self.changed if self.changed else math.nan


def of_story(
  texts: Sequence[str],
  asked: Collection[int],
  tokens: Callable[[str], int],
  *,
  first: int,
  chunk_frames: int,
  rate: float,
) -> Wording:
  """What a model wrote in one story.

  Args:
    texts: before each chunk, '' for none; of the start's chunks, too.
    asked: chunks before which a person put words, or silence.
    tokens: how many a text has.
    first: the first chunk that was filmed; those before it are the start.
    chunk_frames: frames of a chunk.
    rate: frames a second.

  Raises:
    ValueError: a chunk that was asked for but is not in the story, a rate that
      is not positive.
  """
  if strange := sorted(set(asked) - set(range(len(texts)))):
    raise ValueError(
      f'words were put before chunk {strange[0]} of a story of {len(texts)}'
    )
  if not (math.isfinite(rate) and rate > 0):
    raise ValueError(f'rate is {rate}; it must be positive')
  own, changed, last = [], 0, ''
  free = 0
  for chunk, text in enumerate(texts):
    text = text.strip()
    if chunk >= first and chunk not in asked:
      free += 1
      if text:
        own.append(text)
        changed += text != last
    last = text or last
  return Wording(
    free=free,
    written=len(own),
    changed=changed,
    words=sum(len(text.split()) for text in own),
    tokens=sum(map(tokens, own)),
    frames=free * chunk_frames,
    rate=rate,
  )


def merged(parts: Iterable[Wording]) -> Wording:
  """What was written in all stories of the parts.

  Raises:
    ValueError: no parts, or parts of different frame rates.
  """
  parts = list(parts)
  rates = sorted({part.rate for part in parts})
  if len(rates) != 1:
    raise ValueError(f'stories of {rates} frames/s: one rate is needed')
  counts = zip(*(part[:-1] for part in parts), strict=True)
  return Wording(*map(sum, counts), rate=rates[0])
