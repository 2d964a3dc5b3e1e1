"""The batches of a run: on their way early, and never lost count of."""

from collections.abc import Mapping
import json
import pathlib
import sys
from typing import Any, NamedTuple

import tqdm

from tv2tv_jax import sharding


class Data(NamedTuple):
  """What a run learns from.

  Attributes:
    batches: an iterator of batches of numpy arrays, each with this process's
      rows, that has `get_state` and `set_state` of JSON.
    recipe: all that the batches depend on, as JSON. A run does not go on with
      batches of another recipe,
    reset: unless this is set: then they begin anew.
  """

  batches: Any
  recipe: Mapping[str, Any] = {}
  reset: bool = False


def data(batches: Any) -> Data:
  """The batches alone as the whole of it."""
  return batches if isinstance(batches, Data) else Data(batches)


class Feed:
  """Batches on their devices, the next one while the last is in use.

  Its state is that after the last batch that was used: one that is only on its
  way comes again when a run goes on.
  """

  def __init__(self, data: Data):
    """Takes over `data.batches`."""
    self._batches, self._reset = data.batches, data.reset
    self._recipe = json.loads(json.dumps(dict(data.recipe)))
    self._state = self._batches.get_state()
    self._ready = None

  def __next__(self) -> Any:
    self.fetch()
    (batch, self._state), self._ready = self._ready, None
    return batch

  def fetch(self) -> None:
    """Sends the next batch on its way, unless it is."""
    if self._ready is None:
      batch = sharding.put_batch(next(self._batches))
      self._ready = batch, self._batches.get_state()

  def saved(self) -> dict[str, Any]:
    """What a checkpoint keeps."""
    return {'state': self._state, 'recipe': self._recipe}

  def restore(self, saved: Mapping[str, Any], where: pathlib.Path) -> None:
    """Goes on from what a checkpoint of `where` kept.

    Raises:
      ValueError: it is of other data; names every difference.
    """
    lines = differences(self._recipe, saved['recipe'])
    if not lines:
      self._state = saved['state']
      self._batches.set_state(self._state)
      return
    found = '; '.join(lines)
    if not self._reset:
      raise ValueError(
        f'{where}: its checkpoint was trained on other data: {found}. Give the '
        'data it was, or --reset_data to begin with these from their start'
      )
    tqdm.tqdm.write(
      f'{where}: THE DATA BEGIN ANEW, for they are others: {found}',
      file=sys.stderr,
    )


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
  """One line for every name whose value differs."""
  return [
    f'{name} is {one.get(name)!r}, was {other.get(name)!r}'
    for name in sorted(one.keys() | other.keys())
    if one.get(name) != other.get(name)
  ]
