"""What the answers come to: tally.json, tally.md and tally.html."""

from collections.abc import Sequence
import json
import math
import pathlib
from typing import Any

import numpy as np

from data_pipelines.prepare import dataset
from launch.judging import answers as answers_lib
from launch.judging import key as key_lib
from launch.judging import preferences
from launch.judging import questions as questions_lib
from launch.judging import render

_NAME = 'tally'
_LEANS = {'left': -1, answers_lib.TIE: 0, 'right': 1}


def write(
  out: pathlib.Path,
  key: key_lib.Key,
  given: answers_lib.Given,
  seed: int,
) -> str:
  """Writes the three files; the table as text.

  Raises:
    OSError: they cannot be written.
  """
  figures = report(key, given, seed)
  table = markdown(figures)
  out.mkdir(parents=True, exist_ok=True)
  text = json.dumps(figures, indent=2, allow_nan=False) + '\n'
  dataset.write_text(out / f'{_NAME}.json', text)
  dataset.write_text(out / f'{_NAME}.md', table)
  dataset.write_text(out / f'{_NAME}.html', render.tally(figures))
  return table


def report(
  key: key_lib.Key, given: answers_lib.Given, seed: int
) -> dict[str, Any]:
  """All figures, as in tally.json.

  Args:
    key: of the page.
    given: what judges said, checks included.
    seed: of the bootstrap.
  """
  real = [a for a in given.answers if not key.pairs[a.pair].check]
  return {
    'page': key.page,
    'names': list(key.names),
    'folders': list(key.folders),
    'pairs': sum(not entry.check for entry in key.pairs.values()),
    'left_out': list(key.left_out),
    'bootstrap': {'seed': seed, 'resamples': preferences.RESAMPLES},
    'questions': [
      _question(question, key, real, seed) for question in key.questions
    ],
    'judges': [
      _judge(judge, key, given.answers)
      for judge in sorted({answer.judge for answer in given.answers})
    ],
    'sides': _sides(given.answers, key),
    'comments': [
      {**comment._asdict(), 'story': key.pairs[comment.pair].name}
      for comment in given.comments
    ],
  }


def votes(
  answers: Sequence[answers_lib.Answer], names: Sequence[str]
) -> np.ndarray:
  """Counts [P, 3] of pairs: for the first set, neither, the second."""
  columns = {names[0]: 0, answers_lib.TIE: 1, names[1]: 2}
  rows = {}
  for answer in answers:
    row = rows.setdefault(answer.pair, np.zeros(3, np.int64))
    row[columns[answer.chosen]] += 1
  return np.array([rows[pair] for pair in sorted(rows)]).reshape(-1, 3)


def _question(
  question: questions_lib.Question,
  key: key_lib.Key,
  answers: Sequence[answers_lib.Answer],
  seed: int,
) -> dict[str, Any]:
  """The figures of a question."""
  counts = votes([a for a in answers if a.question == question.id], key.names)
  asked = sum(
    question.suits(entry.told) and not entry.check
    for entry in key.pairs.values()
  )
  row = {
    'id': question.id,
    'text': question.text,
    'asked_of': asked,
    'pairs': len(counts),
    'answers': int(counts.sum()),
    'most_judges_of_a_pair': int(counts.sum(1).max(initial=0)),
  }
  if not len(counts):
    return row
  shares = preferences.preference(counts, seed)
  alpha = preferences.agreement(counts)
  return row | {
    'shares': {name: i._asdict() for name, i in shares._asdict().items()},
    'sign_test': preferences.sign_test(counts)._asdict(),
    'agreement': None if math.isnan(alpha) else alpha,
  }


def _judge(
  judge: str, key: key_lib.Key, answers: Sequence[answers_lib.Answer]
) -> dict[str, Any]:
  """What a judge did: how much, which side, and whether he looked."""
  own = [answer for answer in answers if answer.judge == judge]
  checks = [answer for answer in own if key.pairs[answer.pair].check]
  return {
    'judge': judge,
    'answers': len(own),
    'of': sum(len(key.asked(pair)) for pair in key.pairs),
    **_sides(own, key),
    'checks': len(checks),
    'checks_passed': sum(a.chosen == key_lib.WHOLE for a in checks),
  }


