"""The stories of a file of prompts, shared by hosts, each in its folder.

A host takes every H-th story. What a folder holds does not depend on the hosts,
the order of the file, the other stories or on stops. The host that finds all of
them told or failed writes the summary, OUT/stories.jsonl, and OUT/sheet.webp.
"""

from collections.abc import Mapping, Sequence
import contextlib
import dataclasses
import functools
import io
import json
import pathlib
from typing import Any, NamedTuple

import numpy as np
import tqdm

from data_pipelines import film
from data_pipelines.prepare import dataset
from launch import sheet
from launch import story_folder
from launch import storyteller as storyteller_lib
from launch.stories import fields
from launch.stories import filming
from launch.stories import frames as frames_lib
from launch.stories import prompts
from launch.stories import provenance
from launch.stories import starts

SUMMARY, SHEET = 'stories.jsonl', 'sheet.webp'
_ROWS, _SHOTS = 24, 8  # of the sheet


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
  """What of the stories is told here: those of one host of several."""

  host: int = 0
  hosts: int = 1

  def __post_init__(self):
    """ValueError if there is no such host."""
    if not 0 <= self.host < self.hosts:
      raise ValueError(
        f'--host={self.host} is none of --hosts={self.hosts}, which count '
        'from 0'
      )

  def of(self, tasks: Sequence['Task']) -> Sequence['Task']:
    """Its part of all stories."""
    return tasks[self.host :: self.hosts]


class Task(NamedTuple):
  """A story that was checked.

  Attributes:
    name: of its folder.
    job: what is told.
    start: a digest of its starting frames.
  """

  name: str
  job: filming.Job
  start: str


