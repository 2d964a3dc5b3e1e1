"""Scripts become stories, as many side by side as there are lanes.

A story that is over leaves its lane to the next one. It depends on its script,
its start and what tells it alone: not on its neighbours, nor on its turn.
"""

from collections.abc import Callable, Iterable, Iterator
import functools
import pathlib
import sys
from typing import NamedTuple

import numpy as np
import tqdm

from launch import story_folder
from launch import storyteller as storyteller_lib
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import telling as telling_lib

Event = telling_lib.Wrote | telling_lib.Filmed
# What may be the fault of one story: its values, files, or memory.
TROUBLES = (ValueError, OSError, FloatingPointError, RuntimeError)


class Job(NamedTuple):
  """A story to tell.

  Attributes:
    name: of it.
    script: how it goes.
    start: reads how it begins, when its turn comes.
  """

  name: str
  script: story_folder.Script
  start: Callable[[], storyteller_lib.Start]


def films(
  teller: storyteller_lib.Storyteller,
  jobs: Iterable[Job],
  watch: Callable[[Event], None] = lambda _: None,
) -> Iterator[tuple[Job, story_folder.Finished | Exception]]:
  """Each story when it has been told, or what ended it; in no order.

  Args:
    teller: tells them.
    jobs: taken one by one, as lanes become free.
    watch: hears of words and frames as they come, these from another thread.
      Their `story` is a place among those that are told at that moment.
  """
  jobs, going, over = iter(jobs), [], []
  while True:
    while len(going) < teller.engine.lanes:
      job = next(jobs, None)
      if job is None:
        break
      try:
        going.append(_Story(teller, job))
      except TROUBLES as error:
        yield job, error
    if not going:
      break
    failed = _advanced(teller, going, watch)
    yield from ((story.job, error) for story, error in failed)
    lost = [story for story, _ in failed]
    going = [story for story in going if story not in lost]
    over += [story for story in going if story.is_over]
    going = [story for story in going if not story.is_over]
    # Looked at once: frames come from another thread meanwhile.
    filmed = [story for story in over if story.is_filmed]
    over = [story for story in over if story not in filmed]
    yield from ((story.job, story.finished()) for story in filmed)
  for story in over:
    try:
      story.wait()
    except TROUBLES as error:
      yield story.job, error
    else:
      yield story.job, story.finished()


def told(
  teller: storyteller_lib.Storyteller, job: Job
) -> story_folder.Finished:
  """One story, whose words are printed as they are written, under a bar.

  Raises:
    Exception: what ended it.
  """
  with tqdm.tqdm(
    total=job.script.chunks, unit='chunk', desc='film', dynamic_ncols=True
  ) as bar:

    def watch(event: Event) -> None:
      if isinstance(event, telling_lib.Filmed):
        bar.update()
      elif isinstance(event, telling_lib.Wrote) and event.words:
        text = teller.tokenizer.decode(event.words)
        bar.write(f'{teller.time_of(event.chunk):6.2f} s  {text}')
        sys.stdout.flush()

    ((_, result),) = films(teller, [job], watch)
  if isinstance(result, Exception):
    raise result
  return result


def summary(
  folder: pathlib.Path,
  finished: story_folder.Finished,
  teller: storyteller_lib.Storyteller,
) -> str:
  """Where a story is and how long it is, in a line."""
  count = len(finished.frames)
  ended = ', where the model ended it' if finished.ended == 'eos' else ''
  return (
    f'{folder / story_folder.FILM}: {count} frames, '
    f'{count / teller.rate:.2f} s{ended}'
  )


class _Story:
  """A story in its lane."""

  def __init__(self, teller: storyteller_lib.Storyteller, job: Job):
    self.job, self._teller = job, teller
    start, script = job.start(), job.script
    self._start = start.frames
    self.telling = teller.begin(
      start, script.prompt, script.seed, script.settings
    )
    self._frames: dict[int, np.ndarray] = {}
    begun = len(self.telling.roll.latents)
    if begun >= script.chunks:
      raise ValueError(
        f'it begins with {begun} chunks, and has {script.chunks} in all: ask '
        'for a longer story or a shorter start'
      )

  @property
  def is_over(self) -> bool:
    """Whether it is told to its end."""
    roll = self.telling.roll
    return roll.ended or len(roll.latents) >= self.job.script.chunks

  @property
  def is_filmed(self) -> bool:
    """Whether all pictures are there, too."""
    return len(self._frames) == len(self.telling.roll.latents)

  def wait(self) -> None:
    """Returns when all pictures are there; raises why they are not."""
    _, last = self.telling.pasts[-1]
    last.result()

  def next_telling(self) -> telling_lib.Telling:
    """The story before its next chunk, with what changes from there on."""
    roll = self.telling.roll
    for turn in self.job.script.turns:
      if turn.chunk == len(roll.latents):
        roll = roll._replace(seed=turn.seed, settings=turn.settings.checked())
        return self.telling._replace(roll=roll)
    return self.telling

  def ask(self) -> roll_lib.Ask:
    """What a person wants of the next chunk."""
    text = self.job.script.asks.get(len(self.telling.roll.latents))
    if text is None:
      return roll_lib.Ask()
    return roll_lib.Ask(words=self._teller.encode(text))

  def hear(self, event: Event) -> None:
    """Keeps the frames of a chunk."""
    if isinstance(event, telling_lib.Filmed):
      self._frames[event.chunk] = event.frames

  def finished(self) -> story_folder.Finished:
    """The whole story."""
    roll = self.telling.roll
    return story_folder.Finished(
      script=self.job.script,
      start=self._start,
      words=self._teller.words(roll),
      frames=np.concatenate([f for _, f in sorted(self._frames.items())]),
      ended='eos' if roll.ended else 'length',
    )


def _advanced(
  teller: storyteller_lib.Storyteller,
  stories: list[_Story],
  watch: Callable[[Event], None],
) -> list[tuple[_Story, Exception]]:
  """Every story by one chunk; those that cannot go on, each with the reason."""
  try:
    tellings = teller.teller.advance(
      [story.next_telling() for story in stories],
      [story.ask() for story in stories],
      functools.partial(_heard, stories, watch),
    )
  except TROUBLES as error:
    if len(stories) == 1:
      return [(stories[0], error)]
    # Alone each shows whether it was the one.
    return [
      failed
      for story in stories
      for failed in _advanced(teller, [story], watch)
    ]
  for story, telling in zip(stories, tellings, strict=True):
    story.telling = telling
  return []


def _heard(
  stories: list[_Story], watch: Callable[[Event], None], event: Event
) -> None:
  stories[event.story].hear(event)
  watch(event)