def _sides(
  answers: Sequence[answers_lib.Answer], key: key_lib.Key
) -> dict[str, Any]:
  """How often the left was chosen, and how often the first set was there.

  Checks are left out: few as they are, chance puts most on one side.
  """
  real = [a for a in answers if not key.pairs[a.pair].check]
  left = sum(answer.side == 'left' for answer in real)
  right = sum(answer.side == 'right' for answer in real)
  shown = {(a.judge, a.pair): a.left == key.names[0] for a in real}
  # Answers to one pair hang together: what is tested is pairs, as a judge
  # leaned in each.
  leans = dict.fromkeys(shown, 0)
  for answer in real:
    leans[answer.judge, answer.pair] += _LEANS[answer.side]
  to_left = sum(lean < 0 for lean in leans.values())
  to_right = sum(lean > 0 for lean in leans.values())
  return {
    'left': left,
    'right': right,
    'left_p': preferences.even(to_left, to_right),
    'shown': len(shown),
    'first_on_left': sum(shown.values()),
  }


def markdown(figures: dict[str, Any]) -> str:
  """The figures as a text of tables."""
  one, other = figures['names']
  lines = [
    f'# {one} or {other}?',
    '',
    f'{figures["pairs"]} pairs, {len(figures["judges"])} judges who did not '
    f'know whose film was whose, page {figures["page"]}.',
    '',
    *_row('question', one, 'tie', other, 'lead, points', 'sign test', 'agree'),
    '|---|---|---|---|---|---|---|',
  ]
  for each in figures['questions']:
    lines += _row(*_cells(each))
  lines += ['', *_notes(figures), '']
  lines += [
    *_row('judge', 'answers', 'left of left + right', 'p', 'checks passed'),
    '|---|---|---|---|---|',
  ]
  for each in figures['judges']:
    lines += _row(
      each['judge'],
      f'{each["answers"]} of {each["of"]}',
      f'{each["left"]} of {each["left"] + each["right"]}',
      render.chance(each['left_p']),
      f'{each["checks_passed"]} of {each["checks"]}',
    )
  if figures['left_out']:
    lines += ['', 'Not shown:', '']
    lines += [f'- {line}' for line in figures['left_out']]
  return '\n'.join(lines) + '\n'


def _cells(question: dict[str, Any]) -> list[str]:
  """A row of the table."""
  if not question['answers']:
    asked = f'(asked of {question["asked_of"]} pairs, no answer)'
    return [f'{question["id"]} {asked}', *6 * ['–']]
  shares = question['shares']
  lead, test = shares['lead'], question['sign_test']
  of = f'({question["answers"]} answers, {question["pairs"]} pairs)'
  alpha = question['agreement']
  return [
    f'{question["id"]} {of}',
    *(_share(shares[name]) for name in ('win', 'tie', 'loss')),
    f'{render.points(lead["value"])} [{render.points(lead["low"])}, '
    f'{render.points(lead["high"])}]',
    f'{test["wins"]} : {test["losses"]}, p {render.chance(test["p"])}',
    '–' if alpha is None else f'{alpha:.2f}',
  ]


def _share(interval: dict[str, float]) -> str:
  value, low, high = (
    round(100 * interval[n]) for n in ('value', 'low', 'high')
  )
  return f'{value} % [{low}, {high}]'


def _notes(figures: dict[str, Any]) -> list[str]:
  """How the figures came about."""
  return [
    'Shares are of answers, in brackets their 95 % intervals: bootstrap over '
    'pairs and over judges within pairs, '
    f'{figures["bootstrap"]["resamples"]:,} resamples, seed '
    f'{figures["bootstrap"]["seed"]}. The lead is the first less the second. '
    'The sign test, two-sided, is over pairs that one of them won by more '
    "judges. Agreement is Krippendorff's alpha where a pair has two judges. "
    f'The first was on the left {figures["sides"]["first_on_left"]} of '
    f'{figures["sides"]["shown"]} times; the left was chosen '
    f'{figures["sides"]["left"]} times, the right {figures["sides"]["right"]} '
    f'(sign test over pairs as each judge leaned, p '
    f'{render.chance(figures["sides"]["left_p"])}). Nobody was left out, '
    'whatever checks or sides say.',
  ]


def _row(*cells: str) -> list[str]:
  """A row of a table; nothing in a cell ends it."""
  clean = (' '.join(cell.split()).replace('|', '\\|') for cell in cells)
  return [f'| {" | ".join(clean)} |']
