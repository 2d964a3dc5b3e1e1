"""The page of a comparison: one file with figures, curves and films."""

from collections.abc import Iterator, Mapping
import dataclasses
import pathlib
from typing import Any, NamedTuple

from launch import charts
from launch import embed
from launch import page
from launch import story_folder
from launch.comparing import course as course_lib
from launch.comparing import distances
from launch.comparing import scripts
from launch.comparing import tables
from launch.evaluation.told import films
from launch.evaluation.told import table as told_table

_BEFORE, _AFTER = 2, 6  # chunks of a strip before and from the instruction on
_SPREAD = 12  # pictures of a long story


class Cell(NamedTuple):
  """A picture of a strip.

  Attributes:
    picture: as a data URI.
    seconds: into the story.
    told: whether an instruction holds.
  """

  picture: str
  seconds: float
  told: bool


def render(course: course_lib.Course, report: Mapping[str, Any]) -> str:
  """The page as HTML.

  Args:
    course: whose films are shown.
    report: the figures, as in report.json.
  """
  here = pathlib.Path(__file__).parent
  template = page.environment(here).get_template('comparison.html')
  return template.render(
    report=report,
    points=tables.points,
    growth=tables.growth,
    corrected=told_table.corrected,
    farther=distances.describe,
    number=told_table.number,
    curves=list(_curves(course, report)),
    groups=list(_groups(course)),
    size=(charts.WIDTH, charts.HEIGHT),
    figures=list(page.flattened(report)),
  )


def _curves(
  course: course_lib.Course, report: Mapping[str, Any]
) -> Iterator[charts.Chart]:
  """Obedience and drift over the time of a story."""
  for length in report['lengths'].values():
    seconds = length['seconds']
    yield charts.chart(
      f'Obeyed, % by the second it was told, stories of {seconds:g} s',
      'second',
      {
        layout: [
          ((row['from'] + row['to']) / 2, 100 * row['obeyed']['share'])
          for row in each['times']
        ]
        for layout, each in length['layouts'].items()
      },
    )
    curves: dict[str, dict[str, Any]] = {}
    for layout, each in length['layouts'].items():
      for title, points in each['curves'].items():
        curves.setdefault(title, {})[layout] = points
    for title, lines in curves.items():
      yield charts.chart(f'{title}, stories of {seconds:g} s', 'second', lines)


def _groups(course: course_lib.Course) -> Iterator[dict[str, Any]]:
  """The first start under each instruction, by a model of each layout.

  It is the first one, not one that was chosen by look.
  """
  for kind in course.kinds().values():
    first = dataclasses.replace(kind.films, told_at=kind.films.told_at[:1])
    for name in scripts.of_start(course.config, first, 0):
      shown = []
      for model in course.models()[: len(course.config.layouts)]:
        place = course.stories(kind, model) / f'start00-{name}'
        if (place / story_folder.RECORD).exists():
          shown.append(_shown(place, model.layout))
      if shown:
        what = name.partition('-at-')[0].replace('-', ' ')
        title = f'{kind.films.seconds:g} s: {what}'
        yield {'title': title, 'films': shown}


def _shown(place: pathlib.Path, layout: str) -> dict[str, Any]:
  """A story's film, and pictures of it."""
  _, _, record = story_folder.load(place)
  told = films.Told(place.name, record, '')
  frames = films.frames(place.parent, told)
  data = (place / story_folder.FILM).read_bytes()
  step, rate = record['chunk_frames'], record['rate']
  asked = {int(chunk) for chunk in record['asks']}
  count = (len(frames) - 1) // step
  begin = max(1, min(asked, default=1) - _BEFORE)
  chunks = range(begin, min(count, begin + _BEFORE + _AFTER - 1) + 1)
  if not asked or max(asked) - min(asked) > _AFTER:
    chunks = range(1, count + 1, max(1, count // _SPREAD))
  cells = [
    Cell(
      embed.picture(frames[chunk * step]),
      chunk * step / rate,
      chunk in asked,
    )
    for chunk in chunks
  ]
  words = [
    f'{word["seconds"]:.1f} s {word["text"]}'
    for word in record['words']
    if word['chunk'] in chunks
  ]
  return {
    'layout': layout,
    'video': embed.uri('video/mp4', data),
    'poster': embed.picture(frames[0]),
    'cells': cells,
    'words': ' · '.join(dict.fromkeys(words)),
  }
