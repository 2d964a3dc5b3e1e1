"""Numbers of a run for TensorBoard. Needs the extra `tensorboard`."""

from collections.abc import Mapping
import pathlib
import time

from tensorboardX import event_file_writer
from tensorboardX import summary
from tensorboardX.proto import event_pb2

from tv2tv_jax.train import metrics

FOLDER = 'tensorboard'


def board(workdir: pathlib.Path, start: int) -> metrics.Tell:
  """Draws curves in `tensorboard/`; what it is told is on disk at once.

  Args:
    workdir: the folder of the run.
    start: steps that the run goes on from: what an earlier session drew after
      them is hidden.
  """
  folder = workdir / FOLDER
  folder.mkdir(parents=True, exist_ok=True)
  # The library's `SummaryWriter` writes in a thread, and may lose the last.
  writer = event_file_writer.EventsWriter(str(folder / 'events'))

  def write(**fields: object) -> None:
    event = event_pb2.Event(wall_time=time.time(), **fields)
    writer.write_event(event)

  write(step=start + 1, file_version='brain.Event:2')
  begins = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
  write(step=start + 1, session_log=begins)
  writer.flush()

  def tell(step: int, numbers: Mapping[str, float]) -> None:
    for name, number in numbers.items():
      write(step=step, summary=summary.scalar(name, number))
    writer.flush()

  return tell
