"""A saved story told again: whether it is the same, and what differs."""

from collections.abc import Callable
import pathlib
from typing import Any, NamedTuple

import numpy as np

from launch import story_folder
from launch import storyteller as storyteller_lib
from launch.stories import filming
from launch.stories import provenance
from tv2tv_jax import config as config_lib
from tv2tv_jax.sample import settings as settings_lib


class Saved(NamedTuple):
  """A story from its folder, and what can tell it.

  Attributes:
    folder: it lies in.
    script: it was told by.
    start: its starting frames.
    record: all of story.json.
    teller: with the same layout, and the same compiled in.
  """

  folder: pathlib.Path
  script: story_folder.Script
  start: np.ndarray
  record: dict[str, Any]
  teller: storyteller_lib.Storyteller


def loaded(folder: pathlib.Path, workdir: pathlib.Path) -> Saved:
  """A saved story, with the weights of a workdir.

  Raises:
    ValueError: no story, no workdir, or one that cannot tell it.
  """
  script, start, record = story_folder.load(folder)
  fixed = config_lib.from_config_dict(
    settings_lib.SampleConfig,
    record['sample'],
    f'{folder / story_folder.RECORD}: sample',
  )
  teller = storyteller_lib.Storyteller(
    workdir,
    layout=script.layout,
    **{name: getattr(fixed, name) for name in record['sample']},
  )
  return Saved(folder, script, start, record, teller)


def job(saved: Saved, script: story_folder.Script) -> filming.Job:
  """The story again, by its own script or another."""
  start = storyteller_lib.Start(saved.start, script.prompt)
  return filming.Job(str(saved.folder), script, lambda: start)


def first_difference(
  saved: Saved, finished: story_folder.Finished
) -> int | None:
  """The first chunk whose words or frames are not those that were saved.

  None where all are the same, bit for bit.
  """
  record, again = (
    saved.record,
    story_folder.record_of(finished, saved.teller),
  )
  words, digests = [], []
  for each in (record, again):
    words.append({word['chunk']: word['text'] for word in each['words']})
    digests.append(dict(enumerate(each['digests']['chunks'])))
  for number in range(max(map(len, digests))):
    for then, now in (words, digests):
      if then.get(number) != now.get(number):
        return number
  whole = (each['digests']['film'] for each in (record, again))
  return None if len(set(whole)) == 1 else 0


def verdict(saved: Saved, finished: story_folder.Finished) -> str:
  """That it is the same, in a line.

  Raises:
    ValueError: it is not; says from where on, and what else is not the same.
  """
  number = first_difference(saved, finished)
  if number is not None:
    raise ValueError(told_apart(saved, number))
  changed = '; '.join(provenance.differences(saved.record, saved.teller))
  though = f', though {changed}' if changed else ''
  return f'{saved.folder}: the same, bit for bit{though}'


def told_apart(saved: Saved, chunk: int) -> str:
  """That it is another story from a chunk on, and what may be why."""
  changed = '; '.join(provenance.differences(saved.record, saved.teller))
  why = changed or 'though weights, versions and machine are the same'
  time = saved.teller.time_of(chunk)
  return (
    f'{saved.folder}: another story from chunk {chunk} on, at {time:.2f} s: '
    f'{why}'
  )


def moment(saved: Saved, seconds: float, chunks: int) -> int:
  """The chunk at a time, from which on a story of `chunks` may be another.

  Raises:
    ValueError: the time is in the start, after what was filmed, or after the
      end of the new story.
  """
  teller = saved.teller
  first = 1 + (len(saved.start) - 1) // teller.step
  last = min(len(saved.record['digests']['chunks']), chunks - 1)
  low, high = teller.time_of(first), teller.time_of(last)
  chunk = 0
  if 0 <= seconds <= teller.time_of(last + 1):
    chunk = teller.chunk_at(seconds)
  if not first <= chunk <= last:
    raise ValueError(
      f'--at={seconds:g}: {saved.folder} can be another story from '
      f'{low:.2f} to {high:.2f} s'
    )
  return chunk


def fork(
  saved: Saved,
  chunk: int,
  asks: dict[int, str],
  change: Callable[[story_folder.Turn], story_folder.Turn],
) -> story_folder.Script:
  """The script with another future: from a chunk on, what is asked now.

  Args:
    saved: the story.
    chunk: the first that may differ.
    asks: from there on; what was asked there is forgotten.
    change: gives another seed or other settings from there on.
  """
  script = saved.script
  turns = tuple(turn for turn in script.turns if turn.chunk < chunk)
  now = story_folder.Turn(chunk, script.seed, script.settings)
  if turns:
    now = turns[-1]._replace(chunk=chunk)
  changed = change(now)
  return script._replace(
    asks={c: text for c, text in script.asks.items() if c < chunk} | asks,
    turns=turns if changed == now else (*turns, changed),
  )