def tasks(
  lines: Sequence[prompts.Line],
  places: starts.Places,
  teller: storyteller_lib.Storyteller,
) -> list[Task]:
  """Every line with all that it names looked at; nothing is told yet.

  Raises:
    ValueError: a line that cannot be told; names it.
  """
  known = {}
  out = []
  for line in lines:
    where = f'{line.prefix}start {line.start!r}'
    read = functools.partial(starts.read, line.start, places, teller, where)
    if line.start not in known:
      frames = read().frames
      known[line.start] = frames_lib.digest(frames), len(frames)
    start, count = known[line.start]
    script = prompts.told(line, teller, 1 + (count - 1) // teller.step)
    out.append(Task(line.name, filming.Job(line.name, script, read), start))
  return out


def run(
  out: pathlib.Path,
  every: Sequence[Task],
  share: Share,
  teller: storyteller_lib.Storyteller,
) -> str:
  """Tells what of a share is not told yet; what there is now, in a line.

  Raises:
    ValueError: OUT has stories of other scripts or weights; or some could not
      be told, when the others were: names them.
  """
  mine = share.of(every)
  left = [task for task in mine if not _is_told(out, task, teller)]
  out.mkdir(parents=True, exist_ok=True)
  jobs = {task.name: task.job for task in left}
  with tqdm.tqdm(
    total=len(mine),
    initial=len(mine) - len(left),
    desc='film',
    unit='story',
    dynamic_ncols=True,
  ) as bar:
    for job, result in filming.films(teller, jobs.values()):
      _keep(out, job.name, result, teller)
      bar.update()
  return _summed(out, every)


def _is_told(
  out: pathlib.Path, task: Task, teller: storyteller_lib.Storyteller
) -> bool:
  """Whether a story is there; ValueError if it is another."""
  folder = out / task.name
  story_folder.check_place(folder)
  if not story_folder.is_whole(folder):
    return False
  _, _, record = story_folder.load(folder)
  wanted = story_folder.script_record(task.job.script)
  lines = [
    f'{name} is {fields.shown(value)}, was {fields.shown(record[name])}'
    for name, value in wanted.items()
    if record[name] != value
  ]
  if record['start']['sha256'] != task.start:
    lines.append('start is another')
  # Another machine may go on; other weights may not.
  lines += [
    line
    for line in provenance.differences(record, teller)
    if not line.startswith('software.')
  ]
  if lines:
    raise ValueError(
      f'{folder} is another story: {"; ".join(lines)}. Give what it was, '
      'another --out, or delete it'
    )
  return True


def _keep(
  out: pathlib.Path,
  name: str,
  result: story_folder.Finished | Exception,
  teller: storyteller_lib.Storyteller,
) -> None:
  """Writes a story, or why there is none."""
  failed = _failure(out, name)
  if not isinstance(result, Exception):
    try:
      story_folder.save(out / name, result, teller)
      failed.unlink(missing_ok=True)
      return
    except filming.TROUBLES as error:
      result = error
  reason = ' '.join(str(result).split())
  if not isinstance(result, ValueError):
    reason = f'{type(result).__name__}: {reason}'
  text = json.dumps({'id': name, 'error': reason}) + '\n'
  dataset.write_text(failed, text)


def _failure(out: pathlib.Path, name: str) -> pathlib.Path:
  """Where it is said why a story could not be told; no story's folder."""
  return out / f'.{name}.failed.json'


def _summed(out: pathlib.Path, every: Sequence[Task]) -> str:
  """Writes the summary if nothing is missing; what there is, in a line.

  Raises:
    ValueError: stories that could not be told.
  """
  found, missing = {}, 0
  for name in sorted((task.name for task in every), key=prompts.order):
    with contextlib.suppress(FileNotFoundError):
      if (out / name).is_dir():
        found[name] = _summary(out, name)
      else:
        found[name] = json.loads(_failure(out, name).read_bytes())
    missing += name not in found
  failed = [each for each in found.values() if 'error' in each]
  told = [each for each in found.values() if 'error' not in each]
  if not missing:
    text = ''.join(json.dumps(each) + '\n' for each in found.values())
    dataset.write_text(out / SUMMARY, text)
    _draw(out, told)
  if failed:
    named = '; '.join(f'{each["id"]}: {each["error"]}' for each in failed)
    raise ValueError(
      f'{out}: {len(failed)} of {len(every)} stories could not be told: {named}'
    )
  if missing:
    return (
      f'{out}: this share is done; other hosts have {missing} of {len(every)} '
      'stories to tell, and the last of them sums up'
    )
  frames = sum(each['frames'] for each in told)
  return f'{out}: {len(told)} stories, {frames} frames; {out / SHEET}'


def _summary(out: pathlib.Path, name: str) -> dict[str, Any]:
  """A story in a line."""
  _, _, record = story_folder.load(out / name)
  return {
    'id': name,
    'prompt': record['prompt'],
    'seed': record['seed'],
    'frames': record['frames'],
    'seconds': round(record['frames'] / record['rate'], 3),
    'ended': record['ended'],
    'words': [[word['seconds'], word['text']] for word in record['words']],
    'film': record['digests']['film'],
  }


def _draw(out: pathlib.Path, told: Sequence[Mapping[str, Any]]) -> None:
  """The contact sheet of the first stories."""
  rows = [_row(out / each['id'], each) for each in told[:_ROWS]]
  path = out / SHEET
  if not rows:
    path.unlink(missing_ok=True)
    return
  buffer = io.BytesIO()
  sheet.draw(rows).save(buffer, 'webp', quality=80, method=4)
  dataset.write_bytes(path, buffer.getvalue())


def _row(folder: pathlib.Path, story: Mapping[str, Any]) -> sheet.Row:
  """Pictures of a story, evenly over it, with the words since the last one."""
  count, rate = story['frames'], story['frames'] / story['seconds']
  chosen = np.unique(np.linspace(0, count - 1, min(count, _SHOTS)).astype(int))
  shots, before = [], -1.0
  video = film.frames(folder / story_folder.FILM)
  for number, (_, picture) in enumerate(video):
    if number not in chosen:
      continue
    seconds = number / rate
    said = [text for time, text in story['words'] if before < time <= seconds]
    # Restated words are told once.
    shots.append(sheet.Shot(picture, seconds, list(dict.fromkeys(said))))
    before = seconds
  return sheet.Row(f'{story["id"]}: {story["prompt"]}', shots)
