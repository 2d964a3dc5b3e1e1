"""Controls as timed words: held stretches, and what a chunk is told.

Frame `t` is seen at `t / rate` seconds and shows what row `t` of the controls
did, so row `t` is in force from `(t - 1) / rate` to `t / rate`. A *segment* is
a stretch of equal rows; rows that hold nothing make no segment, they are the
gaps. A chunk is told the words in force over most of it.
"""

from collections.abc import Sequence
import json
from typing import TypedDict

import numpy as np

KIND = 'control'


class Segment(TypedDict):
  """Words that hold from `start` to `end` seconds of a take."""

  start: float
  end: float
  kind: str
  text: str


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
          kind=KIND,
          text=texts[begin],
        )
      )
    begin = row + 1
  return segments


def words_of_chunks(
  segments: Sequence[Segment], start: float, chunks: int, seconds: float
) -> tuple[str, ...]:
  """Text before each latent of a clip: `1 + chunks` strings, the first ''.

  Args:
    segments: of the take the clip is from, in order of time.
    start: when the first frame of the clip is seen, seconds in the take.
    chunks: chunks after the first frame.
    seconds: length of a chunk.
  """
  return ('',) + tuple(
    _in_force(segments, start + i * seconds, start + (i + 1) * seconds)
    for i in range(chunks)
  )


def parse_segments(text: str) -> list[Segment]:
  """Reads the JSON of a record; ValueError names the field that is wrong."""
  try:
    segments = json.loads(text)
  except json.JSONDecodeError as error:
    raise ValueError(f'segments is not JSON: {error}') from None
  if not isinstance(segments, list):
    raise ValueError('segments is not a list')
  end = 0.0
  for index, segment in enumerate(segments):
    for key, kind in (('start', float), ('end', float), ('text', str)):
      value = segment.get(key) if isinstance(segment, dict) else None
      number = kind is float and isinstance(value, int)
      if not (isinstance(value, kind) or number):
        raise ValueError(f'segments[{index}].{key} is {value!r}')
    # A millionth of a second covers the rounding of times.
    if not end - 1e-6 <= segment['start'] < segment['end']:
      raise ValueError(
        f'segments[{index}] runs from {segment["start"]} to '
        f'{segment["end"]} s, after one that ends at {end} s'
      )
    end = segment['end']
  return segments


def _in_force(segments, begin, end):
  """The text that holds longest between two times; '' is the gaps' text."""
  shares = {}
  for segment in segments:
    overlap = min(end, segment['end']) - max(begin, segment['start'])
    if overlap > 0:
      shares[segment['text']] = shares.get(segment['text'], 0.0) + overlap
  gap = (end - begin) - sum(shares.values())
  best = max(shares, key=shares.get, default='')
  # Times are sums of fractions: a tie goes to the words.
  return best if shares.get(best, 0.0) >= gap - 1e-6 else ''
