"""The grammars of WebVTT (W3C) and of SubRip, read strictly.

Only words are kept: tags are taken off and entities decoded. Of WebVTT, notes,
styles, regions and what follows the times of a cue are passed over. What does
not fit is refused by its line. Libraries at hand read on: they take a line
whose times are broken, a number or a note for words of the cue before.
"""

from collections.abc import Iterator, Sequence
import html
import re

_TIMES = {
  '.vtt': re.compile(
    r'(?:(\d{2,4}):)?([0-5]\d):([0-5]\d)\.(\d{3})[ \t]+-->'
    r'[ \t]+(?:(\d{2,4}):)?([0-5]\d):([0-5]\d)\.(\d{3})(?:[ \t]+\S.*)?[ \t]*',
    re.ASCII,
  ),
  '.srt': re.compile(
    r'(\d{1,4}):([0-5]\d):([0-5]\d)[,.](\d{3})[ \t]+-->'
    r'[ \t]+(\d{1,4}):([0-5]\d):([0-5]\d)[,.](\d{3})(?:[ \t]+\S.*)?[ \t]*',
    re.ASCII,
  ),
}
_EXAMPLES = {
  '.vtt': '00:01.500 --> 00:03.000',
  '.srt': '00:00:01,500 --> 00:00:03,000',
}
# A tag of markup, a time within a cue of WebVTT, an override as of SubStation.
_TAG = re.compile(r'</?[a-zA-Z][^<>]*>|<[\d:.]+>|</?>|\{\\[^{}]*\}')
_OTHERS = re.compile(r'(NOTE|STYLE|REGION)(?:[ \t]|$)')


def cues(
  lines: Sequence[str], suffix: str, where: str
) -> Iterator[tuple[float, float, str, str]]:
  """Start and end in seconds, text, and file and line of each cue.

  Args:
    lines: of the file.
    suffix: '.vtt' or '.srt'.
    where: the file's name, for errors.

  Raises:
    ValueError: what is wrong, and in which line.
  """
  blocks = _blocks(lines)
  if suffix == '.vtt':
    number, header = next(blocks, (1, ['']))
    if number != 1 or not re.match(r'WEBVTT(?:[ \t]|$)', header[0]):
      raise ValueError(
        f'{where}: line 1 is {lines[0]!r:.80}, WebVTT begins with WEBVTT'
      )
    _no_arrow(header, 1, where)
  for number, block in blocks:
    if suffix == '.vtt' and _OTHERS.match(block[0]):
      _no_arrow(block, number, where)
      continue
    if '-->' not in block[0]:
      if suffix == '.srt' and not block[0].strip().isdecimal():
        raise ValueError(
          f'{where}: line {number} is {block[0]!r:.80}, a number is wanted'
        )
      number, block = number + 1, block[1:]
    times = _TIMES[suffix].fullmatch(block[0].strip()) if block else None
    if times is None:
      found = repr(block[0])[:80] if block else 'empty'
      raise ValueError(
        f'{where}: line {number} is {found}, times such as '
        f'{_EXAMPLES[suffix]} are wanted'
      )
    _no_arrow(block[1:], number + 1, where)
    start, end = _clock(*times.groups()[:4]), _clock(*times.groups()[4:])
    text = html.unescape(_TAG.sub('', ' '.join(block[1:])))
    yield start, end, text, f'{where}: line {number}'


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
  """Lines without an empty one between, and the number of their first."""
  block = []
  for number, line in enumerate([*lines, ''], 1):
    if line.strip():
      block.append(line)
    elif block:
      yield number - len(block), block
      block = []


def _no_arrow(lines: Sequence[str], number: int, where: str) -> None:
  """ValueError for times among what is no time: an empty line is missing."""
  for at, line in enumerate(lines, number):
    if '-->' in line:
      raise ValueError(
        f'{where}: line {at} is {line!r:.80}: an empty line is wanted before '
        'the next caption'
      )


def _clock(hours: str | None, minutes: str, seconds: str, thousandths: str):
  """Seconds."""
  whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
  return (whole * 1000 + int(thousandths)) / 1000
