"""What judges are asked of a pair.

A file of questions is JSON Lines, a question a line:

| field | is |
|---|---|
| id | its name in answers and tables: small letters, digits, `_`, `-` |
| text | what the judge reads |
| asked | of which pairs: `all` (also if it is not there), or only those |
| | that were `told` something on the way, or `untold` |
"""

import pathlib
import re
from typing import Literal, NamedTuple

from launch.stories import fields

Asked = Literal['all', 'told', 'untold']
COMMENT = 'comment'  # In the place of a question: what a judge wrote.
_KINDS = {'id': str, 'text': str, 'asked': str}
_ID = re.compile(r'[a-z0-9][a-z0-9_-]{0,39}')


class Question(NamedTuple):
  """A question, and of which pairs it is asked."""

  id: str
  text: str
  asked: Asked = 'all'

  def suits(self, told: bool) -> bool:
    """Whether it is asked of a pair that was told something, or was not."""
    return self.asked == 'all' or (self.asked == 'told') == told


# The paper's: prompt alignment (or following what is inserted), visual quality,
# realism, preference as a whole. It does not print its wording: ours.
DEFAULTS = (
  Question(
    'instruction',
    'Which film does what it is told, at the time it is told?',
    'told',
  ),
  Question('alignment', 'Which film fits its description better?', 'untold'),
  Question('quality', 'Which film has the better picture?'),
  Question('realism', 'Which film moves and behaves more like the real thing?'),
  Question('overall', 'Which film do you prefer, all in all?'),
)


def read(path: pathlib.Path) -> tuple[Question, ...]:
  """The questions of a file.

  Raises:
    ValueError: no file, no question, or one that is wrong; names file, line,
      field and value.
  """
  try:
    data = path.read_bytes()
  except OSError as error:
    raise ValueError(f'{path}: cannot be read ({error.strerror})') from None
  found: dict[str, Question] = {}
  for number, line in enumerate(data.splitlines(), 1):
    if not line.strip():
      continue
    where = f'{path}:{number}'
    values = fields.checked(fields.parsed(line, where), _KINDS, where)
    for name in ('id', 'text'):
      if name not in values:
        raise ValueError(f'{where}: {name} is missing')
    question = made(values, where)
    if question.id in found:
      raise ValueError(f'{where}: id is {question.id!r} for the second time')
    found[question.id] = question
  if not found:
    raise ValueError(f'{path}: no question in it')
  return tuple(found.values())


def made(values: dict[str, str], where: str) -> Question:
  """A question of fields of the right types; ValueError names a wrong one."""
  question = Question(**values)
  if not _ID.fullmatch(question.id) or question.id == COMMENT:
    raise ValueError(
      f'{where}: id is {fields.shown(question.id)}; give 1 to 40 small '
      f'letters, digits, "_" or "-", and not {COMMENT!r}'
    )
  if not question.text.strip():
    raise ValueError(f'{where}: text is empty')
  fields.one_of(question.asked, Asked, f'{where}: asked')
  return question
