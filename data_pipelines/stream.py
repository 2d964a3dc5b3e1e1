"""Endless batches by their number, of which every host reads its share.

The state of a stream is how many batches were drawn. Hosts read their own rows
of every batch; how many hosts there are changes no batch, and a stream goes on
on any number of them.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol, TypeVar

import grain
import numpy as np

_AHEAD = 4  # batches that wait; they may be large

Row = TypeVar('Row', covariant=True)


class Share(NamedTuple):
  """The part of every batch that a host reads: an equal one, in order."""

  host: int = 0
  hosts: int = 1

  @classmethod
  def of(cls, rows: range, batch: int) -> 'Share':
    """The share of a host that needs these rows of every batch."""
    return cls(rows.start // len(rows), batch // len(rows))


ALL = Share()


class Stream(Iterator[dict[str, np.ndarray]]):
  """An endless stream of batches that goes on from any of them."""

  def __init__(
    self,
    batches: grain.MapDataset,
    *,
    threads: int = 2,
    workers: int = 0,
    left_out: int = 0,
  ):
    """Reads nothing yet.

    Args:
      batches: by their number.
      threads: that read ahead, of this process or of each worker.
      workers: processes that do so; 0: this one.
      left_out: how many clips fit no row.
    """
    self._batches, self._threads, self._workers = batches, threads, workers
    self._drawn, self._ahead = 0, None
    self.left_out = left_out

  def __next__(self) -> dict[str, np.ndarray]:
    if self._ahead is None:
      # Not from a state of Grain's, which would depend on the workers.
      left = self._batches.slice(slice(self._drawn, None))
      self._ahead = iter(read(left, self._threads, self._workers))
    batch = next(self._ahead)
    self._drawn += 1
    return batch

  def get_state(self) -> dict[str, int]:
    """How many batches were drawn."""
    return {'batches': self._drawn}

  def set_state(self, state: Mapping[str, int]) -> None:
    """Goes on after so many batches."""
    self.close()
    self._drawn = int(state['batches'])

  def close(self) -> None:
    """Ends what reads ahead; the next batch begins it again."""
    if self._ahead is not None:
      self._ahead.close()
    self._ahead = None


def read(
  batches: grain.MapDataset, threads: int, workers: int = 0
) -> grain.IterDataset:
  """Batches, read ahead by threads of this process or of others."""
  options = grain.ReadOptions(threads, prefetch_buffer_size=_AHEAD)
  ahead = batches.to_iter_dataset(options)
  if not workers:
    return ahead
  return ahead.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))


class Rows(Protocol[Row]):
  """Rows by their number."""

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> Row: ...


class Mine:
  """The rows of every batch that a host reads, by the number of the batch."""

  def __init__(self, rows: Rows[Row], batch: int, share: Share):
    """Checks that batches can be shared out equally."""
    if batch < 1:
      raise ValueError(f'batch is {batch}; it must be at least 1')
    if batch % share.hosts or not 0 <= share.host < share.hosts:
      raise ValueError(
        f'host {share.host} of {share.hosts}: batches of {batch} rows are read '
        'in equal shares; give a multiple of the number of hosts'
      )
    self._rows, self._batch = rows, batch
    size = batch // share.hosts
    self._places = range(share.host * size, (share.host + 1) * size)
    rows[0]  # Before there are threads: Grain sets something up.

  def __len__(self) -> int:
    return len(self._rows) // self._batch

  def __getitem__(self, index: int) -> list[Row]:
    begin = index * self._batch
    return [self._rows[begin + place] for place in self._places]

  def __repr__(self) -> str:
    return f'{self._rows!r}: {self._places} of {self._batch}'
