"""A file of prompts: JSON Lines, a story a line, checked before any is filmed.

| field | is | if it is not there |
|---|---|---|
| prompt | what the story is about | must be there |
| id | name of its folder: letters, digits, `.`, `_`, `-` | the line's number |
| start | number of a kept frame, or what `--start` may be | `--start` |
| seed | 0 to 4294967295 | `--seed` |
| seconds | length of the story | `--seconds` |
| says | a list of `[seconds, words]` or `[seconds, words, hold]` | none |
| ending | words for its last seconds, `--hold` of them | none |
| settings | an object: steps, guidance, temperature, ... | as flags say |
"""

import pathlib
import re
from typing import Any, NamedTuple

from launch import says as says_lib
from launch import story_folder
from launch import storyteller as storyteller_lib
from launch.stories import fields
from tv2tv_jax.sample import settings as settings_lib

SHORTEST, LONGEST = 0.25, 3600.0  # seconds of a story
_KINDS = {
  'id': str,
  'prompt': str,
  'start': object,
  'seed': int,
  'seconds': float,
  'says': list,
  'ending': str,
  'settings': dict,
}
_ID = re.compile(r'[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}')
_BLANK = b' \t\r\n'


class Line(NamedTuple):
  """A story that is asked for.

  Attributes:
    prefix: of the name of a field, for errors: file and line, or `--`.
    name: of its folder.
    prompt: what it is about.
    start: how it begins.
    seed: of all that is drawn.
    seconds: its length.
    said: what it is told on the way.
    ending: what it is told last; None: nothing.
    settings: what it changes of the settings.
  """

  prefix: str
  name: str
  prompt: str
  start: str
  seed: int
  seconds: float
  said: tuple[says_lib.Said, ...]
  ending: says_lib.Said | None
  settings: dict[str, Any]


class Defaults(NamedTuple):
  """What a line is where it says nothing."""

  start: str
  seed: int
  seconds: float
  hold: float


def read(path: pathlib.Path, defaults: Defaults) -> list[Line]:
  """The stories of a file; blank lines are none.

  Raises:
    ValueError: no file, no story in it, or a line that is wrong; names file,
      line, field and value.
  """
  try:
    data = path.read_bytes()
  except OSError as error:
    raise ValueError(
      f'--prompts {path}: cannot be read ({error.strerror})'
    ) from None
  lines, known = [], {}
  for number, text in enumerate(data.split(b'\n'), 1):
    if not text.strip(_BLANK):
      continue
    line = _line(text, f'{path}:{number}', str(number), defaults)
    # Some file systems do not tell small letters from capitals.
    name = line.name.casefold()
    if name in known:
      raise ValueError(
        f'{line.prefix}id is {line.name!r}, as in {known[name]}; name another'
      )
    known[name] = f'{path}:{number}'
    lines.append(line)
  if not lines:
    raise ValueError(f'{path}: no story is asked for: give a line for each')
  return lines


def order(name: str) -> tuple[bool, int, str]:
  """The key by which stories are listed, whatever the order of their lines."""
  counted = name.isdecimal()
  return not counted, int(name) if counted else 0, name


def _line(text: bytes, where: str, name: str, defaults: Defaults) -> Line:
  """A line, which must be a story."""
  values = fields.checked(fields.parsed(text, where), _KINDS, where)
  if 'prompt' not in values:
    raise ValueError(f'{where}: prompt is missing')
  name = values.get('id', name)
  if not _ID.fullmatch(name):
    raise ValueError(
      f'{where}: id is {fields.shown(name)}; it names a folder: give 1 to 100 '
      'letters, digits, "_", "-" or ".", not "." first'
    )
  settings = values.get('settings', {})
  fields.settings(settings_lib.Settings(), settings, f'{where}: settings')
  seconds = values.get('seconds', defaults.seconds)
  seed = values.get('seed', defaults.seed)
  said = tuple(
    _said(each, f'{where}: says[{index}]', defaults.hold)
    for index, each in enumerate(values.get('says', ()))
  )
  ending = None
  if 'ending' in values:
    say = storyteller_lib.Say(0.0, values['ending'], defaults.hold)
    ending = says_lib.Said(f'{where}: ending', say)
  return Line(
    prefix=f'{where}: ',
    name=name,
    prompt=values['prompt'],
    start=_start(values.get('start', defaults.start), f'{where}: start'),
    seed=fields.between(seed, 0, story_folder.MOST_SEED, f'{where}: seed'),
    seconds=fields.between(seconds, SHORTEST, LONGEST, f'{where}: seconds'),
    said=said,
    ending=ending,
    settings=settings,
  )


def _start(value: Any, where: str) -> str:
  """What `--start` would be."""
  if isinstance(value, str) and value and '\0' not in value:
    return fields.of_kind(value, str, where)
  if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
    return str(value)
  raise ValueError(
    f'{where} is {fields.shown(value)}; expected the number of a kept frame, '
    'a picture or video file, or SPLIT:TAKE'
  )


def _said(value: Any, where: str, hold: float) -> says_lib.Said:
  """`[seconds, words]` or `[seconds, words, hold]`."""
  value = fields.of_kind(value, list, where)
  if len(value) not in (2, 3):
    raise ValueError(
      f'{where} is {fields.shown(value)}; expected [seconds, words] or '
      '[seconds, words, hold]'
    )
  time = fields.of_kind(value[0], float, f'{where}[0]')
  text = fields.of_kind(value[1], str, f'{where}[1]')
  if len(value) == 3:
    hold = fields.of_kind(value[2], float, f'{where}[2]')
  return says_lib.Said(where, storyteller_lib.Say(time, text, hold))


def told(
  line: Line, teller: storyteller_lib.Storyteller, begun: int
) -> story_folder.Script:
  """The script of a line.

  Args:
    line: the story.
    teller: tells it.
    begun: chunks of its start.

  Raises:
    ValueError: a prompt or words that cannot be told, a time out of the story,
      contradictions, settings out of range; names line, field and value.
  """
  seconds = f'{line.prefix}seconds'
  fields.between(line.seconds, SHORTEST, LONGEST, seconds)
  chunks = teller.chunks_of(line.seconds)
  if chunks <= begun:
    raise ValueError(
      f'{seconds} is {line.seconds:g}, and its start alone is as long: ask for '
      'a longer story or a shorter start'
    )
  _check_prompt(line, teller)
  return story_folder.Script(
    prompt=line.prompt,
    seed=line.seed,
    settings=fields.settings(
      teller.config.settings, line.settings, f'{line.prefix}settings'
    ),
    layout=teller.layout,
    chunks=chunks,
    asks=asks(line, teller, says_lib.Span(begun, chunks - 1)),
  )


def asks(
  line: Line, teller: storyteller_lib.Storyteller, span: says_lib.Span
) -> dict[int, str]:
  """The words of chunks that are told any; ValueError as `told`."""
  said = line.said
  if line.ending is not None:
    said = says_lib.with_ending(said, line.ending, teller, span)
  return says_lib.by_chunk(said, teller, span)


def _check_prompt(line: Line, teller: storyteller_lib.Storyteller) -> None:
  """Whether the prompt can be told."""
  name = f'{line.prefix}prompt'
  count = len(teller.encode(line.prompt, name))
  if count > teller.config.prompt_budget:
    raise ValueError(
      f'{name} has {count} tokens, over the budget of '
      f'{teller.config.prompt_budget}: shorten it'
    )
