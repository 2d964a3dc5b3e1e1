"""What a comparison found: a report, a table, and a page of what there is."""

import bisect
from collections.abc import Iterator, Mapping, Sequence
import json
import pathlib
from typing import Any

from launch import figures
from launch import verdicts
from launch.comparing import course as course_lib
from launch.comparing import distances
from launch.comparing import pages
from launch.comparing import pooled
from launch.comparing import tables
from launch.evaluation.told import trials as trials_lib
from tv2tv_jax.evaluate import intervals
from tv2tv_jax.train import metrics
from tv2tv_jax.train import workdir as workdir_lib

_AIM = 0.19  # Points of obedience that the paper's model has over Think2V.


def write(course: course_lib.Course, seconds: Mapping[str, float]) -> str:
  """Writes report.json, report.md and index.html; a line or a table of it.

  Args:
    course: what was to be done, some of which is.
    seconds: that the stages took.
  """
  report = gathered(course, seconds)
  text = json.dumps(report, indent=1, ensure_ascii=False) + '\n'
  workdir_lib.write_whole(course.folder / 'report.json', text)
  table = tables.markdown(report)
  workdir_lib.write_whole(course.folder / 'report.md', table)
  page = course.folder / 'index.html'
  workdir_lib.write_whole(page, pages.render(course, report))
  return f'{table}\npage: {page}'


def gathered(
  course: course_lib.Course, seconds: Mapping[str, float]
) -> dict[str, Any]:
  """All figures, of the evaluations that there are by now."""
  found = {
    kind.length: (kind, _read(course, kind)) for kind in course.kinds().values()
  }
  lengths = {
    length: _length(course, kind, reports)
    for length, (kind, reports) in found.items()
    if reports
  }
  names = [stage.name for stage in course.stages()]
  return {
    'title': 'To write while filming, before, or never',
    'aim': _AIM,
    'first': course.config.layouts[0],
    'instructions': list(course.config.instructions),
    'models': list(_models(course)),
    'lengths': lengths,
    'growth': dict(_growth(course, found)),
    'variants': list(_variants(course)),
    'commands': [stage.line for stage in course.stages()],
    'seconds': {name: seconds[name] for name in names if name in seconds},
    'machine': figures.machine(),
    'versions': figures.versions(),
  }


def _trials(
  reports: Mapping[course_lib.Model, Any], layout: str
) -> list[pooled.Trial]:
  """The trials of a layout's models, all seeds together."""
  return [
    {**trial, 'model': model.name}
    for model, report in reports.items()
    if model.layout == layout
    for trial in report['obedience']['trials']
  ]


def _read(
  course: course_lib.Course, kind: course_lib.Kind
) -> dict[course_lib.Model, Any]:
  """The reports that there are, of all models."""
  found = {}
  for model in course.models():
    path = course.evaluation(kind, model) / 'report.json'
    if path.exists():
      found[model] = json.loads(path.read_text(encoding='utf-8'))
  return found


def _length(
  course: course_lib.Course,
  kind: course_lib.Kind,
  reports: Mapping[course_lib.Model, Any],
) -> dict[str, Any]:
  """Figures of all stories of a length."""
  layouts = {}
  for layout in course.config.layouts:
    own = {m: report for m, report in reports.items() if m.layout == layout}
    if own:
      layouts[layout] = _layout(own, _trials(own, layout))
  some = next(iter(reports.values()))
  ceilings = {row['instruction']: row for row in some['obedience']['rows']}
  for each in layouts.values():
    for word, counts in each['words'].items():
      counts['corrected'] = verdicts.corrected(ceilings.get(word, {}) | counts)
  return {
    'seconds': kind.films.seconds,
    'starts': kind.films.starts,
    'told_at': list(kind.films.told_at),
    'layouts': layouts,
    'leads': dict(_leads(course, kind, reports)),
    'ceilings': {word: row.get('ceiling') for word, row in ceilings.items()},
    'reader': some['reader'],
  }


def _layout(
  reports: Mapping[course_lib.Model, Any], trials: Sequence[pooled.Trial]
) -> dict[str, Any]:
  """Figures of a layout's models."""

  def counted(some: Sequence[pooled.Trial]) -> dict[str, Any]:
    return {
      'obeyed': verdicts.entry(pooled.count(some)),
      'untold': verdicts.entry(pooled.untold(some)),
    }

  words = pooled.grouped(trials, lambda trial: trial['word'])
  times = pooled.grouped(trials, _time)
  models = pooled.grouped(trials, lambda trial: trial['model'])
  turns = [trial for trial in trials if trial['moved'] is not None]
  return {
    **counted(trials),
    'moved': verdicts.entry(
      intervals.Count(sum(t['moved'] for t in turns), len(turns))
    ),
    'words': {word: counted(some) for word, some in words.items()},
    'times': [
      {'from': begin, 'to': end, **counted(some)}
      for (begin, end), some in times.items()
    ],
    'models': {name: counted(some) for name, some in models.items()},
    'figures': _figures(list(reports.values())),
    'curves': _curves(list(reports.values())),
    'failed': [each for r in reports.values() for each in r['failed']],
    'unfilmed': sum(
      sum(r['obedience']['unfilmed'].values()) for r in reports.values()
    ),
  }


