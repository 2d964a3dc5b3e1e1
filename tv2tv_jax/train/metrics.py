"""Numbers of a run, one JSON line a time.

A name before a slash says of what kind a number is: `pace/` and `session/` are
of the machine, `gradient_norm/` and `update_norm/` of parts of the model,
`held_out/` of an evaluation. What is no number (the mean over nothing) is left
out.
"""

from collections.abc import Callable, Mapping
import json
import math
import pathlib
from typing import Any

import jax

from tv2tv_jax import sharding
from tv2tv_jax.train import workdir as workdir_lib

NAME = 'metrics.jsonl'
BEGAN = 'session/began'  # Seconds since 1970.
# `(step, numbers)`: what else is told of each record.
Tell = Callable[[int, Mapping[str, float]], None]


def read(path: pathlib.Path) -> list[dict[str, Any]]:
  """The records of a metrics file, oldest first.

  Raises:
    ValueError: a line that is no JSON object, named by file and number.
  """
  return _parsed(path.read_text().splitlines(), path)


class Writer:
  """Appends records to `metrics.jsonl`; what a resumed run redoes is cut.

  It is the leader's: others write nothing, and know of nothing earlier.

  Attributes:
    steps_skipped: steps that were not finite, in the whole run.
  """

  def __init__(self, path: pathlib.Path, start: int, board: Tell | None = None):
    """Keeps the records up to step `start` of an earlier session.

    Args:
      path: the file.
      start: steps already in the checkpoint that the run goes on from.
      board: is told what is written.
    """
    self._path, self._board, self._kept = path, board, []
    if sharding.leads():
      if path.exists():
        # The last line may have been cut off with its process.
        complete = path.read_text().rpartition('\n')[0].splitlines()
        records = _parsed(complete, path)
        self._kept = [r for r in records if r['step'] <= start]
      text = ''.join(json.dumps(record) + '\n' for record in self._kept)
      workdir_lib.write_whole(path, text)
    self.steps_skipped = sum(r.get('skipped', 0) > 0 for r in self._kept)

  def first(self, name: str, default: float) -> float:
    """A number of the first record that has it."""
    return next((r[name] for r in self._kept if name in r), default)

  def last(self, name: str, default: float) -> float:
    """A number of the last record that has it."""
    return next((r[name] for r in self._kept[::-1] if name in r), default)

  def write(self, step: int, values: Mapping[str, Any]) -> None:
    """Appends one record, without what is not finite."""
    if not sharding.leads():
      return
    numbers = {
      name: float(value) for name, value in jax.device_get(dict(values)).items()
    }
    if 'skipped' in numbers:
      self.steps_skipped += numbers['skipped'] > 0
      numbers['steps_skipped'] = self.steps_skipped
    finite = {n: v for n, v in numbers.items() if math.isfinite(v)}
    with self._path.open('a') as file:
      file.write(json.dumps({'step': step} | finite) + '\n')
    if self._board:
      self._board(step, finite)


def _parsed(lines: list[str], path: pathlib.Path) -> list[dict[str, Any]]:
  """Lines of JSON as records; ValueError names the one that is none."""
  records = []
  for number, line in enumerate(lines, start=1):
    try:
      records.append(json.loads(line))
    except json.JSONDecodeError as error:
      raise ValueError(f'{path}:{number}: no JSON record: {error}') from error
  return records
