"""Files of answers, row by row against the key of their page."""

from collections.abc import Sequence
import csv
import pathlib
from typing import NamedTuple

from launch.judging import key as key_lib
from launch.judging import questions as questions_lib
from launch.stories import fields

COLUMNS = (
  'page',
  'judge',
  'pair',
  'place',
  'left',
  'right',
  'question',
  'answer',
)
TIE = 'tie'
_ANSWERS = 'left', TIE, 'right'


class Answer(NamedTuple):
  """What a judge said to a question of a pair.

  Attributes:
    judge: who.
    pair: its number on the page.
    question: its id.
    side: 'left', 'tie' or 'right'.
    chosen: the set of the film on that side, or of a check whether it is whole;
      'tie' for a tie.
    left: what was on the left, in the same words.
  """

  judge: str
  pair: str
  question: str
  side: str
  chosen: str
  left: str


class Comment(NamedTuple):
  """What a judge wrote of a pair."""

  judge: str
  pair: str
  text: str


class Given(NamedTuple):
  """All that judges said."""

  answers: tuple[Answer, ...]
  comments: tuple[Comment, ...]


def read(paths: Sequence[pathlib.Path], key: key_lib.Key) -> Given:
  """The answers of all files.

  Raises:
    ValueError: no file or no answer; a row of another page, of an unknown pair,
      film, question or answer, or one that its judge gave before: names file,
      line, field and value.
  """
  answers, comments, known = [], [], {}
  for path in paths:
    for where, row in _rows(path):
      said = _said(row, key, where)
      question = row['question']
      place = said.judge, said.pair, question
      if place in known:
        raise ValueError(
          f'{where}: {said.judge!r} answered question {question!r} of pair '
          f'{said.pair} before, in {known[place]}'
        )
      known[place] = where
      (comments if isinstance(said, Comment) else answers).append(said)
  if not answers:
    raise ValueError(f'{", ".join(map(str, paths))}: no answer in it')
  # The order of files and rows changes nothing.
  return Given(tuple(sorted(answers)), tuple(sorted(comments)))


def _rows(path: pathlib.Path) -> list[tuple[str, dict[str, str]]]:
  """The rows of a file, each with file and line."""
  try:
    # Spreadsheets put a mark before the first column.
    with path.open(newline='', encoding='utf-8-sig') as file:
      reader = csv.reader(file, strict=True)
      header = next(reader, [])
      missing = [name for name in COLUMNS if name not in header]
      if missing:
        raise ValueError(
          f'{path}:1: column {missing[0]!r} is missing; this is no file of '
          'answers'
        )
      rows = []
      for cells in reader:
        where = f'{path}:{reader.line_num}'
        if cells and len(cells) != len(header):
          raise ValueError(
            f'{where}: has {len(cells)} cells, the header {len(header)}'
          )
        if cells:
          rows.append((where, dict(zip(header, cells, strict=True))))
      return rows
  except OSError as error:
    raise ValueError(f'{path}: cannot be read ({error.strerror})') from None
  except (UnicodeDecodeError, csv.Error) as error:
    raise ValueError(f'{path}: no CSV in UTF-8 ({error})') from None


def _said(
  row: dict[str, str], key: key_lib.Key, where: str
) -> Answer | Comment:
  """What a row says."""

  def wrong(field: str, wanted: str) -> ValueError:
    value = fields.shown(row[field])
    return ValueError(f'{where}: {field} is {value}; expected {wanted}')

  if row['page'] != key.page:
    raise wrong('page', f'{key.page!r}: these are answers to another page')
  if not row['judge'].strip():
    raise wrong('judge', 'a name')
  if row['pair'] not in key.pairs:
    raise wrong('pair', f'one of the {len(key.pairs)} pairs of the page')
  entry = key.pairs[row['pair']]
  films = ' and '.join(sorted(entry.films))
  for side, other in (('left', 'right'), ('right', 'left')):
    if row[side] not in entry.films or row[side] == row[other]:
      raise wrong(
        side, f'{films}, the films of pair {row["pair"]}, on two sides'
      )
  if row['question'] == questions_lib.COMMENT:
    return Comment(row['judge'], row['pair'], row['answer'])
  asked = [question.id for question in key.asked(row['pair'])]
  if row['question'] not in asked:
    raise wrong('question', f'one of {", ".join(asked)} in pair {row["pair"]}')
  if row['answer'] not in _ANSWERS:
    raise wrong('answer', ', '.join(_ANSWERS))
  side = row['answer']
  return Answer(
    judge=row['judge'],
    pair=row['pair'],
    question=row['question'],
    side=side,
    chosen=TIE if side == TIE else entry.films[row[side]],
    left=entry.films[row['left']],
  )
