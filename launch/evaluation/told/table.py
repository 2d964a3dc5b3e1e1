"""The report of a folder of stories in words and tables, for a terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from launch import charts
from launch import verdicts
from tv2tv_jax.evaluate import controls

Report = Mapping[str, Any]

# Rows of obedience: what is counted, and where the count stands.
COUNTS = {
  'obeyed': 'obeyed',
  'told nothing': 'twins',
  'real film': 'ceiling',
  'by motion': 'moved',
  'nothing, by motion': 'twins_moved',
  'apart from forward': 'apart',
}

# What distances are from.
OTHERS = {'real': 'real film', 'against': 'the other stories'}


def markdown(report: Report) -> str:
  """The whole report."""
  lines = [f'# Stories of {report["folder"]}', '', told(report), '']
  for title, part in (
    ('Obedience', _obedience(report)),
    ('Distances', _distances(report)),
    ('To the originals', _likeness(report)),
    ('Over time', _temporal(report)),
    ('Words', _words(report)),
    ('The reader', _reader(report)),
  ):
    rows = list(part)
    if rows:
      lines += [f'## {title}', '', *rows, '']
  lines += [*failures(report)]
  return '\n'.join(lines).rstrip() + '\n'


def told(report: Report) -> str:
  """How many stories there are, in a line."""
  text = f'{report["told"]} stories'
  if report['told']:
    rows, columns = report['size']
    text += (
      f', {report["frames"]:,} frames, {report["seconds"]:g} s of '
      f'{columns}x{rows} at {report["rate"]:g} frames/s'
    )
  count = len(report['failed'])
  return f'{text}; {count} failed' if count else f'{text}; none failed'


def failures(report: Report) -> Iterator[str]:
  """Each story that could not be looked at."""
  for name in ('failed', 'against_failed'):
    if report.get(name):
      yield from (f'## Not looked at ({name})', '')
      yield from (f'- {each["id"]}: {each["error"]}' for each in report[name])
      yield ''


def share(count: Mapping[str, Any] | None) -> str:
  """A count with its interval: '19 of 20 (76-99 %)'."""
  if not count or not count['trials']:
    return '-'
  low, high = 100 * count['low'], 100 * count['high']
  return f'{count["hits"]} of {count["trials"]} ({low:.0f}-{high:.0f} %)'


def corrected(found: Mapping[str, Any] | None) -> str:
  """A share without the reader's errors: '94 % (81-100)'."""
  if not found:
    return '-'
  whole, low, high = (100 * found[name] for name in ('share', 'low', 'high'))
  return f'{whole:.0f} % ({low:.0f}-{high:.0f})'


