"""Two sets of stories as pairs: what two models made of the same task."""

from collections.abc import Mapping, Sequence
import json
import pathlib
from typing import NamedTuple

from data_pipelines import film as film_lib
from launch import story_folder
from launch.stories import fields
from launch.stories import prompts


class Words(NamedTuple):
  """Words of a story, from their first chunk to the end of their last."""

  begin: float
  end: float
  text: str


class Story(NamedTuple):
  """A finished story of a set.

  Attributes:
    folder: it lies in.
    prompt: what it is about.
    seed: of all that was drawn.
    start: a digest of its starting frames.
    asks: what a person put before chunks, by their number.
    told: the same with times, what is restated once; '' is silence.
    words: all that was said, the model's own included.
    rate: frames/s.
    frames: of the film.
    size: width and height of its pictures.
  """

  folder: pathlib.Path
  prompt: str
  seed: int
  start: str
  asks: Mapping[int, str]
  told: tuple[Words, ...]
  words: tuple[Words, ...]
  rate: float
  frames: int
  size: tuple[int, int]

  @property
  def film(self) -> pathlib.Path:
    """Its video file."""
    return self.folder / story_folder.FILM


class Pair(NamedTuple):
  """Two films of one task, and whose wording of it is shown to judges."""

  name: str
  stories: tuple[Story, Story]
  task: Story


class Pairing(NamedTuple):
  """What can be judged, and a line for each story that cannot."""

  pairs: tuple[Pair, ...]
  left_out: tuple[str, ...]


def paired(
  one: pathlib.Path, other: pathlib.Path, task_of: int | None = None
) -> Pairing:
  """Stories of the same name; the rest by start, seed and what they were told.

  Args:
    one: folder of a set of stories, as launch.generate writes it.
    other: folder of the other set.
    task_of: 0 or 1: prompt and instructions are shown as that set has them;
      None: both must have the same.

  Raises:
    ValueError: no such folder, or no story in it.
  """
  sets = [_stories(one), _stories(other)]
  whole = [
    {name: s for name, s in stories.items() if isinstance(s, Story)}
    for stories in sets
  ]
  matches = _matches(*whole)
  found, left_out = [], []
  for name, names in matches.items():
    stories = tuple(w[n] for w, n in zip(whole, names, strict=True))
    if lines := _differences(stories, task_of):
      left_out.append(f'{name}: {", ".join(lines)}')
    else:
      found.append(Pair(name, stories, stories[task_of or 0]))
  for side, (folder, stories) in enumerate(
    zip((one, other), sets, strict=True)
  ):
    used = {names[side] for names in matches.values()}
    for name in sorted(set(stories) - used, key=prompts.order):
      story = stories[name]
      alone = f'{folder / name}: has no partner in {(other, one)[side]}'
      left_out.append(alone if isinstance(story, Story) else story)
  return Pairing(tuple(found), tuple(left_out))


def check_whole(pairing: Pairing) -> None:
  """ValueError names every story that is left out, if any is."""
  if pairing.left_out:
    raise ValueError(
      f'{len(pairing.left_out)} stories are no pair; --common leaves them out: '
      + '; '.join(pairing.left_out)
    )


def _stories(folder: pathlib.Path) -> dict[str, Story | str]:
  """The stories of a folder by their name; a line for each that is none."""
  try:
    entries = sorted(folder.iterdir())
  except OSError as error:
    raise ValueError(
      f'{folder}: no folder of stories ({error.strerror})'
    ) from None
  found = {}
  for entry in entries:
    name = entry.name
    if name.startswith('.') and name.endswith('.failed.json'):
      name = name[1 : -len('.failed.json')]
      if not story_folder.is_whole(folder / name):
        found[name] = f'{folder / name}: could not be told ({_reason(entry)})'
    elif entry.is_dir() and not name.startswith('.'):
      try:
        found[name] = _story(entry)
      except ValueError as error:
        found.setdefault(name, str(error))
  if not any(isinstance(story, Story) for story in found.values()):
    raise ValueError(
      f'{folder}: no story in it that can be shown'
      + ''.join(f'; {line}' for line in found.values())
    )
  return found


def _reason(path: pathlib.Path) -> str:
  """Why a story could not be told."""
  try:
    return str(json.loads(path.read_bytes())['error'])
  except (OSError, ValueError, KeyError, TypeError):
    return 'it does not say why'


def _story(folder: pathlib.Path) -> Story:
  """A story of which every frame can be shown; else ValueError names it."""
  script, _, record = story_folder.load(folder)
  path = folder / story_folder.FILM
  info = film_lib.probe(path)
  count = sum(1 for _ in film_lib.frames(path))
  if count != record['frames']:
    raise ValueError(
      f'{path}: has {count} frames, {story_folder.RECORD} says '
      f'{record["frames"]}'
    )
  fields.between(record['rate'], 0.1, 240, f'{folder}: rate')
  fields.between(record['chunk_frames'], 1, count, f'{folder}: chunk_frames')
  said = {word['chunk']: word['text'] for word in record['words']}
  return Story(
    folder=folder,
    prompt=script.prompt,
    seed=script.seed,
    start=record['start']['sha256'],
    asks=script.asks,
    told=_timed(script.asks, record),
    words=_timed(said, record),
    rate=record['rate'],
    frames=count,
    size=(info.width, info.height),
  )


def _timed(texts: Mapping[int, str], record: Mapping) -> tuple[Words, ...]:
  """Words with their times: what is restated from chunk to chunk, once."""
  out, before = [], None
  for chunk, text in sorted(texts.items()):
    end = (1 + chunk * record['chunk_frames']) / record['rate']
    begin = end - record['chunk_frames'] / record['rate']
    if chunk - 1 == before and out[-1].text == text:
      out[-1] = out[-1]._replace(end=end)
    else:
      out.append(Words(begin, end, text))
    before = chunk
  return tuple(out)


def _matches(
  one: Mapping[str, Story], other: Mapping[str, Story]
) -> dict[str, tuple[str, str]]:
  """Names of both sets that belong together, by the name of the pair."""
  same = sorted(one.keys() & other.keys(), key=prompts.order)
  matches = {name: (name, name) for name in same}
  rest = [
    _by_task({n: s for n, s in stories.items() if n not in matches})
    for stories in (one, other)
  ]
  for task, names in rest[0].items():
    # Where two have one task there is no telling which belongs to which.
    if len(names) == 1 == len(rest[1].get(task, ())):
      matches[names[0]] = names[0], rest[1][task][0]
  return matches


def _by_task(stories: Mapping[str, Story]) -> dict[tuple, list[str]]:
  """Names by start, seed and what was told."""
  found = {}
  for name in sorted(stories, key=prompts.order):
    story = stories[name]
    task = story.start, story.seed, tuple(sorted(story.asks.items()))
    found.setdefault(task, []).append(name)
  return found


def _differences(stories: Sequence[Story], task_of: int | None) -> list[str]:
  """Why two stories cannot be judged side by side; nothing if they can."""
  one, other = stories
  where = f'in {one.folder} and {other.folder}'
  lines = []
  if one.start != other.start:
    lines.append(f'the starting frames {where} differ')
  for name in ('rate', 'frames', 'size'):
    values = getattr(one, name), getattr(other, name)
    if values[0] != values[1]:
      lines.append(f'{name} is {values[0]} and {values[1]} {where}')
  if task_of is None:
    for name in ('prompt', 'told'):
      if getattr(one, name) != getattr(other, name):
        lines.append(f'{name} differs {where}: say by --task_of whose is shown')
  return lines
