"""The page: every story, witness and figure in one file that needs no other."""

from collections.abc import Mapping, Sequence
import json
import pathlib
from typing import Any, NamedTuple

import jinja2
import numpy as np

from launch import charts
from launch import embed

# Colours of the words; the template has a light and a dark shade of each.
_SHADES = {
  'turn left': 'blue',
  'turn right': 'amber',
  'move forward': 'green',
  'move backward': 'violet',
  'strafe left': 'teal',
  'strafe right': 'olive',
  'attack': 'red',
  'jump': 'olive',
}


class Story(NamedTuple):
  """A film and the words before each of its chunks.

  Attributes:
    title: what it is.
    note: a line below it, or ''.
    frames: uint8 [1 + n * chunk, Y, X, 3].
    words: of the 1 + n chunks; the first is the starting frame.
    told: the chunks whose words were given to the model.
    rate: frames a second.
  """

  title: str
  note: str
  frames: np.ndarray
  words: Sequence[str]
  told: Sequence[int]
  rate: float


class Group(NamedTuple):
  """Stories from one start and seed, told different things."""

  title: str
  stories: Sequence[Story]


class Copies(NamedTuple):
  """Held-out clips uint8 [B, T, Y, X, 3] and what the VAE makes of them."""

  originals: np.ndarray
  copies: np.ndarray


class Material(NamedTuple):
  """What the page shows besides figures.

  Attributes:
    stories: told freely.
    groups: told different things.
    copies: of the VAE.
    rate: frames a second.
    released: for each story, the one of a released model from the same start;
      () if there is no such model.
  """

  stories: Sequence[Story]
  groups: Sequence[Group]
  copies: Copies
  rate: float
  released: Sequence[Story] = ()


def render(report: Mapping[str, Any], material: Material) -> str:
  """The page as HTML.

  Args:
    report: the figures, as in report.json.
    material: pictures.
  """
  template = environment().get_template('page.html')
  return template.render(
    report=report,
    stories=[_shown(story) for story in material.stories],
    released=[_shown(story) for story in material.released],
    groups=[_shown_group(group) for group in material.groups],
    copies=_shown_copies(material),
    loss_charts=_loss_charts(report),
    place_chart=_place_chart(report),
    shades=_SHADES,
    figures=list(flattened(report)),
    size=(charts.WIDTH, charts.HEIGHT),
  )


def environment(*folders: pathlib.Path) -> jinja2.Environment:
  """Templates of some folders and of this one, with the filters of all pages.

  `page.css` and `page_parts.html` are for every page.
  """
  made = jinja2.Environment(
    loader=jinja2.FileSystemLoader([*folders, pathlib.Path(__file__).parent]),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  made.filters |= {
    'percent': lambda share: f'{100 * share:.0f}\u202f%',
    'brief': charts.brief,
    'duration': duration,
    'bytes': lambda count: f'{count / 2**30:.1f} GiB',
    'shade': lambda word: _SHADES.get(word, 'plain'),
  }
  return made


def table(report: Mapping[str, Any]) -> str:
  """The obedience table in plain text."""
  columns = {
    'inverse dynamics': 'obeyed',
    'untold': 'twins',
    'real film': 'ceiling',
    'motion': 'moved',
    'real': 'ceiling_moved',
    'apart from forward': 'apart',
    'real ': 'ceiling_apart',
  }
  rows = [['told', *columns]]
  rows += [
    [row['instruction'], *(_cell(row[key]) for key in columns.values())]
    for row in report['obedience']['rows']
  ]
  turns = report['obedience']['turns']
  rows.append(
    ['both turns', *(_cell(turns.get(key)) for key in columns.values())]
  )
  widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
  lines = ['  '.join(map(str.ljust, row, widths)) for row in rows]
  return '\n'.join(line.rstrip() for line in lines)


def _cell(count: Mapping[str, Any] | None) -> str:
  """A count of the report: 19/20 [76-99%]."""
  if not count or not count['trials']:
    return '-'
  low, high = 100 * count['low'], 100 * count['high']
  return f'{count["hits"]}/{count["trials"]} [{low:.0f}-{high:.0f}%]'


def flattened(report: Any, name: str = '') -> Sequence[tuple[str, str]]:
  """Every figure of a report with its dotted name, lists on one line."""
  if isinstance(report, Mapping):
    for key, value in report.items():
      yield from flattened(value, f'{name}.{key}' if name else key)
  elif isinstance(report, (list, tuple)) and any(
    isinstance(each, Mapping) for each in report
  ):
    for number, value in enumerate(report):
      yield from flattened(value, f'{name}[{number}]')
  else:
    text = report if isinstance(report, str) else json.dumps(report)
    yield name, text


def duration(seconds: float) -> str:
  """Seconds as a person says them: '48 s', '6 min 20 s'."""
  minutes, rest = divmod(round(seconds), 60)
  if seconds < 10:
    return f'{seconds:.1f} s'
  return f'{minutes} min {rest} s' if minutes else f'{rest} s'


def _shown(story: Story) -> dict[str, Any]:
  """A story as its film and the cells of its timeline."""
  chunk = (len(story.frames) - 1) // max(1, len(story.words) - 1)
  cells = []
  for number, text in enumerate(story.words):
    frame = number * chunk
    words = [word for word in text.split(', ') if word]
    before = story.words[number - 1] if number > 1 else None
    told = number in story.told
    cells.append(
      {
        'begin': (1 + frame - chunk) / story.rate,
        'frame': embed.picture(story.frames[frame]),
        'words': words,
        'new': text != before or (told and number - 1 not in story.told),
        'told': told,
        'start': number == 0,
      }
    )
  return {
    'title': story.title,
    'note': story.note,
    'video': embed.video(story.frames, story.rate),
    'poster': cells[0]['frame'],
    'cells': cells,
    'seconds': (len(story.frames) - 1) / story.rate,
  }


def _shown_group(group: Group) -> dict[str, Any]:
  """Stories side by side."""
  return {
    'title': group.title,
    'stories': [_shown(story) for story in group.stories],
  }


def _shown_copies(material: Material) -> list[dict[str, Any]]:
  """Clips as two films and two strips, original above copy."""
  shown = []
  for original, copy in zip(*material.copies, strict=True):
    frames = range(0, len(original), 4)
    shown.append(
      {
        'original': embed.video(original, material.rate),
        'again': embed.video(copy, material.rate),
        'frames': [
          (embed.picture(original[at]), embed.picture(copy[at]))
          for at in frames
        ],
      }
    )
  return shown


def _loss_charts(report: Mapping[str, Any]) -> list[charts.Chart]:
  """The losses of each run."""
  return [
    charts.chart(
      run['title'],
      'step',
      run['curves'],
      logarithmic=all(
        y > 0 for curve in run['curves'].values() for _, y in curve
      ),
    )
    for run in report['losses'].values()
  ]


def _place_chart(report: Mapping[str, Any]) -> charts.Chart:
  """PSNR at each place of a clip."""
  places = report['vae']['psnr_per_frame']
  return charts.chart(
    'PSNR at each frame of a clip, dB',
    'frame',
    {'PSNR': list(enumerate(places))},
  )