def _time(trial: pooled.Trial) -> tuple[float, float]:
  """Between which seconds it was told; what is later counts to the last."""
  edges = trials_lib.TIMES
  place = bisect.bisect_right(edges[:-1], trial['seconds'])
  return edges[place - 1], edges[place]


def _figures(reports: Sequence[Any]) -> dict[str, list[float | None]]:
  """What else there is to say of films, a value for each seed."""
  found: dict[str, list[float | None]] = {}

  def add(name: str, value: float | None) -> None:
    found.setdefault(name, []).append(value)

  for report in reports:
    for kind, distance in report['frechet'].get('real', {}).items():
      add(f'distance to real film, {kind}', distance['distance'])
      add(
        f'the same, last quarter, {kind}',
        distance['times'][-1]['distance'],
      )
    for name, value in report['flicker'].items():
      add(name, value)
    for name, drift in report['drift']['statistics'].items():
      add(f'{name}, change a minute', drift['slope'])
    for name, value in report['wording'].items():
      add(name, value)
  return found


def _curves(reports: Sequence[Any]) -> dict[str, list[tuple[float, float]]]:
  """What changes over the time of a story: the mean over seeds."""
  found = {}
  for name in reports[0]['drift']['statistics']:
    curves = [each['drift']['statistics'][name]['curve'] for each in reports]
    seconds = reports[0]['drift']['seconds']
    found[name] = [
      (at, sum(values) / len(values))
      for at, *values in zip(seconds, *curves, strict=False)
    ]
  return found


def _leads(
  course: course_lib.Course,
  kind: course_lib.Kind,
  reports: Mapping[course_lib.Model, Any],
) -> Iterator[tuple[str, dict[str, Any]]]:
  """How much more the first layout obeys than each of the others.

  And how much farther from real film its stories are (`distances`).
  """
  first, *others = course.config.layouts
  ours = _trials(reports, first)
  for other in others:
    theirs = _trials(reports, other)
    if ours and theirs:
      lead = pooled.difference(ours, theirs)._asdict()
      low, high = (pooled.count(some).interval for some in (ours, theirs))
      folders = (
        _folders(course, kind, reports, each) for each in (first, other)
      )
      yield (
        other,
        {
          **lead,
          'intervals_apart': low[0] > high[1],
          'farther': distances.difference(*folders),
        },
      )


def _growth(
  course: course_lib.Course,
  found: Mapping[str, tuple[course_lib.Kind, Mapping[course_lib.Model, Any]]],
) -> Iterator[tuple[str, dict[str, Any]]]:
  """How much larger each lead is in long stories, in obedience and distance."""
  if not {'long', 'short'} <= found.keys():
    return
  both = found['long'], found['short']
  first, *others = course.config.layouts
  for other in others:
    long, short = (
      tuple(_trials(reports, name) for name in (first, other))
      for _, reports in both
    )
    if all((*long, *short)):
      # The other one first: it is farther from real film.
      behind = (
        tuple(_folders(course, *each, name) for name in (other, first))
        for each in both
      )
      grown = pooled.growth(long, short)._asdict()
      yield other, {**grown, 'nearer': distances.growth(*behind)}


def _folders(
  course: course_lib.Course,
  kind: course_lib.Kind,
  reports: Mapping[course_lib.Model, Any],
  layout: str,
) -> list[pathlib.Path]:
  """What was made of the stories of all models of a layout."""
  return [course.evaluation(kind, m) for m in reports if m.layout == layout]


def _models(course: course_lib.Course) -> Iterator[dict[str, Any]]:
  """How every model ended."""
  for model in course.models():
    run = course.folder / 'runs' / model.name
    if (run / 'report.json').exists():
      last: dict[str, float] = {}
      for record in metrics.read(run / 'metrics.jsonl'):
        last |= record
      losses = {
        name: last[name]
        for name in ('held_out/video', 'held_out/text')
        if name in last
      }
      yield {'model': model.name, **figures.report(run), **losses}


def _variants(course: course_lib.Course) -> Iterator[dict[str, Any]]:
  """The first seed's short stories, filmed as asked for and otherwise."""
  kinds = course.kinds()
  if 'short' not in kinds:
    return
  for kind in (kinds['short'], *course.variants()):
    reports = {
      model: report
      for model, report in _read(course, kind).items()
      if model.seed == course.config.seeds[0]
    }
    if reports:
      yield {
        'flags': ' '.join(kind.flags) or 'as configured',
        'layouts': {
          model.layout: _layout(
            {model: report}, _trials({model: report}, model.layout)
          )
          for model, report in reports.items()
        },
      }
