"""A rate that all processes keep together, by one file."""

import fcntl
import hashlib
import os
import pathlib
import time


class Pace:
  """At most so many turns a minute, over all who name the same file.

  Turns are evenly apart: a server that counts by the minute never sees more,
  wherever its minute begins. They share a file system with locks and clocks
  that agree.
  """

  def __init__(self, path: str | os.PathLike, turns_a_minute: float):
    """Makes the folder of the file.

    Args:
      path: of the file.
      turns_a_minute: 0 for no limit.
    """
    self._path = pathlib.Path(path)
    self._apart = 60 / turns_a_minute if turns_a_minute else 0.0
    self._path.parent.mkdir(parents=True, exist_ok=True)

  def wait(self):
    """Returns when it is this caller's turn."""
    if not self._apart:
      return
    with self._path.open('a+') as file:
      fcntl.flock(file, fcntl.LOCK_EX)  # The next in turn waits here.
      file.seek(0)
      try:
        last = float(file.read())
      except ValueError:  # New, or of a writer that was killed.
        last = 0.0
      left = last + self._apart - time.time()
      # A clock that was set back makes nobody wait for long.
      time.sleep(min(max(0.0, left), self._apart))
      file.truncate(0)
      file.write(repr(time.time()))


def file_of(address: str) -> str:
  """A name for the file of a server."""
  return f'pace-{hashlib.sha256(address.encode()).hexdigest()[:16]}'
