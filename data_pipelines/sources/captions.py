r"""Captions beside a video: JSONL, WebVTT or SubRip, read strictly.

| file | a caption |
|---|---|
| `.jsonl` | a line `{"start": 1.5, "end": 3, "text": "..."}`, seconds; or `{"time": 1.5, "text": "..."}`, in force until a later one begins |
| `.vtt` | a cue of WebVTT (W3C); notes, styles and regions are passed over |
| `.srt` | number, `00:00:01,500 --> 00:00:03,000`, text, an empty line |

Of WebVTT and SubRip only the words are kept: tags are taken off, entities are
decoded. White space is one blank everywhere. What is no caption is refused by
its line, rather than read as words: times that are no times, out of order or
negative, an end that is not after its start, bytes that are no UTF-8.
"""  # noqa: E501 - a row of a table is one line

from collections.abc import Iterator, Sequence
import json
import math
from typing import Any, NamedTuple

from data_pipelines import texts
from data_pipelines.prepare import words
from data_pipelines.sources import subtitles

SUFFIXES = ('.jsonl', '.vtt', '.srt')  # in the order in which they are chosen

_SAME = 1e-6  # s: times are sums of fractions
_TICK = 1e-3  # s: files round times to it


class Caption(NamedTuple):
  """Words that hold from `start` to `end` seconds of a video.

  Attributes:
    start: in seconds.
    end: in seconds; None: until a later caption begins.
    text: may be empty.
    where: file and line, for errors.
  """

  start: float
  end: float | None
  text: str
  where: str


class Captions(NamedTuple):
  """The captions of a whole video.

  Attributes:
    segments: in order of time, none of them empty.
    empty: where captions without words were.
    cut: where captions ran on after the end of the video.
  """

  segments: list[words.Segment]
  empty: list[str]
  cut: list[str]


def read(data: bytes, suffix: str, where: str) -> list[Caption]:
  """The captions of a file, in order of time.

  Args:
    data: its bytes.
    suffix: one of `SUFFIXES`.
    where: its name, for errors.

  Raises:
    ValueError: what is wrong, and in which line.
  """
  lines = texts.LINES.split(texts.utf8(data, where))
  if suffix == '.jsonl':
    captions = _objects(lines, where)
  else:
    found = subtitles.cues(lines, suffix, where)
    captions = (
      Caption(start, end, _plain(text), place)
      for start, end, text, place in found
    )
  return _in_order(captions)


def listed(objects: Any, where: str) -> list[Caption]:
  """Captions of a JSON list of what is a line in JSONL; ValueError as there."""
  if not isinstance(objects, list):
    raise ValueError(f'{where} is {objects!r:.80}, not a list of captions')
  return _in_order(
    _object(value, f'{where}[{index}]') for index, value in enumerate(objects)
  )


def of_video(captions: Sequence[Caption], seconds: float) -> Captions:
  """Captions as segments of a video of `seconds` length.

  One that runs on after the end is cut there.

  Raises:
    ValueError: one begins after the end.
  """
  segments, empty, cut = [], [], []
  for caption, later in zip(captions, _later(captions), strict=True):
    if caption.start >= seconds:
      raise ValueError(
        f'{caption.where}: a caption begins at {caption.start} s, the video '
        f'ends at {seconds:.3f} s'
      )
    end = caption.end
    if end is None:
      end = min(later, seconds)
    elif not caption.text:
      empty.append(caption.where)
    elif end > seconds + _TICK:
      cut.append(caption.where)
    if caption.text:
      segments.append(
        words.Segment(
          start=caption.start,
          end=min(end, seconds),
          kind=words.CAPTION,
          text=caption.text,
        )
      )
  return Captions(segments, empty, cut)


def of_take(
  segments: Sequence[words.Segment], start: float, end: float, length: float
) -> list[words.Segment]:
  """The captions of a take, seconds from its first frame.

  A caption stands in the take in which it begins, up to that take's end, and
  again from 0 in each later one in which it is still in force: a take must
  tell what goes on without the takes before.

  Args:
    segments: of the whole video, in order of time.
    start: of the take in the video, seconds.
    end: when the next take begins; of the last one, when it ends.
    length: of the take, its last frame included, seconds.
  """
  return [
    words.Segment(
      start=max(segment['start'] - start, 0.0),
      end=min(segment['end'] - start, length),
      kind=segment['kind'],
      text=segment['text'],
    )
    for segment in segments
    if segment['start'] < end and segment['end'] > start + _SAME
  ]


def _in_order(captions: Iterator[Caption]) -> list[Caption]:
  """The captions themselves; ValueError if one begins before the last one."""
  ordered, before = [], 0.0
  for caption in captions:
    if caption.start < before:
      raise ValueError(
        f'{caption.where}: a caption begins at {caption.start} s, the one '
        f'before it at {before} s: give them in order of time'
      )
    if caption.end is not None and not caption.end > caption.start:
      raise ValueError(
        f'{caption.where}: a caption ends at {caption.end} s, it begins at '
        f'{caption.start} s'
      )
    before = caption.start
    ordered.append(caption)
  return ordered


def _later(captions: Sequence[Caption]) -> list[float]:
  """For each caption, when the first one that begins later does."""
  later = now = math.inf
  found = []
  for caption in reversed(captions):
    if caption.start < now:
      later, now = now, caption.start
    found.append(later)
  return found[::-1]


def _objects(lines: Sequence[str], where: str) -> Iterator[Caption]:
  """Captions of JSONL."""
  for number, line in enumerate(lines, 1):
    if not line.strip():
      continue
    place = f'{where}: line {number}'
    try:
      value = json.loads(line)
    except (ValueError, RecursionError) as error:
      raise ValueError(f'{place} is not JSON ({error})') from None
    yield _object(value, place)


def _object(value: Any, where: str) -> Caption:
  """A caption of a JSON object."""
  if not isinstance(value, dict):
    raise ValueError(f'{where} is {value!r:.80}, not an object')
  if 'time' in value and not {'start', 'end'} & set(value):
    start, end = _seconds(value, 'time', where), None
  else:
    start, end = (_seconds(value, name, where) for name in ('start', 'end'))
  text = value.get('text')
  if not isinstance(text, str):
    raise ValueError(f'{where}: text is {text!r:.80}, not a text')
  try:
    text.encode()
  except UnicodeEncodeError as error:
    raise ValueError(f'{where}: text {text!r:.80} ({error})') from None
  return Caption(start, end, _plain(text), where)


def _seconds(value: dict[str, Any], name: str, where: str) -> float:
  """A time of a JSON object."""
  seconds = value.get(name)
  number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
  # A year is longer than any film, and a float.
  if not number or not 0 <= seconds < 3e7:
    raise ValueError(f'{where}: {name} is {seconds!r:.80}: give seconds')
  return float(seconds)


def _plain(text: str) -> str:
  """A text on one line."""
  return ' '.join(text.split())
