"""The checkpoints of a run as they appear: which one is next.

The leading process looks and decides for all: file systems and clocks of hosts
may differ for a moment.
"""

from collections.abc import Callable, Iterator
import dataclasses
import pathlib
import time

from tv2tv_jax import sharding
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import leader

REPORT = 'report.json'  # What a run leaves last.
_NOTHING, _OVER, _LATE, _NEVER = -1, -2, -3, -4  # Where there is no step.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Patience:
  """How a run is followed.

  Attributes:
    every: only steps that are multiples of it are taken, and the last one of a
      run that is over.
    timeout: seconds without a new checkpoint after which the run is given up.
    poll: seconds between looks.
  """

  every: int = 1
  timeout: float = 3600.0
  poll: float = 5.0


def steps(
  workdir: pathlib.Path, patience: Patience, done: Callable[[int], bool]
) -> Iterator[int]:
  """Each checkpoint, oldest first, until the run is over or given up.

  The oldest is the one that the trainer deletes next: so least is missed. A run
  that is not there yet is waited for.

  Args:
    workdir: of the run.
    patience: how it is followed.
    done: whether a step needs no visit; only the leader is asked.

  Raises:
    ValueError: no checkpoint came within the timeout.
  """
  seen: set[int] = set()
  since = time.monotonic()
  told = ''
  while True:
    step = _next(workdir, patience, seen, done) if sharding.leads() else 0
    if step == _NOTHING and time.monotonic() - since > patience.timeout:
      step = _LATE if checkpoint.finished(workdir) else _NEVER
    step = int(leader.decides(step))
    late = f'checkpoint within --timeout={patience.timeout:g} seconds'
    if step == _NEVER:
      raise ValueError(f'{workdir}: no {late}')
    if step == _LATE:
      _say(f'{workdir}: no new {late}; run again to go on', '')
    if step in (_OVER, _LATE):
      return
    if step == _NOTHING:
      told = _say(f'{workdir}: {_missing(workdir, seen)}', told)
      if sharding.leads():  # The others wait for its word.
        time.sleep(patience.poll)
      continue
    seen.add(step)
    yield step
    since = time.monotonic()


def newest(workdir: pathlib.Path) -> int:
  """The step of the newest checkpoint, the same on all processes.

  Raises:
    ValueError: there is none.
  """
  step = checkpoint.newest(workdir)
  if step is None:
    raise ValueError(f'{workdir}: no finished checkpoint there; train first')
  return step


def _next(
  workdir: pathlib.Path,
  patience: Patience,
  seen: set[int],
  done: Callable[[int], bool],
) -> int:
  """The next step to visit, or why there is none."""
  # In this order: what is there after the end is all that there will be.
  over = (workdir / REPORT).exists()
  found = checkpoint.finished(workdir)
  for step in found:
    wanted = step % patience.every == 0 or (over and step == found[-1])
    if wanted and step not in seen and not done(step):
      return step
  return _OVER if over else _NOTHING


def _missing(workdir: pathlib.Path, seen: set[int]) -> str:
  """What is waited for."""
  if not workdir.is_dir():
    return 'no such folder yet; waiting for a run to begin there'
  return f'waiting for its {"next" if seen else "first"} checkpoint'


def _say(line: str, told: str) -> str:
  """Prints a line once, on one process; the line."""
  if line != told and sharding.leads():
    print(line, flush=True)
  return line
