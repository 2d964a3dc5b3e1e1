"""A source of noise whose units fail, die and drop as they are told."""

from collections.abc import Iterator
import dataclasses
import os
import pathlib
import signal
from typing import Any, ClassVar

import numpy as np

from data_pipelines.sources import source

RATE = 8.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiny:
  """Unit `n` has `n % 3` takes of 9 to 12 frames; some are for testing.

  Attributes:
    count: of units.
    desk: folder in which a file `n` says how often unit `n` was begun, and
      others which processes did it; `bad-n`, `deadly-n` and `silent-n` make the
      second take of a unit an error, a death, or what no server answers for.
    fields: of every film.
  """

  name: ClassVar[str] = 'tiny'

  count: int = 7
  desk: str
  fields: dict[str, Any] = dataclasses.field(default_factory=dict)

  def units(self) -> list[source.Unit]:
    return [source.Unit(f'u{n}', n % 4 == 2, n) for n in range(self.count)]

  def takes(self, unit: source.Unit) -> Iterator[source.Film | source.Dropped]:
    number, desk = unit.work, pathlib.Path(self.desk)
    with (desk / str(number)).open('a') as log:
      log.write('.')
    (desk / f'process-{os.getpid()}').touch()
    for index in range(number % 3):
      if index and (desk / f'deadly-{number}').exists():
        os.kill(os.getpid(), signal.SIGKILL)
      if index and (desk / f'bad-{number}').exists():
        raise ValueError(f'file {number}, record {index}: size is 0')
      if index and (desk / f'silent-{number}').exists():
        raise source.NoAnswerError(f'server: nothing came for file {number}')
      yield film(number * 10 + index, **self.fields)
    if number == 0:
      yield source.Dropped('u0-still', 'still', 'motion is 0.0')

  def recipe(self) -> dict[str, Any]:
    return {'count': self.count, 'sizes': (16, 16)}

  def begun(self) -> str:
    """How often each unit was begun, such as '0121111'."""
    logs = (pathlib.Path(self.desk, str(n)) for n in range(self.count))
    return ''.join(
      str(len(log.read_text()) if log.exists() else 0) for log in logs
    )


def film(seed: int, **fields: Any) -> source.Film:
  """Some frames of noise with words over all of them."""
  rng = np.random.default_rng(seed)
  count = 9 + seed % 4
  end = count / RATE
  given = {
    'name': f'take-{seed}',
    'frames': rng.integers(0, 256, (count, 16, 16, 3), np.uint8),
    'rate': RATE,
    'segments': [
      {'start': 0.0, 'end': end, 'kind': 'prompt', 'text': 'noise'},
      {'start': 0.25, 'end': end, 'kind': 'caption', 'text': f'more {seed}'},
    ],
    'origin': f'file-{seed // 10}',
    'details': {'seed': seed},
  }
  return source.Film(**{**given, **fields})
