"""A recording: a source's units in parallel, resumable, the same every time.

A unit becomes a piece, by `make_piece`: a pure function of the source and the
unit, so neither the number of processes nor stops change a byte. What was left
out, and why, is in `dropped.jsonl` beside the takes, and counted in
`summary.json`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import itertools
import json
import os
import pathlib
import time
from typing import Any, NamedTuple

from data_pipelines import records
from data_pipelines.prepare import dataset
from data_pipelines.prepare import executor as executor_lib
from data_pipelines.prepare import pieces
from data_pipelines.prepare import report as report_lib
from data_pipelines.prepare import takes
from data_pipelines.sources import source as source_lib

ON_ERROR = ('stop', 'skip')
UNREADABLE = 'unreadable'
UNANSWERED = 'unanswered'  # It is made by another run.


class Made(NamedTuple):
  """What came of a unit, or of all of them; a piece's mark."""

  takes: int = 0
  frames: int = 0
  cut: int = 0  # frames at the ends of takes that are left out
  seconds: float = 0.0
  spoken: float = 0.0  # seconds in which a caption or a control is in force
  dropped: tuple[source_lib.Dropped, ...] = ()

  def plus(self, other: 'Made') -> 'Made':
    """Both together."""
    return Made(*(a + b for a, b in zip(self, other, strict=True)))


def made_of(dropped: Sequence[Sequence[str]], **counts: Any) -> Made:
  """What a mark says; TypeError if it is none."""
  return Made(
    dropped=tuple(itertools.starmap(source_lib.Dropped, dropped)), **counts
  )


class Piece(NamedTuple):
  """A unit and where its takes go."""

  unit: source_lib.Unit
  path: pathlib.Path

  @property
  def split(self) -> str:
    """The split that its takes are of."""
    return 'test' if self.unit.test else 'train'


def record(
  source: source_lib.Source,
  out: str | os.PathLike,
  *,
  processes: int = 0,
  on_error: str = 'stop',
  progress: Callable[[report_lib.Progress], Any] = lambda progress: None,
  executor: executor_lib.Executor | None = None,
) -> report_lib.Report:
  """Writes the takes of a source to `out`, going on where a run stopped.

  Args:
    source: what to record.
    out: directory of the dataset.
    processes: how many units at once, 0 for one a core.
    on_error: 'skip' drops a unit that cannot be read, after the takes before
      the error; 'stop' ends the run there, and keeps the pieces that are whole.
      Units whose server gave no answer are left for another run.
    progress: called at the start and after each unit.
    executor: does the work instead of processes of this machine.

  Raises:
    ValueError: a setting is wrong, a unit cannot be read, no take was kept,
      `out` holds something else, or units are left for another run.
    OSError: the disk is full, or a process was killed.
  """
  began = time.monotonic()
  if on_error not in ON_ERROR:
    raise ValueError(
      f'on_error is {on_error!r}; choose from {", ".join(ON_ERROR)}'
    )
  job = plan(source, out)
  if job.is_finished():
    return report_lib.read(job.out, None, time.monotonic() - began)
  job.begin()
  left = job.missing()
  done = len(job.pieces) - len(left)
  made, dropped, unanswered = Made(), 0, []

  def tell(done):
    progress(
      report_lib.Progress(
        done, len(job.pieces), made.takes, made.seconds, dropped
      )
    )

  tell(done)
  execute = executor or executor_lib.local(processes or os.cpu_count())
  tasks = [
    executor_lib.Task(source, piece.unit, piece.path, on_error)
    for piece in left
  ]
  for number, each in enumerate(execute(make_piece, tasks), start=1):
    made = made.plus(each._replace(dropped=()))
    dropped += len(each.dropped)
    unanswered += [d.detail for d in each.dropped if d.reason == UNANSWERED]
    tell(done + number)
  if unanswered:
    raise ValueError(
      f'{len(unanswered)} of {len(job.pieces)} units are left, for which no '
      f'server gave an answer; run again to make them: {unanswered[0]}'
    )
  job.join_by(lambda marks, files: _finish(job, source, marks, files))
  return report_lib.read(job.out, made.frames, time.monotonic() - began)


