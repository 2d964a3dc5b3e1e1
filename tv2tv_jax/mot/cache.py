"""Keys and values of the clean timeline, in buffers of a fixed size.

A cache is a value: to fork a story is to use its cache twice. Rows fill their
slots at their own pace; noisy tokens never enter. What is seen of a slot is
what its place says, so that padding may lie between tokens.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tv2tv_jax.interleave import timeline
from tv2tv_jax.mot import tower


class Memory(NamedTuple):
  """Keys and values of a stretch of tokens, a leading axis per layer.

  Within one layer, as in a scan over layers, the leading axis is gone.
  """

  key: Float[Array, '*layers B K S H']
  value: Float[Array, '*layers B K S H']


class Cache(NamedTuple):
  """The past of a batch of stories.

  Attributes:
    memory: keys and values of all slots.
    places: of the slots on the timeline; empty slots are padding.
    length: slots filled, for each row.
  """

  memory: Memory
  places: timeline.Timeline
  length: Int[Array, 'B']


def empty(
  config: tower.MotConfig, batch: int, slots: int, dtype: jnp.dtype
) -> Cache:
  """A cache of stories that have not begun."""
  shape = (config.depth, batch, config.key_heads, slots, config.head_width)
  zeros = jnp.zeros((batch, slots), jnp.int32)
  return Cache(
    memory=Memory(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype)),
    places=timeline.Timeline(zeros, zeros, zeros + timeline.CLEAN, zeros - 1),
    length=jnp.zeros(batch, jnp.int32),
  )


def appended(cache: Cache, memory: Memory, places: timeline.Timeline) -> Cache:
  """The cache with new tokens after each row's last.

  Args:
    cache: the past; it must have room for all new tokens of every row, which
      the caller sees to: slots are static, and a write beyond the last one is
      moved back by XLA.
    memory: keys and values of the new tokens.
    places: of the new tokens. Padding (a negative story) takes slots that none
      sees; a row of nothing else takes none.
  """

  def write(buffer: jax.Array, new: jax.Array, start: jax.Array) -> jax.Array:
    axis = max(0, buffer.ndim - 2)  # Tokens: `S` alone, or `K S H`.
    return jax.lax.dynamic_update_slice_in_dim(buffer, new, start, axis)

  layered = jax.vmap(jax.vmap(write), in_axes=(0, 0, None))
  filled = jax.tree.map(
    lambda buffer, new: layered(buffer, new.astype(buffer.dtype), cache.length),
    cache.memory,
    memory,
  )
  seen = jax.tree.map(
    lambda buffer, new: jax.vmap(write)(buffer, new, cache.length),
    cache.places,
    places,
  )
  new = jnp.any(places.story >= 0, axis=1)
  return Cache(filled, seen, cache.length + new * places.story.shape[1])
