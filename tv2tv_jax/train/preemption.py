"""A run that is told to stop finishes its step and saves it.

SIGTERM is how a machine that is taken away says so, SIGINT how a person does.
"""

import os
import signal
import sys
from types import FrameType

import jax
from jax.experimental import multihost_utils

from tv2tv_jax import sharding


class Preempted(SystemExit):
  """Told to stop, and stopped with nothing lost: exit status 0."""


class Notice:
  """Whether a run has been told to stop.

  Before its first step there is nothing to finish: then it stops at once, as it
  does at a second SIGINT.

  Of several processes all stop after the same step, even if one alone is told:
  JAX listens to SIGTERM there and finds the step; SIGINT is passed on to it.
  """

  def __init__(self):
    self._told: int | None = None
    self._stepping = False

  def __enter__(self) -> 'Notice':
    numbers = [signal.SIGINT]
    if jax.process_count() == 1:
      numbers.append(signal.SIGTERM)
    self._before = {n: signal.signal(n, self._hear) for n in numbers}
    return self

  def __exit__(self, *_: object) -> None:
    for number, before in self._before.items():
      signal.signal(number, before)

  def reached(self, step: int) -> bool:
    """Whether to stop after this step; every process asks after every step."""
    self._stepping = True
    if jax.process_count() > 1:
      return multihost_utils.reached_preemption_sync_point(step)
    return self._told is not None

  def stop(self, step: int) -> None:
    """Ends the run, which is saved.

    Raises:
      KeyboardInterrupt: a person told this process.
      Preempted: a machine, or another process.
    """
    self._stop(f'saved after step {step}')

  def _stop(self, how: str) -> None:
    """Stops, and says how it did."""
    if self._told == signal.SIGINT:
      raise KeyboardInterrupt
    if sharding.leads():
      print(
        f'\ntold to stop, and {how}: run the same command to go on',
        file=sys.stderr,
      )
    raise Preempted(0)

  def _hear(self, number: int, frame: FrameType | None) -> None:
    """The handler of the signals."""
    del frame
    again = self._told is not None and number == signal.SIGINT
    self._told = number if again else self._told or number
    if again or not self._stepping:
      self._stop('no step was taken')
    if jax.process_count() > 1:
      os.kill(os.getpid(), signal.SIGTERM)