def plan(
  source: source_lib.Source, out: str | os.PathLike
) -> pieces.Job[Piece, Made]:
  """The pieces of a recording; touches nothing.

  Raises:
    ValueError: a setting is wrong, or there is nothing to record.
  """
  units = source.units()
  if not units:
    raise ValueError(f'source {source.name}: there is nothing to record')
  names = sorted(unit.name for unit in units)
  for one, other in itertools.pairwise(names):
    if one == other:
      raise ValueError(f'source {source.name}: two units have the name {one!r}')
  place = dataset.partial(out)
  return pieces.Job(
    out,
    {'source': source.name, **source.recipe(), 'version': records.VERSION},
    [
      Piece(unit, place / f'unit-{number:06d}.array_record')
      for number, unit in enumerate(units)
    ],
    counts=made_of,
    records='takes',
  )


def make_piece(
  source: source_lib.Source,
  unit: source_lib.Unit,
  path: pathlib.Path,
  on_error: str,
) -> Made:
  """Records a unit: writes its piece, then its mark, each whole or not at all.

  With `on_error` 'skip' a unit whose server gives no answer has neither.

  Raises:
    ValueError: the unit cannot be read, unless `on_error` is 'skip'.
    OSError: the disk is full.
  """
  made, names = Made(), set()

  def kept() -> Iterator[Mapping[str, Any]]:
    nonlocal made
    for each in _takes(source, unit, on_error):
      if isinstance(each, source_lib.Dropped):
        made = made.plus(Made(dropped=(each,)))
        continue
      name = each.record['take']
      if name in names:
        raise ValueError(f'unit {unit.name}: two takes have the name {name!r}')
      names.add(name)
      made = made.plus(
        Made(1, each.frames, each.cut, each.seconds, each.spoken)
      )
      yield each.record

  try:
    dataset.write_piece(path, records.features(), kept())
  except source_lib.NoAnswerError as error:
    if on_error == 'stop':
      raise
    left = source_lib.Dropped(unit.name, UNANSWERED, str(error))
    return Made(dropped=(left,))
  pieces.write_mark(path, made)
  return made


def _takes(
  source: source_lib.Source, unit: source_lib.Unit, on_error: str
) -> Iterator[takes.Stored | source_lib.Dropped]:
  """The takes of a unit as they are stored, and what is dropped."""
  try:
    for each in source.takes(unit):
      if isinstance(each, source_lib.Film):
        each = takes.stored(each, source.name)
      yield each
  except source_lib.NoAnswerError:
    raise
  except ValueError as error:
    if on_error == 'stop':
      raise
    yield source_lib.Dropped(unit.name, UNREADABLE, str(error))


def _finish(
  job: pieces.Job[Piece, Made],
  source: source_lib.Source,
  marks: Sequence[Made],
  files: pieces.Files,
) -> None:
  """Makes the dataset of whole pieces.

  Raises:
    ValueError: not one take was kept.
  """
  total, lines = Made(), []
  for piece, made in zip(job.pieces, marks, strict=True):
    total = total.plus(made._replace(dropped=()))
    lines += [
      {'unit': piece.unit.name, **each._asdict()} for each in made.dropped
    ]
  reasons = {}
  for line in lines:
    reasons[line['reason']] = reasons.get(line['reason'], 0) + 1
  if not files:
    said = ', '.join(f'{n} {why}' for why, n in reasons.items()) or 'nothing'
    first = (
      f', the first: {lines[0]["name"]}: {lines[0]["detail"]}' if lines else ''
    )
    raise ValueError(
      f'{job.out}: not one take was kept of {len(marks)} units; dropped were '
      f'{said}{first}'
    )
  summary = {**total._asdict(), 'dropped': reasons}
  dataset.finish(
    job.out,
    source.name,
    records.features(),
    {split: files[split] for split in records.SPLITS if split in files},
    version=records.VERSION,
    description='Film with timed words, one take a record.',
    extra={
      report_lib.SUMMARY: json.dumps(summary, indent=2) + '\n',
      report_lib.DROPPED: ''.join(json.dumps(line) + '\n' for line in lines),
    },
  )
