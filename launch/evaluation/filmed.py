"""Stories that a checkpoint films from held-out frames, and their figures.

From each frame three are filmed: one told nothing, one told to move forward at
1 s and at 3 s, and one told two other instructions at these times, in turn over
the frames. So every instruction has its twin and what it is told apart from.
"""

from collections.abc import Iterator, Mapping
import dataclasses
import functools
import pathlib

from flax import nnx
import jax

from data_pipelines import records
from launch import clips
from launch import says
from launch import story_folder
from launch import storyteller as storyteller_lib
from launch.evaluation import story_set
from launch.stories import batch
from launch.stories import filming as filming_lib
from launch.stories import frames as frames_lib
from tv2tv_jax.evaluate import obedience

TIMES = (1.0, 3.0)  # seconds at which something is told
HOLD = 1.0  # seconds for which it is restated
SHORTEST = TIMES[-1] + HOLD + 0.5
_STORIES = 'stories'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filming:
  """What is filmed.

  Attributes:
    films: frames that stories begin with, three stories each.
    seconds: of a story.
  """

  films: int
  seconds: float


class Filmer:
  """Films with one model after another, and has the stories looked at."""

  def __init__(
    self,
    workdir: pathlib.Path,
    out: pathlib.Path,
    filming: Filming,
    settings: story_set.Settings,
  ):
    """Reads no checkpoint.

    Args:
      workdir: of `launch.train`.
      out: gets a folder for each step, with its stories and their page.
      filming: what is filmed.
      settings: what stories are held against; the frames are of its records.

    Raises:
      ValueError: no such recording, or several processes.
    """
    if jax.process_count() > 1:
      raise ValueError(
        f'stories are filmed by one process, here are {jax.process_count()}: '
        'evaluate with one, of any number of devices, or without --records'
      )
    self._workdir, self._out = workdir, out
    self._filming, self._settings = filming, settings
    takes = records.Takes(settings.records, settings.split)
    self._words = obedience.instructions(takes[0].control_names)

  @functools.cached_property
  def _judges(self) -> story_set.Judges:
    """What looks at the stories of all steps."""
    return story_set.Judges(self._settings)

  def __call__(
    self, step: int, model: nnx.Module
  ) -> Mapping[str, float | None]:
    """Films the stories of a step, and sums them up in a few figures.

    Raises:
      ValueError: other stories are there, of another model or other settings.
    """
    teller = storyteller_lib.Storyteller(self._workdir, model=model)
    out = self._out / str(step)
    tasks = list(self._tasks(teller))
    try:
      batch.run(out / _STORIES, tasks, batch.Share(), teller)
    except ValueError:
      # Those that could not be told are named beside the others.
      if not any((out / _STORIES).glob('.*.failed.json')):
        raise
    done = self._judges.evaluated(out / _STORIES, out)
    return _summary(done)

  def _tasks(self, teller: storyteller_lib.Storyteller) -> Iterator[batch.Task]:
    """Every story, in the order of frames."""
    count = self._filming.films
    (some,) = clips.sample(
      self._settings.records,
      self._settings.split,
      count=count,
      length=1,
      batch=count,
    )
    two = len(self._words)
    for number, take in enumerate(some.takes):
      start = storyteller_lib.Start(some.frames[number, :1], take.prompt)
      digest = frames_lib.digest(start.frames)
      pair = (self._words[number % two], self._words[(number + 1) % two])
      plans = {
        'nothing': (),
        'forward': (obedience.REFERENCE,) * 2,
        'told': pair,
      }
      for name, words in plans.items():
        script = self._script(teller, take.prompt, number, words)
        name = f'{number:03d}-{name}'
        job = filming_lib.Job(name, script, functools.partial(_same, start))
        yield batch.Task(name, job, digest)

  def _script(
    self,
    teller: storyteller_lib.Storyteller,
    prompt: str,
    seed: int,
    words: tuple[str, ...],
  ) -> story_folder.Script:
    """A story that is told some words, each at its time."""
    chunks = teller.chunks_of(self._filming.seconds)
    said = [
      says.Said(
        f'{word!r} at {time:g} s', storyteller_lib.Say(time, word, HOLD)
      )
      for time, word in zip(TIMES, words, strict=False)
    ]
    return story_folder.Script(
      prompt=prompt,
      seed=seed,
      settings=teller.config.settings,
      layout=teller.layout,
      chunks=chunks,
      asks=says.by_chunk(said, teller, says.Span(1, chunks)),
    )


def _same(start: storyteller_lib.Start) -> storyteller_lib.Start:
  return start


def _summary(done: story_set.Evaluated) -> dict[str, float | None]:
  """The figures that stand in the table of a checkpoint."""
  report = done.report
  found: dict[str, float | None] = {
    'told': report['told'],
    'failed': len(done.failed),
  }
  if not done.parts:
    return found
  if 'obedience' in report:
    row = report['obedience']['rows'][-1]
    for name, field in (('obeyed', 'obeyed'), ('told nothing', 'twins')):
      found[name] = row[field] and row[field]['share']
      found[f'{name}, of'] = row[field] and row[field]['trials']
  for kind, each in report['frechet'].get('real', {}).items():
    found[f'Fréchet, {kind}'] = each['distance']
    found[f'Fréchet, {kind}, real to real'] = each['real_to_real']
  for name, each in report['drift']['statistics'].items():
    found[f'{name}, change a minute'] = each['slope']
  return {**found, **report['flicker'], **report['wording']}
