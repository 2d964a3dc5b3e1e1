"""How much of a run is over: the share of its steps, or of its time."""

from collections.abc import Iterator
import contextlib
import time

from tv2tv_jax.train import leader


class Clock:
  """Training time of a run over all its sessions; pauses do not count."""

  def __init__(
    self,
    *,
    steps: int,
    minutes: float | None,
    progress: float = 0.0,
    seconds: float = 0.0,
  ):
    """Starts.

    Args:
      steps: that the run has at most.
      minutes: that it has at most; None: any number.
      progress: share of the run that was over before; rules the time where
        there is a limit.
      seconds: of training before; counts where there is none.
    """
    self._steps = steps
    self._limit = 60 * minutes if minutes else None
    self._past = progress * self._limit if self._limit else seconds
    self._start = time.monotonic()

  def seconds(self) -> float:
    """Seconds of training so far."""
    return self._past + time.monotonic() - self._start

  def progress(self, step: int) -> float:
    """Share of the run over after `step` steps, in [0, 1].

    With a time limit each process must ask, for the leader's time holds. The
    step that was sent before is over then: more than one process should be
    given steps, which need no word between them.
    """
    share = step / self._steps
    if self._limit:
      share = leader.decides(max(share, self.seconds() / self._limit))
    return min(1.0, share)

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """Time that does not count."""
    begin = time.monotonic()
    try:
      yield
    finally:
      self._start += time.monotonic() - begin
