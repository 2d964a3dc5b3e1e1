"""The result of a comparison in words and tables, for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from launch import page
from launch.comparing import distances
from launch.evaluation.told import table as told_table

Report = Mapping[str, Any]


def markdown(report: Report) -> str:
  """All of it, but for the commands."""
  lines = [f'# {report["title"]}', '']
  if not report['lengths']:
    return '\n'.join([*lines, 'Nothing has been evaluated yet.', ''])
  for name, length in report['lengths'].items():
    layouts = length['layouts']
    lines += [
      f'## Stories of {length["seconds"]:g} s ({name})',
      '',
      *told_table.grid(['told', *layouts, 'real film'], _words(report, length)),
      '',
      *told_table.grid(
        ['reader corrected', *layouts], _corrected(report, length)
      ),
      '',
      *told_table.grid(['told at', *layouts], _times(layouts)),
      '',
      *(lead(report, other, each) for other, each in length['leads'].items()),
      '',
      *told_table.grid(['a model each seed', *layouts], _figures(layouts)),
      '',
    ]
  lines += [
    line
    for other, each in report['growth'].items()
    for line in (growth(other, each), '')
  ]
  if len(report['variants']) > 1:
    layouts = [*report['variants'][0]['layouts']]
    rows = _variants(report, layouts)
    lines += ['## Filmed otherwise', '']
    lines += [*told_table.grid(['flags', *layouts], rows), '']
  lines += ['## Models', '', *told_table.grid(*_models(report)), '']
  spent = sum(report['seconds'].values())
  machine = report['machine']
  lines.append(
    f'{page.duration(spent)} on {machine["cores"]} cores of {machine["cpu"]}.'
  )
  return '\n'.join(lines) + '\n'


def lead(report: Report, other: str, difference: Mapping[str, Any]) -> str:
  """A line on how much more the first layout obeys than another."""
  apart = 'apart' if difference['intervals_apart'] else 'not apart'
  text = (
    f'{report["first"]} over {other}: {points(difference)}; intervals of the '
    f'shares {apart}.'
  )
  if difference['farther']:
    text += f' Its films are {distances.describe(difference["farther"])} to '
    text += 'real film by the Fréchet distance.'
  return text


def growth(other: str, found: Mapping[str, Any]) -> str:
  """A line on how a lead changes from short stories to long ones."""
  line = f'From short to long, the lead over {other} changes by {points(found)}'
  if found['nearer']:
    change = distances.span(found['nearer'])
    line += f', and the one by the Fréchet distance by {change}'
  return f'{line}.'


def points(difference: Mapping[str, Any]) -> str:
  """A difference of shares: '+19 points [+12, +25]'."""
  value, low, high = (
    f'{round(100 * difference[name]):+}' for name in ('value', 'low', 'high')
  )
  return f'{value} points [{low}, {high}]'


def share(count: Mapping[str, Any] | None) -> str:
  """A count: '19/20 = 95 % [76, 99]'."""
  if not count or not count['trials']:
    return '-'
  low, high = 100 * count['low'], 100 * count['high']
  return (
    f'{count["hits"]}/{count["trials"]} = {100 * count["share"]:.0f} % '
    f'[{low:.0f}, {high:.0f}]'
  )


def _words(report: Report, length: Report) -> Iterator[list[str]]:
  """Obedience by instruction, of all, and what happens untold."""
  layouts = length['layouts'].values()
  for word in report['instructions']:
    cells = [
      share(each['words'].get(word, {}).get('obeyed')) for each in layouts
    ]
    yield [word, *cells, share(length['ceilings'].get(word))]
  yield ['**all**', *(f'**{share(each["obeyed"])}**' for each in layouts), '']
  yield ['told nothing', *(share(each['untold']) for each in layouts), '']
  yield ['turns, by motion', *(share(each['moved']) for each in layouts), '']
  yield ['not filmed: over before', *(f'{e["unfilmed"]}' for e in layouts), '']


def _corrected(report: Report, length: Report) -> Iterator[list[str]]:
  """Obedience by instruction without what the reader gets wrong."""
  for word in report['instructions']:
    counts = (
      each['words'].get(word, {}) for each in length['layouts'].values()
    )
    cells = (told_table.corrected(each.get('corrected')) for each in counts)
    yield [word, *cells]


def _times(layouts: Report) -> Iterator[list[str]]:
  """Obedience by the time at which it was told."""
  rows = {
    row['from']: row for each in layouts.values() for row in each['times']
  }
  for begin, bounds in sorted(rows.items()):
    cells = []
    for each in layouts.values():
      own = [row for row in each['times'] if row['from'] == begin]
      cells.append(share(own[0]['obeyed'] if own else None))
    yield [told_table.span(bounds), *cells]


def _figures(layouts: Report) -> Iterator[list[str]]:
  """Other figures, seed by seed."""
  names = dict.fromkeys(n for each in layouts.values() for n in each['figures'])
  for name in names:
    yield [
      name,
      *(
        '; '.join(
          told_table.number(value) for value in each['figures'].get(name, [])
        )
        for each in layouts.values()
      ),
    ]


def _variants(report: Report, layouts: Sequence[str]) -> Iterator[list[str]]:
  """Obedience under other flags."""
  for variant in report['variants']:
    cells = [
      share(variant['layouts'].get(layout, {}).get('obeyed'))
      for layout in layouts
    ]
    yield [f'`{variant["flags"]}`', *cells]


def _models(report: Report) -> tuple[list[str], Iterator[list[str]]]:
  """How the models ended."""
  names = ['model', 'steps', 'parameters', 'held_out/video', 'held_out/text']
  rows = (
    [
      told_table.number(model[name])
      if isinstance(model.get(name), float)
      else f'{model.get(name, "-"):,}'
      if isinstance(model.get(name), int)
      else str(model.get(name, '-'))
      for name in names
    ]
    for model in report['models']
  )
  return names, rows
