"""How fast a run goes, what it waits for, and what it was good for.

  goodput = (t - w - s) / T                                             (1)
  MFU     = F / (d D P)                                                 (2)

In (1), over all sessions of the run, `t` are the seconds of training up to the
newest step of those that count (not those that a resumed run does again),
without compiling, evaluating and drawing; `w` of them it waited for batches and
`s` for checkpoints; `T` is the time since the run first started, running or
not. In (2), `F` are the floating-point operations of a step (flops.py), `d` its
seconds, `D` the number of devices, and `P` the peak of one in bf16, whatever
the run computes in (chips.py).
"""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import time

import jax

from tv2tv_jax.train import chips
from tv2tv_jax.train import clock as clock_lib
from tv2tv_jax.train import flops

USEFUL = 'pace/useful_seconds'  # t - w - s: what a resumed run goes on from.


class Pace:
  """Counts steps and seconds from one record of metrics to the next."""

  def __init__(
    self,
    clock: clock_lib.Clock,
    cost: flops.Cost | None,
    *,
    began: float,
    useful: float,
  ):
    """Counts from now on.

    Args:
      clock: training time.
      cost: of a step; None: unknown.
      began: when the run first started, in seconds since 1970.
      useful: seconds of earlier sessions.
    """
    self._clock, self._cost, self._began = clock, cost, began
    self._useful = useful
    chip = chips.of(jax.devices()[0].device_kind)
    self._peak = chip.flops * jax.device_count() if chip else None
    self._clear()

  def stepped(self) -> None:
    """A step is over."""
    self._steps += 1

  def stalled(self, seconds: float) -> None:
    """A checkpoint held up the run."""
    self._stalled += seconds

  @contextlib.contextmanager
  def waiting(self, is_over: Callable[[], bool]) -> Iterator[None]:
    """The run waits for a batch, which counts unless a step hides it.

    Args:
      is_over: tells whether the newest step is.
    """
    begin = time.monotonic()
    yield
    if is_over():
      self._waited += time.monotonic() - begin

  def figures(self) -> Mapping[str, float]:
    """What happened since they were last asked for; the goodput is of all."""
    seconds = self._clock.seconds() - self._since
    step = seconds / max(1, self._steps)
    self._useful += seconds - self._waited - self._stalled
    figures = {
      'pace/step_seconds': step,
      'pace/data_wait_seconds': self._waited / max(1, self._steps),
      'pace/save_stall_seconds': self._stalled,
      USEFUL: self._useful,
      'pace/goodput': self._useful / max(1e-9, time.time() - self._began),
    }
    if self._cost:
      figures['pace/tokens_per_second'] = self._cost.tokens / step
      if self._peak:
        figures['pace/mfu'] = self._cost.flops / (step * self._peak)
    self._clear()
    return figures

  def _clear(self) -> None:
    self._since = self._clock.seconds()
    self._steps, self._waited, self._stalled = 0, 0.0, 0.0
