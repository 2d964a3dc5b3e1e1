"""Which film of a page is of which set: what no judge may see."""

from collections.abc import Mapping
import json
import pathlib
from typing import Any, NamedTuple

from launch.judging import questions as questions_lib
from launch.stories import fields

FILE = 'key.json'
WHOLE, DAMAGED = 'whole', 'damaged'
_VERSION = 1
_KINDS = {
  'version': int,
  'page': str,
  'names': list,
  'folders': list,
  'seed': int,
  'questions': list,
  'pairs': dict,
  'left_out': list,
}
_ENTRY_KINDS = {'name': str, 'check': bool, 'told': bool, 'films': dict}


class Entry(NamedTuple):
  """A pair of films as the page shows it.

  Attributes:
    name: of the story, or of the one whose film is damaged.
    check: whether it is a film and its damaged copy.
    told: whether something was told on the way.
    films: number of a film to the name of its set; of a check, to WHOLE or
      DAMAGED.
  """

  name: str
  check: bool
  told: bool
  films: Mapping[str, str]


class Key(NamedTuple):
  """All that a page hides.

  Attributes:
    page: that it belongs to.
    names: of the two sets.
    folders: that they came from.
    seed: of what was drawn.
    questions: that are asked.
    pairs: by their number on the page.
    left_out: a line for each story that is not shown.
  """

  page: str
  names: tuple[str, str]
  folders: tuple[str, str]
  seed: int
  questions: tuple[questions_lib.Question, ...]
  pairs: Mapping[str, Entry]
  left_out: tuple[str, ...]

  def asked(self, pair: str) -> tuple[questions_lib.Question, ...]:
    """The questions of a pair."""
    told = self.pairs[pair].told
    return tuple(q for q in self.questions if q.suits(told))


def text(key: Key) -> str:
  """What the file holds."""
  values = {'version': _VERSION, **key._asdict()}
  values['questions'] = [question._asdict() for question in key.questions]
  values['pairs'] = {n: entry._asdict() for n, entry in key.pairs.items()}
  return json.dumps(values, indent=2) + '\n'


def load(path: pathlib.Path) -> Key:
  """The key of a file.

  Raises:
    ValueError: no key there, or a damaged one; names file and field.
  """
  try:
    data = path.read_bytes()
  except OSError as error:
    raise ValueError(f'{path}: no key there ({error.strerror})') from None
  values = fields.whole(fields.parsed(data, str(path)), _KINDS, str(path))
  if values.pop('version') != _VERSION:
    raise ValueError(f'{path}: version is not {_VERSION}')
  names = _texts(values['names'], f'{path}: names', 2)
  asked = dict.fromkeys(questions_lib.Question._fields, str)
  questions = []
  for number, question in enumerate(values['questions']):
    where = f'{path}: questions[{number}]'
    question = fields.whole(question, asked, where)
    questions.append(questions_lib.made(question, where))
  pairs = {
    number: _entry(entry, names, f'{path}: pairs.{number}')
    for number, entry in values['pairs'].items()
  }
  return Key(
    page=values['page'],
    names=names,
    folders=_texts(values['folders'], f'{path}: folders', 2),
    seed=values['seed'],
    questions=tuple(questions),
    pairs=pairs,
    left_out=_texts(values['left_out'], f'{path}: left_out'),
  )


def _texts(
  values: list[Any], where: str, count: int | None = None
) -> tuple[str, ...]:
  """Texts; so many, if it is said."""
  if count is not None and len(values) != count:
    raise ValueError(f'{where} has {len(values)}, expected {count}')
  return tuple(
    fields.of_kind(value, str, f'{where}[{index}]')
    for index, value in enumerate(values)
  )


def _entry(values: Any, names: tuple[str, ...], where: str) -> Entry:
  """A pair of a file."""
  entry = Entry(**fields.whole(values, _ENTRY_KINDS, where))
  wanted = {WHOLE, DAMAGED} if entry.check else set(names)
  of = [fields.of_kind(v, str, f'{where}: films') for v in entry.films.values()]
  if len(of) != 2 or set(of) != wanted:
    raise ValueError(
      f'{where}: films is {fields.shown(entry.films)}; expected one of each '
      f'of {", ".join(sorted(wanted))}'
    )
  return entry
