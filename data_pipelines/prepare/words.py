"""Timed words of a take, and what is told before each chunk of a clip.

Frame `t` is seen at `t / rate` seconds and shows what row `t` of the controls
did, so row `t` is in force from `(t - 1) / rate` to `t / rate`.

| kind | is |
|---|---|
| prompt | the meta prompt, from the take's beginning to its end |
| caption | said once, when it begins; holds until it ends |
| control | held from its beginning to its end; none overlaps another |

A clip is a frame and chunks after it. A caption is told before the first chunk
that does not begin before it. One that begins during the clip's last chunk is
left to the clip that goes on there, unless the take ends with that chunk: then
it is told before it, for there is none later. One that still holds where a clip
begins is told again before the clip's first chunk. Controls are restated before
every chunk, those that are in force over most of it; rows that hold nothing
make no segment, they are the gaps.
"""

from collections.abc import Sequence
import json
import math
from typing import NamedTuple, TypedDict

import numpy as np

PROMPT, CAPTION, CONTROL = KINDS = ('prompt', 'caption', 'control')

# A millionth of a second covers the rounding of times.
_ROUNDING = 1e-6


class Segment(TypedDict):
  """Words that hold from `start` to `end` seconds of a take."""

  start: float
  end: float
  kind: str
  text: str


class Told(NamedTuple):
  """What is written before a chunk."""

  captions: tuple[str, ...] = ()
  control: str = ''

  @property
  def text(self) -> str:
    """All of it, captions first."""
    return '; '.join(filter(None, (*self.captions, self.control)))


def text_of(row: np.ndarray, names: Sequence[str]) -> str:
  """Names of what is held, e.g. 'turn left, attack'; '' for nothing."""
  return ', '.join(name for held, name in zip(row, names, strict=True) if held)


def segments_of(
  controls: np.ndarray, names: Sequence[str], rate: float
) -> list[Segment]:
  """Merged stretches of `controls` uint8 [T, K], in order of time."""
  texts = [text_of(row, names) for row in controls]
  segments = []
  begin = 1
  for row in range(1, len(texts)):
    if row + 1 < len(texts) and texts[row + 1] == texts[begin]:
      continue
    if texts[begin]:
      segments.append(
        Segment(
          start=(begin - 1) / rate,
          end=row / rate,
          kind=CONTROL,
          text=texts[begin],
        )
      )
    begin = row + 1
  return segments


def prompt_of(segments: Sequence[Segment]) -> str:
  """The meta prompt, '' if there is none."""
  return ' '.join(s['text'] for s in segments if s['kind'] == PROMPT)


def covered(segments: Sequence[Segment], seconds: float) -> float:
  """Seconds of a take in which one of these holds; given in order of time."""
  total = reached = 0.0
  for segment in segments:
    end = min(segment['end'], seconds)
    total += max(0.0, end - max(segment['start'], reached))
    reached = max(reached, end)
  return total


def told_before_chunks(
  segments: Sequence[Segment],
  start: float,
  chunks: int,
  seconds: float,
  last: float = math.inf,
) -> tuple[Told, ...]:
  """What is told before each latent of a clip: `1 + chunks`, nothing at first.

  Args:
    segments: of the take the clip is from, in order of time.
    start: when the first frame of the clip is seen, seconds in the take.
    chunks: chunks after the first frame.
    seconds: length of a chunk.
    last: when the last frame of the take is seen.
  """
  captions = [[] for _ in range(1 + chunks)]
  final = start + chunks * seconds >= last - _ROUNDING
  for segment in segments:
    if segment['kind'] == CAPTION and chunks:
      place = _place(segment, start, seconds)
      place = min(place, chunks) if final else place
      if 1 <= place <= chunks:
        captions[place].append(segment['text'])
  controls = [s for s in segments if s['kind'] == CONTROL]
  return (Told(),) + tuple(
    Told(
      tuple(captions[1 + i]),
      _in_force(controls, start + i * seconds, start + (i + 1) * seconds),
    )
    for i in range(chunks)
  )


def words_of_chunks(
  segments: Sequence[Segment],
  start: float,
  chunks: int,
  seconds: float,
  last: float = math.inf,
) -> tuple[str, ...]:
  """Text before each latent of a clip: `told_before_chunks` as text."""
  told = told_before_chunks(segments, start, chunks, seconds, last)
  return tuple(each.text for each in told)


def parse_segments(text: str, seconds: float) -> list[Segment]:
  """Reads the JSON of a record; ValueError names the field that is wrong."""
  try:
    segments = json.loads(text)
  except (ValueError, RecursionError) as error:
    raise ValueError(f'segments is not JSON: {error}') from None
  if not isinstance(segments, list):
    raise ValueError('segments is not a list')
  check_segments(segments, seconds)
  return segments


def check_segments(segments: Sequence[Segment], seconds: float) -> None:
  """ValueError if these are no segments of a take of so many seconds."""
  begun = held = 0.0
  for index, segment in enumerate(segments):
    name = f'segments[{index}]'
    _check_fields(segment, name)
    start, end = segment['start'], segment['end']
    runs = f'{name} ({segment["kind"]}) runs from {start} to {end} s'
    if not 0 <= start < end <= seconds + _ROUNDING:
      raise ValueError(f'{runs} of a take of {seconds} s')
    if start < begun:
      raise ValueError(f'{runs}, after one that begins at {begun} s')
    begun = start
    whole = start == 0 and end >= seconds - _ROUNDING
    if segment['kind'] == PROMPT and not whole:
      raise ValueError(f'{runs}; a prompt holds from 0 to {seconds} s')
    if segment['kind'] == CONTROL:
      if start < held - _ROUNDING:
        raise ValueError(f'{runs}, after a control that ends at {held} s')
      held = end


def _check_fields(segment: Segment, name: str) -> None:
  if not isinstance(segment, dict):
    raise ValueError(f'{name} is {segment!r}, not an object')
  for key in ('start', 'end'):
    value = segment.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
      raise ValueError(f'{name}.{key} is {value!r}; seconds are wanted')
  if segment.get('kind') not in KINDS:
    raise ValueError(
      f'{name}.kind is {segment.get("kind")!r}; choose from {", ".join(KINDS)}'
    )
  text = segment.get('text')
  if not isinstance(text, str) or not text.strip():
    raise ValueError(f'{name}.text is {text!r}; words are wanted')


def _place(caption: Segment, start: float, seconds: float) -> int:
  """The latent of a clip that a caption is told before; 0 if before the clip.

  Chunk `i` begins at `start + (i - 1) * seconds`.
  """
  late = math.ceil((caption['start'] - start - _ROUNDING) / seconds)
  # Began during the last chunk before the clip: told there by none.
  if late >= 0:
    return 1 + late
  return 1 if caption['end'] > start + _ROUNDING else 0


def _in_force(controls: Sequence[Segment], begin: float, end: float) -> str:
  """The text that holds longest between two times; '' is the gaps' text."""
  shares = {}
  for segment in controls:
    overlap = min(end, segment['end']) - max(begin, segment['start'])
    if overlap > 0:
      shares[segment['text']] = shares.get(segment['text'], 0.0) + overlap
  gap = (end - begin) - sum(shares.values())
  best = max(shares, key=shares.get, default='')
  # Times are sums of fractions: a tie goes to the words.
  return best if shares.get(best, 0.0) >= gap - _ROUNDING else ''
