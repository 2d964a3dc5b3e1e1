"""The report of a folder of stories as a page: tables, curves, and pictures."""

from collections.abc import Iterator, Mapping, Sequence
import pathlib
from typing import Any, NamedTuple

import numpy as np

from launch import charts
from launch import embed
from launch import page as page_lib
from launch.evaluation.told import films
from launch.evaluation.told import parts as parts_lib
from launch.evaluation.told import table

_STORIES = 6  # shown, the first ones
_SHOTS = 8  # pictures of a story, or of a trial


class Shot(NamedTuple):
  """A picture, ready to show, and the words of its time."""

  picture: str
  seconds: float
  words: list[str]
  told: bool


class Strip(NamedTuple):
  """Some pictures of a story, from left to right."""

  title: str
  note: str
  shots: list[Shot]


class Sheet(NamedTuple):
  """A trial and its twin."""

  title: str
  word: str
  obeyed: bool
  strips: list[Strip]


def render(
  folder: pathlib.Path,
  report: Mapping[str, Any],
  parts: Sequence[parts_lib.Part],
) -> str:
  """The page as HTML, one file that needs no other.

  Args:
    folder: of the stories, whose films are shown.
    report: the figures.
    parts: what is known of each story.
  """
  shown = _Shown(folder, parts)
  template = page_lib.environment(pathlib.Path(__file__).parent)
  template.filters |= {'figure': table.number}
  return template.get_template('told.html').render(
    report=report,
    told=table.told(report),
    warning=table.warning(report),
    interval=table.interval,
    corrected=table.corrected,
    others=table.OTHERS,
    span=table.span,
    sheets=list(_sheets(shown, report)),
    strips=[shown.story(part) for part in parts[:_STORIES]],
    statistics=list(table.statistics(report)) if parts else [],
    steps=list(table.steps(report)) if parts else [],
    charts=[chart for chart in _charts(report) if chart.lines],
    figures=list(page_lib.flattened(_figures(report))),
    size=(charts.WIDTH, charts.HEIGHT),
  )


def _figures(report: Mapping[str, Any]) -> dict[str, Any]:
  """The report without its trials, of which there may be thousands."""
  found = dict(report)
  if 'obedience' in found:
    found['obedience'] = {
      name: value
      for name, value in report['obedience'].items()
      if name != 'trials'
    }
  return found


class _Shown:
  """Pictures of stories, each film read once."""

  def __init__(self, folder: pathlib.Path, parts: Sequence[parts_lib.Part]):
    self._folder = folder
    self._parts = {part.name: part for part in parts}
    self._frames: dict[str, np.ndarray] = {}

  def story(self, part: parts_lib.Part) -> Strip:
    """A story from its beginning to its end."""
    title = f'{part.name}: {part.record["prompt"]}'
    frames = len(self._film(part.name))
    places = np.linspace(0, frames - 1, min(frames, _SHOTS))
    return Strip(title, '', self._shots(part.name, places))

  def trial(self, name: str, trial: Mapping[str, Any], note: str) -> Strip:
    """The chunks of a trial, in the story told or in its twin."""
    step = self._parts[name].record['chunk_frames']
    begin = (trial['chunk'] - 1) * step
    places = np.linspace(begin, begin + trial['chunks'] * step, _SHOTS)
    return Strip(name, note, self._shots(name, places))

  def _shots(self, name: str, places: np.ndarray) -> list[Shot]:
    """The frames nearest to some places, each with the words of its chunk.

    Where a person said others since the picture before, it is these.
    """
    record, frames = self._parts[name].record, self._film(name)
    shots, before = [], None
    for place in np.unique(places.round().astype(int)):
      chunk = -(-place // record['chunk_frames'])
      since = [w for w in record['words'] if w['chunk'] <= chunk]
      fresh = chunk - 1 if before is None else min(before, chunk - 1)
      told = [w for w in since if w['told'] and w['chunk'] > fresh]
      said = told or [w for w in since if w['chunk'] == chunk]
      texts = list(dict.fromkeys(word['text'] for word in said))
      seconds = place / record['rate']
      picture = embed.picture(frames[place])
      shots.append(Shot(picture, seconds, texts, bool(told)))
      before = chunk
    return shots

  def _film(self, name: str) -> np.ndarray:
    if name not in self._frames:
      told = films.Told(name, self._parts[name].record, '')
      self._frames[name] = films.frames(self._folder, told)
    return self._frames[name]


def _sheets(shown: _Shown, report: Mapping[str, Any]) -> Iterator[Sheet]:
  """Of each instruction the trial that shows most of it, and the one least."""
  found = report.get('obedience', {'rows': [], 'trials': []})
  for row in found['rows']:
    word = row['instruction']
    some = [trial for trial in found['trials'] if trial['word'] == word]
    some.sort(key=lambda trial: trial['leaning'])
    if some:
      yield _sheet(shown, some[-1], 'most')
    if some[1:]:
      yield _sheet(shown, some[0], 'least')


def _sheet(shown: _Shown, trial: Mapping[str, Any], which: str) -> Sheet:
  """A trial beside its twin."""
  strips = [shown.trial(trial['story'], trial, f'told {trial["word"]}')]
  twin = trial['twin']
  if twin:
    seen = 'the same is seen' if twin['obeyed'] else 'it is not seen'
    strips.append(shown.trial(twin['story'], trial, f'told nothing: {seen}'))
  title = f'at {trial["seconds"]:.1f} s of {trial["story"]}, the {which} of it'
  return Sheet(title, trial['word'], trial['obeyed'], strips)


def _charts(report: Mapping[str, Any]) -> Iterator[charts.Chart]:
  """Every curve over time."""
  for name, each in report.get('likeness', {}).items():
    rate = report['rate']
    curve = [(n / rate, value) for n, value in enumerate(each['curve']) if n]
    yield charts.chart(f'{name} to the originals', 'second', {name: curve})
  drift = report.get('drift', {'statistics': {}})
  for name, each in drift['statistics'].items():
    curve = list(zip(drift['seconds'], each['curve'], strict=True))
    yield charts.chart(f'{name} of a frame', 'second', {name: curve})
  for what, kinds in report['frechet'].items():
    for kind, each in kinds.items():
      curve = [
        ((part['from'] + part['to']) / 2, part['distance'])
        for part in each['times']
      ]
      there = table.OTHERS[what]
      title = f'Distance of {kind} to {there} in each part of a story'
      yield charts.chart(title, each['of'], {kind: curve})
  times = report.get('obedience', {'times': []})['times']
  curves = {
    name: [
      (row['from'], 100 * row[field]['share']) for row in times if row[field]
    ]
    for name, field in (('obeyed', 'obeyed'), ('told nothing', 'twins'))
  }
  yield charts.chart('Obeyed by time, %', 'second at which told', curves)
