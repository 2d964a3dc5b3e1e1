"""Rows dealt out to the devices that share them, so that all see as much.

Late queries see more than early ones. Of `2 D` stretches of a row device `d` of
`D` gets stretch `d` and stretch `2 D - 1 - d`, one early and one late, as Llama
3 was trained (Llama Team, 2024, 3.3.2). Words and chunks say their own places
and may stand in any order. But kernels leave out most of what no query sees
only where keys lie in time order (`nn/flash_blocks`): so those are put back.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from tv2tv_jax import sharding
from tv2tv_jax.interleave import plan as plan_lib


class Dealt(NamedTuple):
  """Rows that were dealt out, which else are in time order.

  Attributes:
    devices: that share a row.
  """

  devices: int

  @property
  def stretches(self) -> list[int]:
    """Numbers of the stretches, two of each device after another."""
    last = 2 * self.devices - 1
    return [n for d in range(self.devices) for n in (d, last - d)]


# What is known of the order of rows: that of time, how they were dealt out, or
# nothing.
Order = plan_lib.Plan | Dealt | None


def among(*lengths: int) -> Dealt | None:
  """How rows with axes of these lengths are dealt out on the mesh that is set.

  None: they are not.
  """
  return between(sharding.devices_along('length'), *lengths)


def between(devices: int, *lengths: int) -> Dealt | None:
  """How rows with axes of these lengths are dealt out to so many devices.

  None: they are not, for there is one device, or stretches would differ.
  """
  equal = all(length % (2 * devices) == 0 for length in lengths)
  return Dealt(devices) if devices > 1 and equal else None


def out(x: jax.Array, dealt: Dealt | None, axis: int = 1) -> jax.Array:
  """What is in time order along an axis, dealt out."""
  if dealt is None:
    return x
  return _moved(x, dealt.stretches, axis)


def back(x: jax.Array, order: Order, axis: int = 1) -> jax.Array:
  """The inverse of `out`, along an axis that no devices split."""
  if not isinstance(order, Dealt):
    return x
  places = [order.stretches.index(n) for n in range(2 * order.devices)]
  return _moved(x, places, axis)


def whole(places: Any, order: Order) -> Any:
  """A tree of arrays, `B L`, of whole rows in time order on every device."""
  return jax.tree.map(lambda x: back(sharding.place(x, 'batch'), order), places)


def _moved(x: jax.Array, order: list[int], axis: int) -> jax.Array:
  """Equal stretches of an axis in another order."""
  stretches = jnp.split(x, len(order), axis)
  return jnp.concatenate([stretches[n] for n in order], axis)
