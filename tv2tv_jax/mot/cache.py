"""Keys and values of the clean timeline, in buffers of a fixed size.

A cache is a value: to fork a story is to use its cache twice. Rows fill their
slots at their own pace, without gaps; noisy tokens never enter. What is seen of
a slot is what its place says.
"""

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tv2tv_jax.interleave import timeline
from tv2tv_jax.mot import past
from tv2tv_jax.mot import tower


class Memory(NamedTuple):
  """Keys and values of a stretch of tokens, a leading axis per layer.

  Within one layer, as in a scan over layers, the leading axis is gone.
  """

  key: Float[Array, '*layers B K S H']
  value: Float[Array, '*layers B K S H']


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
  zeros = jnp.zeros((batch, slots), jnp.int32)

  def nothing(*layers: int) -> Memory:
    return Memory(*(jnp.zeros((*layers, *shape), dtype) for _ in range(2)))

  return Cache(
    memory=tuple(nothing() for _ in range(config.depth))
    if config.apart
    else nothing(config.depth),
    places=timeline.Timeline(zeros, zeros, zeros + timeline.CLEAN, zeros - 1),
    length=jnp.zeros(batch, jnp.int32),
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

  def write(buffer: jax.Array, new: jax.Array, start: jax.Array) -> jax.Array:
    axis = max(0, buffer.ndim - 2)  # Tokens: `S` alone, or `K S H`.
    return jax.lax.dynamic_update_slice_in_dim(buffer, new, start, axis)

  rows = jax.vmap(write)
  layered = jax.vmap(rows, in_axes=(0, 0, None))

  def fill(buffer: jax.Array, new: jax.Array) -> jax.Array:
    each = rows if buffer.ndim == 4 else layered
    return each(buffer, new.astype(buffer.dtype), cache.length)

  filled = jax.tree.map(fill, cache.memory, memory)
  seen = jax.tree.map(
    lambda buffer, new: jax.vmap(write)(buffer, new, cache.length),
    cache.places,
    places,
  )
  new = jnp.sum(places.story >= 0, axis=1, dtype=cache.length.dtype)
  return Cache(filled, seen, cache.length + new)
