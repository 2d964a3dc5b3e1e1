"""A recording by Apache Beam: on Dataflow, Flink, Spark, or this machine.

Units are spread over the workers of a runner, each of which calls the very
function that the processes of one machine call. Workers see the inputs and the
dataset's folder under the paths that this machine does: a shared file system,
or a mounted bucket. What is whole is told by its mark there, so a pipeline that
was stopped goes on, with Beam or without.
"""

from collections.abc import Callable, Iterator, Sequence
import pathlib
import pickle
import shlex
from typing import Any

import apache_beam
from apache_beam.options import pipeline_options
from apache_beam.runners import runner

from data_pipelines.prepare import dataset
from data_pipelines.prepare import executor as executor_lib
from data_pipelines.prepare import pieces
from data_pipelines.prepare import record

_POLL = 1000  # milliseconds between looks at what is whole


def executor(options: str) -> executor_lib.Executor:
  """Work by a pipeline; gives what came of units as their marks appear.

  Args:
    options: of Beam, as on a command line: '--runner=FlinkRunner ...'; none:
      Beam's own runner on this machine.

  Raises:
    ValueError: Beam does not take the options.
  """
  try:
    parsed = pipeline_options.PipelineOptions(shlex.split(options))
    parsed.get_all_options()  # Reads them.
  except (ValueError, SystemExit) as error:
    said = 'see standard error' if isinstance(error, SystemExit) else error
    raise ValueError(
      f'--beam_options={options!r} are none of Apache Beam ({said})'
    ) from None

  def execute(
    function: Callable[..., Any], tasks: Sequence[executor_lib.Task]
  ) -> Iterator[record.Made]:
    pipeline = apache_beam.Pipeline(options=parsed)
    _ = (
      pipeline
      # Bytes: Beam would make a table of a named tuple.
      | apache_beam.Create([pickle.dumps(task) for task in tasks])
      | apache_beam.Reshuffle()  # Else one worker gets all.
      | apache_beam.Map(_attempt, function)
    )
    return _watched(pipeline, tasks)

  return execute


def _attempt(task: bytes, function: Callable[..., Any]) -> None:
  """Calls the function with the fields of a task; notes why it fails."""
  task = pickle.loads(task)
  note = _note(task.path)
  note.unlink(missing_ok=True)
  try:
    made = function(*task)
  except (ValueError, OSError) as error:
    dataset.write_text(note, str(error))
    raise
  if not pieces.mark(task.path).exists():
    dataset.write_text(note, made.dropped[-1].detail)


def _watched(
  pipeline: apache_beam.Pipeline, tasks: Sequence[executor_lib.Task]
) -> Iterator[record.Made]:
  """What came of each task, until the pipeline is over.

  Raises:
    ValueError: a task failed, and said why.
    OSError: the pipeline failed otherwise, or left a task undone.
  """
  failure, left = None, list(tasks)
  try:
    result = pipeline.run()
    while not runner.PipelineState.is_terminal(result.state):
      done, left = _parted(left)
      yield from done
      result.wait_until_finish(duration=_POLL)
    result.wait_until_finish()
  except Exception as error:  # A runner may raise anything.
    failure = error
  done, left = _parted(left)
  yield from done
  notes = [note for task in left if (note := _note(task.path)).exists()]
  if notes:
    raise ValueError(notes[0].read_text()) from failure
  if failure or left:
    raise OSError(
      f'the pipeline ended with {len(left)} of {len(tasks)} units undone '
      f'({failure or result.state}); run again to go on'
    ) from failure


def _parted(
  tasks: Sequence[executor_lib.Task],
) -> tuple[list[record.Made], list[executor_lib.Task]]:
  """What came of the tasks that are done, and the others."""
  done, left = [], []
  for task in tasks:
    mark = pieces.mark(task.path)
    if mark.exists():
      done.append(pieces.read(mark, record.made_of))
    else:
      left.append(task)
  return done, left


def _note(path: pathlib.Path) -> pathlib.Path:
  """Where a worker says why the piece of this file could not be made."""
  return path.with_suffix('.error')
