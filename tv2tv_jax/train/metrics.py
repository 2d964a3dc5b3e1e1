"""Numbers of a run, one JSON line a time."""

from collections.abc import Mapping
import json
import math
import pathlib
from typing import Any


def read(path: pathlib.Path) -> list[dict[str, Any]]:
  """The records of a metrics file, oldest first.

  Raises:
    ValueError: a line that is no JSON object, named by file and number.
  """
  records = []
  for number, line in enumerate(path.read_text().splitlines(), start=1):
    try:
      records.append(json.loads(line))
    except json.JSONDecodeError as error:
      raise ValueError(f'{path}:{number}: no JSON record: {error}') from error
  return records


class Writer:
  """Appends records to `metrics.jsonl`; what a resumed run redoes is cut."""

  def __init__(self, path: pathlib.Path, start: int):
    """Keeps the records before step `start` of an earlier run.

    Args:
      path: the file.
      start: steps already in the checkpoint that the run goes on from.
    """
    kept = []
    if path.exists():
      complete = path.read_text().rpartition('\n')[0].splitlines()
      kept = [line for line in complete if json.loads(line)['step'] <= start]
    path.write_text(''.join(line + '\n' for line in kept))
    self._path = path

  def write(self, step: int, values: Mapping[str, Any]) -> None:
    """Appends one record, without what is NaN: a mean over nothing.

    Raises:
      FloatingPointError: a loss that is not finite.
    """
    numbers = {name: float(value) for name, value in values.items()}
    record = {'step': step} | {
      name: number
      for name, number in numbers.items()
      if name == 'loss' or not math.isnan(number)
    }
    with self._path.open('a') as file:
      file.write(json.dumps(record) + '\n')
    if not math.isfinite(record.get('loss', 0.0)):
      raise FloatingPointError(
        f'the loss of step {step} is {record["loss"]}: lower '
        'config.train.optimizer.rate, or look at the data of that step'
      )
