"""What the devices did in some steps of a run: a trace, for xprof."""

import pathlib
from typing import NamedTuple

import jax

from tv2tv_jax import sharding

FOLDER = 'profile'


class Steps(NamedTuple):
  """The first and the last step that are traced, counted from 1."""

  first: int
  last: int


class Profile:
  """Traces steps of a run into `profile/`, those of the leader's devices."""

  def __init__(self, workdir: pathlib.Path, steps: Steps | None):
    """Traces nothing yet; nothing at all where `steps` is None."""
    self._folder = workdir / FOLDER
    self._steps = steps if sharding.leads() else None
    self._running = False

  def __enter__(self) -> 'Profile':
    return self

  def __exit__(self, *_: object) -> None:
    self._stop()

  def before(self, step: int) -> None:
    """Begins, if this step is the first one."""
    if self._steps and step == self._steps.first:
      jax.profiler.start_trace(self._folder)
      self._running = True

  def after(self, step: int) -> None:
    """Ends, if this step, which is over, is the last one."""
    if self._steps and step == self._steps.last:
      self._stop()

  def _stop(self) -> None:
    if self._running:
      jax.profiler.stop_trace()
      self._running = False
