"""What a session of a run tells of its steps: records, a line of progress."""

from collections.abc import Callable, Mapping
import pathlib
import sys
import time
from typing import Any

import jax
import tqdm

from tv2tv_jax import sharding
from tv2tv_jax.train import clock as clock_lib
from tv2tv_jax.train import flops
from tv2tv_jax.train import metrics as metrics_lib
from tv2tv_jax.train import pace as pace_lib
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.typing import Metrics

# `(workdir, step)`: opens what else is told the metrics after that step.
Board = Callable[[pathlib.Path, int], metrics_lib.Tell]


class Journal:
  """Records of the metrics file, going on from the last checkpoint's.

  Attributes:
    clock: training time.
    pace: how fast steps follow one another.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    state: state_lib.TrainState,
    began: float,
    *,
    steps: int,
    minutes: float | None,
    cost: flops.Cost | None,
    board: Board | None,
  ):
    """Opens the journal of `workdir`.

    Args:
      workdir: gets `metrics.jsonl`.
      state: from which the session goes on.
      began: when the session did, by `time.monotonic`.
      steps: of the run, at most.
      minutes: of the run, at most.
      cost: of a step.
      board: is told what is written.
    """
    step = int(state.step)
    tell = board(workdir, step) if board and sharding.leads() else None
    writer = metrics_lib.Writer(workdir / metrics_lib.NAME, step, tell)
    writer.write(step, {metrics_lib.BEGAN: time.time()})
    self.clock = clock_lib.Clock(
      steps=steps,
      minutes=minutes,
      progress=float(state.progress),
      seconds=writer.last('seconds', 0.0),
    )
    self.pace = pace_lib.Pace(
      self.clock,
      cost,
      began=writer.first(metrics_lib.BEGAN, time.time()),
      useful=writer.last(pace_lib.USEFUL, 0.0),
    )
    self._writer, self._shapes = writer, set()
    self._began, self._notes = began, {}
    self._bar = tqdm.tqdm(
      total=steps,
      initial=step,
      unit='step',
      desc=workdir.name,
      mininterval=1.0,
      dynamic_ncols=True,
      disable=not sharding.leads(),
    )

  def __enter__(self) -> 'Journal':
    return self

  def __exit__(self, *_: object) -> None:
    self._bar.close()

  def is_new(self, batch: Any) -> bool:
    """Whether a batch is the first one of its shapes: the step compiles."""
    shapes = tuple(leaf.shape for leaf in jax.tree.leaves(batch))
    new = shapes not in self._shapes
    self._shapes.add(shapes)
    return new

  def note(self, **seconds: float) -> None:
    """Keeps what something took, to be told with the next step."""
    self._notes |= seconds

  def stepped(self, step: int) -> None:
    """A step is over; of the first one it is told how long it took to come."""
    self.pace.stepped()
    self._bar.update()
    if self._began:
      self.note(first_step=time.monotonic() - self._began)
      self._began = None
      took = ', '.join(f'{name} {s:.1f} s' for name, s in self._notes.items())
      if sharding.leads():
        self._bar.write(f'{self._bar.desc}: {took}', file=sys.stderr)
    if self._notes:
      self._writer.write(
        step, {f'session/{name}_seconds': s for name, s in self._notes.items()}
      )
      self._notes = {}

  def tell(self, step: int, progress: float, metrics: Metrics) -> None:
    """Writes what a step gave, and shows some of it."""
    seconds, numbers = self.clock.seconds(), jax.device_get(dict(metrics))
    self._writer.write(
      step, {'seconds': seconds, **numbers, **self.pace.figures()}
    )
    left = seconds * (1 / progress - 1)
    self._bar.set_postfix(
      {
        'loss': f'{numbers["loss"]:.4f}',
        'rate': f'{numbers["rate"]:.1e}',
        'left': f'{left:.0f}s',
      },
      refresh=False,
    )

  def evaluated(self, step: int, figures: Mapping[str, float]) -> None:
    """Writes what an evaluation gave."""
    self._writer.write(step, figures)
