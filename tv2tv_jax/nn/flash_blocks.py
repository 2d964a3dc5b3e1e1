"""Rows cut into blocks, and which pairs of blocks hold something to see.

A pair of a block of queries and a block of keys is skipped if the smallest and
largest integers of both say that no query of one sees any key of the other. In
rows in time order that is every pair that the mask forbids; in any other order
fewer are skipped, and nothing is wrong.
"""

import dataclasses
import math
from typing import Literal, NamedTuple

import jax
from jax.experimental import pallas as pl
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# What a pair of blocks needs: nothing, the mask, or no mask.
HIDDEN, PARTLY, WHOLLY = 0, 1, 2

LAST = jnp.iinfo(jnp.int32).max  # The place of keys that none may see.
LANES = 128  # Numbers side by side in a register of a TPU.


class Seen(NamedTuple):
  """Who sees whom: `index < horizon` of one story, and what a window leaves.

  Attributes:
    horizon: a query sees keys before this.
    query_story: the story of each query.
    index: the place of each key.
    key_story: the story of each key; negative: seen by none.
  """

  horizon: Int[Array, 'B Q']
  query_story: Int[Array, 'B Q']
  index: Int[Array, 'B S']
  key_story: Int[Array, 'B S']


@dataclasses.dataclass(frozen=True, kw_only=True)
class How:
  """What a call is compiled for.

  Attributes:
    window: places before its horizon that a query sees; 0: all of them.
    sink: first places of a story that stay in sight behind the window.
    sizes: tokens of a block of queries and of one of keys, at most.
    elsewhere: what computes it where there is no TPU: the kernels, step by
      step, or what stands in `attention`.
  """

  window: int = 0
  sink: int = 0
  sizes: tuple[int, int] = (512, 1024)
  elsewhere: Literal['interpreted', 'dense'] = 'dense'


class Cut(NamedTuple):
  """Rows padded to whole blocks.

  Attributes:
    query: scaled so that scores are logarithms to base 2, which saves a
      multiplication per score.
    key: keys.
    value: values.
    looking: horizon and story of the queries.
    looked: place and story of the keys; `LAST` where none may look.
    kinds: what each pair of blocks needs.
    lengths: queries and keys before they were padded.
  """

  query: Float[Array, 'B K G Q H']
  key: Float[Array, 'B K S H']
  value: Float[Array, 'B K S H']
  looking: Int[Array, 'B 2 Q']
  looked: Int[Array, 'B 2 S']
  kinds: Int[Array, 'B I J']
  lengths: tuple[int, int]


def scale(width: int) -> float:
  """What scores are multiplied by before the softmax."""
  return width**-0.5


def cut(
  query: Float[Array, '*B K G Q H'],
  key: Float[Array, '*B K S H'],
  value: Float[Array, '*B K S H'],
  seen: Seen | None,
  how: How,
) -> Cut:
  """The rows in whole blocks."""
  query = query.reshape(-1, *query.shape[-4:])
  key, value = (x.reshape(-1, *x.shape[-3:]) for x in (key, value))
  if seen is None:
    # Heads of a group as more queries: less is padded.
    query = query.reshape(*query.shape[:2], 1, -1, query.shape[-1])
    queries, keys = (
      jnp.zeros((len(x), x.shape[-2]), jnp.int32) for x in (query, key)
    )
    seen = Seen(queries + 1, queries, keys, keys)
  lengths = (query.shape[3], key.shape[2])
  # Blocks of all heads of a group share VMEM.
  queries = _size(lengths[0], how.sizes[0] * 4 // max(query.shape[2], 4))
  keys = _size(lengths[1], how.sizes[1])
  looking, looked = integers(seen)
  # More of the last query: what its block sees stays as it is.
  looking = _padded(looking, 2, queries, mode='edge')
  looked = _padded(looked, 2, keys, constant_values=LAST)
  # In fp32, for the factor itself would be rounded, alike for all scores.
  factor = jnp.float32(scale(query.shape[-1]) * math.log2(math.e))
  scaled = (query * factor).astype(query.dtype)
  return Cut(
    _padded(scaled, 3, queries),
    _padded(key, 2, keys),
    _padded(value, 2, keys),
    looking,
    looked,
    _kinds(looking, looked, queries=queries, keys=keys, how=how),
    lengths,
  )


def integers(seen: Seen) -> tuple[Int[Array, 'B 2 Q'], Int[Array, 'B 2 S']]:
  """Horizons and stories of queries; places and stories of keys."""
  index = jnp.where(seen.key_story < 0, LAST, seen.index)
  return (
    jnp.stack([seen.horizon, seen.query_story], axis=1),
    jnp.stack([index, seen.key_story], axis=1),
  )


def like_queries(x: Float[Array, '*B K G Q H'], cut: Cut) -> jax.Array:
  """`x`, something of each query, cut as queries are."""
  x = x.reshape(*cut.query.shape[:3], cut.lengths[0], -1)
  return _padded(x, 3, cut.query.shape[3])


def _padded(x: jax.Array, axis: int, block: int, **kwargs) -> jax.Array:
  """`x` with more behind its end along `axis`, up to whole blocks."""
  pads = [(0, 0)] * x.ndim
  pads[axis] = (0, -x.shape[axis] % block)
  return jnp.pad(x, pads, **kwargs)


def _size(length: int, most: int) -> int:
  """The size of blocks of about one size, not much larger than `most`."""
  share = pl.cdiv(length, pl.cdiv(length, most))
  return pl.cdiv(share, LANES) * LANES


def _kinds(
  looking: Int[Array, 'B 2 Q'],
  looked: Int[Array, 'B 2 S'],
  *,
  queries: int,
  keys: int,
  how: How,
) -> Int[Array, 'B I J']:
  """What each pair of blocks needs, by the extremes of its integers."""
  rows = looking.shape[0]
  horizon, story = jnp.moveaxis(looking.reshape(rows, 2, -1, 1, queries), 1, 0)
  index, told = jnp.moveaxis(looked.reshape(rows, 2, 1, -1, keys), 1, 0)
  there = index < LAST
  first, end = horizon.min(axis=-1), horizon.max(axis=-1)
  low, high = story.min(axis=-1), story.max(axis=-1)
  early, late = index.min(axis=-1), index.max(axis=-1)
  least = told.min(axis=-1, where=there, initial=LAST)
  most = told.max(axis=-1, where=there, initial=-1)
  some = (early < end) & (least <= high) & (low <= most)
  every = (late < first) & (low == high) & (least == most) & (low == least)
  if how.window:
    latest = index.max(axis=-1, where=there, initial=-LAST)
    some &= (latest >= first - how.window) | (early < how.sink)
    every &= (early >= end - how.window) | (late < how.sink)
  return jnp.where(every, WHOLLY, jnp.where(some, PARTLY, HIDDEN))


def visible(looking, looked, how: How) -> jax.Array:
  """Which keys (down) a block's queries (across) see.

  Args:
    looking: horizon and story, `2 Q`.
    looked: place and story, `2 S`.
    how: how far.
  """
  horizon, story = looking[0:1], looking[1:2]
  index, told = (each[:, None] for each in (looked[0], looked[1]))
  found = (index < horizon) & (told == story)
  if how.window:
    found &= (index >= horizon - how.window) | (index < how.sink)
  return found
