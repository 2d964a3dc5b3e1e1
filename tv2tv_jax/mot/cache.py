"""Keys and values of the clean timeline, in buffers of a fixed size.

A cache is a value: to fork a story is to use its cache twice. Rows fill their
slots at their own pace, without gaps; noisy tokens never enter. What is seen of
a slot is what its place says.
"""

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tv2tv_jax import per_device
from tv2tv_jax import sharding
from tv2tv_jax.interleave import streams as streams_lib
from tv2tv_jax.interleave import timeline
from tv2tv_jax.mot import past
from tv2tv_jax.mot import tower


class Memory(NamedTuple):
  """Keys and values of a stretch of tokens, a leading axis per layer.

  Within one layer, as in a scan over layers, the leading axis is gone.
  """

  key: Float[Array, '*layers B K S H']
  value: Float[Array, '*layers B K S H']


_ROWS = ('batch',)  # What splits whatever rows have: a logical axis.

# Of all layers: a leading axis, or one after another where they are apart.
Layers: TypeAlias = Memory | tuple[Memory, ...]


class Cache(NamedTuple):
  """The past of a batch of stories.

  Attributes:
    memory: keys and values of all slots, in each layer.
    places: of the slots on the timeline; empty slots are padding.
    length: slots filled, for each row.
    draft: what was read after it and may be dropped, in buffers of its own,
      which are small: all that is read goes there, where there is one.
  """

  memory: Layers
  places: timeline.Timeline
  length: Int[Array, 'B']
  draft: 'Cache | None' = None

  @property
  def pieces(self) -> list['Cache']:
    """The cache, and its draft if it has one."""
    return [self] if self.draft is None else [self, self.draft]


def empty(
  config: tower.MotConfig, batch: int, slots: int, dtype: jnp.dtype
) -> Cache:
  """A cache of stories that have not begun, with so many slots or a few more.

  Where they are more than a block, they are whole blocks (`mot.past`).
  """
  slots = past.in_whole_blocks(slots)
  shape = (batch, config.key_heads, slots, config.head_width)
  zeros = _placed(jnp.zeros((batch, slots), jnp.int32))

  def nothing(*layers: int) -> Memory:
    return Memory(
      *(_placed(jnp.zeros((*layers, *shape), dtype)) for _ in range(2))
    )

  return Cache(
    memory=tuple(nothing() for _ in range(config.depth))
    if config.apart
    else nothing(config.depth),
    places=timeline.Timeline(zeros, zeros, zeros + timeline.CLEAN, zeros - 1),
    length=_placed(jnp.zeros(batch, jnp.int32)),
  )


def appended(cache: Cache, memory: Layers, places: timeline.Timeline) -> Cache:
  """The cache with new tokens after each row's last.

  Args:
    cache: the past; it must have room for all new tokens of every row, which
      the caller sees to: slots are static, and a write beyond the last one is
      moved back by XLA.
    memory: keys and values of the new tokens.
    places: of the new tokens. Padding (a negative story) comes after them and
      takes no slot: what is read next is written over it.
  """
  if cache.draft is not None:
    return cache._replace(draft=appended(cache.draft, memory, places))
  buffers = (cache.memory, cache.places)
  layout = jax.tree.map(_axes, buffers)
  new = per_device.laid_out(layout, (memory, places))
  write = per_device.computed(_written, (layout, layout, _ROWS), layout)
  filled, seen = write(buffers, new, cache.length)
  count = jnp.sum(new[1].story >= 0, axis=1, dtype=cache.length.dtype)
  return Cache(filled, seen, cache.length + count)


def beside(one: Cache, other: Cache) -> Cache:
  """Two batches as one: the first row of each, then the second of each."""
  return jax.tree.map(
    lambda a, b: streams_lib.woven([a, b], axis=rows_axis(a)), one, other
  )


def rows_axis(part: jax.Array) -> int:
  """Where the rows of a part of a cache are: first, or after its layers."""
  return int(part.ndim == 5)


def _placed(part: jax.Array) -> jax.Array:
  """A part of a cache where it belongs."""
  return sharding.place(part, *_axes(part))


def _axes(part: jax.Array) -> tuple[str, ...]:
  """What splits a part of a cache: logical axes."""
  heads = ('heads',) if part.ndim >= 4 else ()
  return (*('layers',) * rows_axis(part), *_ROWS, *heads)


def _written(
  buffers: tuple[Layers, timeline.Timeline],
  new: tuple[Layers, timeline.Timeline],
  length: Int[Array, 'B'],
) -> tuple[Layers, timeline.Timeline]:
  """The buffers with new tokens after so many."""

  def row(buffer: jax.Array, new: jax.Array, start: jax.Array) -> jax.Array:
    axis = max(0, buffer.ndim - 2)  # Tokens: `S` alone, or `K S H`.
    return jax.lax.dynamic_update_slice_in_dim(buffer, new, start, axis)

  rows = jax.vmap(row)
  layered = jax.vmap(rows, in_axes=(0, 0, None))

  def fill(buffer: jax.Array, new: jax.Array) -> jax.Array:
    each = layered if rows_axis(buffer) else rows
    return each(buffer, new.astype(buffer.dtype), length)

  return jax.tree.map(fill, buffers, new)
