"""Attention to the past, whose cost is that of what was read, not of its room.

The buffers of a cache have slots for the longest story. They are looked at in
blocks, from the first to the last that any row has filled: one program for any
length. A block of which a row sees nothing leaves what that row has seen as it
is, to the bit, so that no row depends on how long its neighbours are.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tv2tv_jax.interleave import streams as streams_lib
from tv2tv_jax.interleave import timeline
from tv2tv_jax.mot import tower
from tv2tv_jax.nn import attention
from tv2tv_jax.nn import flash

# Slots of the smallest block, and blocks of a buffer at most (choices, see
# DECISIONS.md): small ones follow the length of a story closely, large ones
# make larger products.
BLOCK = 128
_MOST = 16

# What queries see of some keys, as the engine of attention wants to know it: as
# what is added to their scores, or as integers.
Seen = Float[Array, 'B _ _'] | flash.Seen
Keyed = tuple[Float[Array, '... _ _'], Float[Array, '... _ _']]


def seen(
  config: tower.MotConfig,
  queries: timeline.Timeline,
  groups: Sequence[timeline.Timeline],
) -> tuple[Seen, ...]:
  """Which keys queries see of each group, or of all groups as one (`flash`).

  Args:
    config: how far tokens see, and by which engine.
    queries: their places.
    groups: places of the keys.
  """
  if config.attention == 'flash':
    keys = streams_lib.joined_places(*groups)
    return (flash.Seen(queries.horizon, queries.story, keys.index, keys.story),)
  far = dict(window=config.window, sink=config.sink)
  return tuple(
    attention.bias(timeline.visible(queries, keys, **far)) for keys in groups
  )


def parts(
  query: Float[Array, '... K G Q H'],
  cached: Sequence[Keyed],
  own: Sequence[Keyed],
  seen: Sequence[Float[Array, '... _ _']],
  filled: Int[Array, ''] | None,
) -> list[attention.Part]:
  """Attention to each group of keys of the past.

  Args:
    query: queries.
    cached: keys and values of a cache, and of its draft.
    own: keys and values of text and of clean video, one group together.
    seen: what is added to the scores of each group.
    filled: slots of the cache that any row has filled.
  """
  groups = list(cached)
  if own:
    groups.append(
      tuple(
        streams_lib.joined(*each, axis=-2) for each in zip(*own, strict=True)
      )
    )
  found = []
  if cached:
    found.append(in_blocks(query, *groups[0], seen[0], filled))
  rest = slice(len(found), None)
  for keyed, bias in zip(groups[rest], seen[rest], strict=True):
    found.append(attention.attended(query, *keyed, bias))
  return found


def block_of(slots: int) -> int:
  """Slots of a block of a buffer of so many."""
  return BLOCK * -(-slots // (BLOCK * _MOST))


def in_whole_blocks(slots: int) -> int:
  """So many slots, or a few more where they are blocks."""
  block = block_of(slots)
  return slots if slots <= BLOCK else -(-slots // block) * block


def in_blocks(
  query: Float[Array, '... K G Q H'],
  key: Float[Array, '... K S H'],
  value: Float[Array, '... K S H'],
  bias: Float[Array, '... Q S'],
  filled: Int[Array, ''],
) -> attention.Part:
  """Attention to the slots of a buffer; it has no gradient.

  Args:
    query: queries.
    key: of all slots, as many as `in_whole_blocks`.
    value: of all slots.
    bias: added to the scores.
    filled: slots that any row has filled; what is behind them is not seen.
  """
  slots = key.shape[-2]
  size = block_of(slots)
  if slots <= size:
    return attention.attended(query, key, value, bias)

  def block(number: Int[Array, '']) -> attention.Part:
    def cut(x: jax.Array, axis: int) -> jax.Array:
      begin = number * size
      return jax.lax.dynamic_slice_in_dim(x, begin, size, x.ndim + axis)

    keyed = cut(key, -2), cut(value, -2)
    return attention.attended(query, *keyed, cut(bias, -1))

  return jax.lax.fori_loop(
    1,
    (filled + size - 1) // size,
    lambda number, before: _both(before, block(number)),
    block(jnp.zeros_like(filled)),
  )


def _both(one: attention.Part, other: attention.Part) -> attention.Part:
  """Attention to two groups of keys as to one (`nn.attention`, 1)."""
  largest = jnp.maximum(one.weight, other.weight)
  weights = [jnp.exp(part.weight - largest) for part in (one, other)]
  total = sum(weights)
  mean = sum(
    (weight / total)[..., None] * part.mean
    for weight, part in zip(weights, (one, other), strict=True)
  )
  return attention.Part(mean, largest + jnp.log(total))
