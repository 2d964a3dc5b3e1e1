"""Who does the work of a recording: processes of this machine, or others."""

from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from concurrent.futures import process
import itertools
import multiprocessing
import os
import pathlib
import signal
import threading
from typing import Any, NamedTuple

from data_pipelines.sources import source as source_lib


class Task(NamedTuple):
  """A unit to record: what `record.make_piece` is called with."""

  source: source_lib.Source
  unit: source_lib.Unit
  path: pathlib.Path
  on_error: str


# Calls the function with the fields of each task, in any order, anywhere that
# sees the same files, and gives what each call returned.
Executor = Callable[[Callable[..., Any], Sequence[Task]], Iterator[Any]]


_BUSY = threading.Lock()  # While a process of `local` does a task.


def local(processes: int) -> Executor:
  """Work in processes of this machine; in this one if there is one.

  An error ends the work; what other processes are at is finished.

  Raises:
    OSError: a process was killed; names what may have been its work.
  """

  def execute(function, tasks):
    if processes == 1 or len(tasks) < 2:
      yield from itertools.starmap(function, tasks)
      return
    # A fresh interpreter each: a game's threads do not survive a fork.
    pool = futures.ProcessPoolExecutor(
      min(processes, len(tasks)),
      multiprocessing.get_context('spawn'),
      initializer=_begin,
    )
    jobs = {pool.submit(_work, function, task): task for task in tasks}
    try:
      for job in futures.as_completed(jobs):
        yield job.result()
    except process.BrokenProcessPool:
      lost = [task.unit.name for job, task in jobs.items() if _is_lost(job)]
      raise OSError(
        f'a process was killed at {" or ".join(lost[:processes])} (out of '
        'memory?); run again to go on, with fewer --processes'
      ) from None
    finally:
      pool.shutdown(cancel_futures=True)

  return execute


def _begin() -> None:
  """Leaves the interrupt to the parent, and watches over it."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
  """Ends this process after its parent, which may have been killed."""
  multiprocessing.parent_process().join()
  with _BUSY:
    os._exit(1)


def _work(function: Callable[..., Any], task: Task) -> Any:
  """Does a task to its end: one that is cut off leaves its game running."""
  with _BUSY:
    return function(*task)


def _is_lost(job: futures.Future) -> bool:
  """Whether a job of a broken pool came to nothing."""
  return not job.done() or job.cancelled() or job.exception() is not None
