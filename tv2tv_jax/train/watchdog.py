"""A run that stands still ends, and says where it stood."""

from collections.abc import Iterator
import contextlib
import faulthandler
import os
import pathlib
import sys
import threading
import time

import jax

STATUS = 75  # of the process: EX_TEMPFAIL, "try again".
_PATIENCE = 4  # times the limit, for what is no step
_WRITING = 30.0  # seconds that a file of stacks may take, if it can be written


class Watchdog:
  """Ends the process when nothing has moved for too long, rather than hang.

  It begins patient: what comes before the first step, compilers, evaluations,
  pictures and the last checkpoint may take four times as long as a step.

  The stacks of all threads go to standard error and to `stacks-PROCESS.txt`,
  and the exit status is `STATUS`. Should even the thread that watches be stuck,
  behind Python's lock, a timer in C dumps the stacks and ends the process.
  """

  def __init__(self, seconds: float, folder: pathlib.Path):
    """Watches nothing yet.

    Args:
      seconds: that a step may take; 0: any number.
      folder: gets the file of stacks.
    """
    self._seconds = seconds
    self._path = folder / f'stacks-{jax.process_index()}.txt'
    self._over = threading.Event()
    self._thread = threading.Thread(target=self._watch, daemon=True)

  def __enter__(self) -> 'Watchdog':
    self.rest()
    if self._seconds:
      self._thread.start()
    return self

  def __exit__(self, *_: object) -> None:
    self._over.set()
    if self._seconds:
      self._thread.join()
      faulthandler.cancel_dump_traceback_later()

  def moved(self) -> None:
    """A step was completed: the next one is waited for."""
    self._wait(self._seconds)

  @contextlib.contextmanager
  def patient(self) -> Iterator[None]:
    """Something is done that is no step."""
    self.rest()
    try:
      yield
    finally:
      self.moved()

  def rest(self) -> None:
    """What comes next is no step."""
    self._wait(_PATIENCE * self._seconds)

  def _wait(self, seconds: float) -> None:
    # Both at once: the other thread looks at any time.
    self._limit = time.monotonic() + seconds, seconds

  def _watch(self) -> None:
    """Looks from time to time, in a thread of its own."""
    while not self._over.wait(min(10.0, self._seconds / 4)):
      faulthandler.dump_traceback_later(
        _PATIENCE * self._seconds, exit=True, file=sys.__stderr__
      )
      time_out, seconds = self._limit
      if time.monotonic() > time_out:
        self._end(seconds)

  def _end(self, seconds: float) -> None:
    """Says what is wrong, and ends the process without asking anyone."""
    message = (
      f'error: nothing was completed for {seconds:.0f} s (see '
      'config.train.watchdog_seconds): the process ends itself. The stacks of '
      f'its threads follow, and are in {self._path}; run the same command to '
      'go on from the last checkpoint\n'
    )
    # The disk may be what hangs: first say it, then try to write it down.
    faulthandler.dump_traceback_later(_WRITING, exit=True, file=sys.__stderr__)
    sys.__stderr__.write('\n' + message)
    sys.__stderr__.flush()
    faulthandler.dump_traceback(sys.__stderr__)
    try:
      with self._path.open('w') as file:
        file.write(message)
        file.flush()
        faulthandler.dump_traceback(file)
    finally:
      os._exit(STATUS)