def number(value: float | None) -> str:
  """A figure in about three digits."""
  return '-' if value is None else charts.brief(value)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
  """The lines of a table in Markdown."""
  lines = ['| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
  return lines + ['| ' + ' | '.join(row) + ' |' for row in rows]


def _obedience(report: Report) -> Iterator[str]:
  found = report.get('obedience')
  if not found:
    return
  rows = [
    [
      row['instruction'],
      *(share(row.get(name)) for name in COUNTS.values()),
      corrected(row.get('corrected')),
    ]
    for row in found['rows']
  ]
  yield from grid(['told', *COUNTS, 'obeyed, reader corrected'], rows)
  yield ''
  rows = [
    [span(row), share(row['obeyed']), share(row['twins'])]
    for row in found['times']
  ]
  yield from grid(['told at', 'obeyed', 'told nothing'], rows)
  for name, why in (
    ('unread', 'no control of the reader'),
    ('unfilmed', 'the story ended before'),
  ):
    for word, count in found[name].items():
      yield from ('', f'Not judged: {word!r}, {count} times: {why}.')


def span(row: Mapping[str, Any]) -> str:
  """Between which seconds."""
  if row['to'] is None:
    return f'from {row["from"]:g} s'
  return f'{row["from"]:g} to {row["to"]:g} s'


def _distances(report: Report) -> Iterator[str]:
  rows = [
    [
      f'{kind} to {OTHERS[what]}',
      number(each['distance']),
      interval(each),
      number(each['real_to_real']),
      f'{each["samples"]} and {each["real_samples"]} {each["of"]}',
      '; '.join(number(part['distance']) for part in each['times']),
    ]
    for what, kinds in report['frechet'].items()
    for kind, each in kinds.items()
  ]
  if rows:
    head = ['features', 'distance', '95 %, without bias', 'real to real']
    yield from grid([*head, 'samples', 'over time'], rows)
    yield from ('', warning(report)) if warning(report) else ()


def warning(report: Report) -> str:
  """Where a distance is mostly what few samples make of it; '' if nowhere."""
  few = [
    f'{kind} to {OTHERS[what]}'
    for what, kinds in report['frechet'].items()
    for kind, each in kinds.items()
    if min(each['samples'], each['real_samples']) < 2 * each['width']
  ]
  if not few:
    return ''
  return (
    f'Fewer than twice as many samples as features ({"; ".join(few)}): the '
    'distance is mostly bias, and is only to be compared with one of as many.'
  )


def interval(distance: Mapping[str, Any]) -> str:
  """A distance without bias, and its interval."""
  found = distance['interval']
  if found is None:
    return '-'
  low, high, middle = (
    number(found[name]) for name in ('low', 'high', 'corrected')
  )
  return f'{middle} ({low}-{high})'


def statistics(report: Report) -> Iterator[list[str]]:
  """Of each statistic its mean and its slope, and those of real film."""
  for name, each in report['drift']['statistics'].items():
    real = each.get('real')
    cells = [number(each['mean']), slope(each)]
    cells += [number(real['mean']), slope(real)] if real else ['-', '-']
    yield [name, *cells]


def slope(line: Mapping[str, Any]) -> str:
  """A slope and its standard error."""
  error = line['slope_error']
  text = f'{line["slope"]:+.3g}'
  return text if error is None else f'{text} ± {charts.brief(error)}'


def steps(report: Report) -> Iterator[list[str]]:
  """Figures from frame to frame, and those of real film."""
  real = report.get('real_flicker', {})
  for name, value in report['flicker'].items():
    yield [name, number(value), number(real.get(name))]


def _likeness(report: Report) -> Iterator[str]:
  found = report.get('likeness')
  if found:
    rows = [
      [name, number(each['mean']), number(each['curve'][-1])]
      for name, each in found.items()
    ]
    yield from grid(['figure', 'mean', 'last frame'], rows)


def _temporal(report: Report) -> Iterator[str]:
  if 'drift' in report:
    head = ['of a frame', 'mean', 'change a minute', 'real', 'change']
    yield from grid(head, [*statistics(report)])
    yield ''
    yield from grid(['from frame to frame', 'mean', 'real'], [*steps(report)])


def _words(report: Report) -> Iterator[str]:
  if 'wording' in report:
    rows = [[name, number(value)] for name, value in report['wording'].items()]
    yield from grid(['figure', 'value'], rows)


def _reader(report: Report) -> Iterator[str]:
  found = report.get('reader')
  if found:
    kinds = [kind for kind in ('real', 'copies') if _has(found, kind)]
    rows = [
      [name, *(_head(head[kind]) for kind in kinds)]
      for name, head in found['heads'].items()
    ]
    yield from grid(['right', *kinds], rows)
    yield ''
    yield from grid(['found where held', *kinds], _recalls(found, kinds))
    yield from ('', f'On {found["chunks"]} chunks of real film held out.')


def _head(head: Mapping[str, Any]) -> str:
  """How often a head is right, and how far from that what it says of itself."""
  right, error = 100 * head['accuracy'], 100 * head['calibration_error']
  return f'{right:.1f} %; says so within {error:.1f}'


def _recalls(
  found: Mapping[str, Any], kinds: Sequence[str]
) -> Iterator[list[str]]:
  """Of the chunks in which each control was held, those in which it is read."""
  for head in controls.HEADS:
    for place, word in enumerate(head.words):
      if word and head.name in found['heads']:
        tables = found['heads'][head.name]
        counts = (np.array(tables[kind]['counts']) for kind in kinds)
        recalls = (controls.recall(each, place) for each in counts)
        yield [word, *(share(verdicts.entry(each)) for each in recalls)]


def _has(found: Mapping[str, Any], kind: str) -> bool:
  return all(kind in head for head in found['heads'].values())
