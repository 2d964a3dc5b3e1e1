"""Who may look at whom, in four integers per token.

| query | sees (paper, sequence and mask) |
|---|---|
| a text token | text and clean chunks before it |
| clean chunk i | text and clean chunks before it, and itself both ways |
| noisy chunk i | text before it, clean chunks before i, and itself |

Nothing sees a noisy token but its own chunk, so noisy copies may be stored
anywhere; each borrows the places of the clean chunk it becomes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

CLEAN = -1  # The block of tokens that are in no noisy chunk.


class Timeline(NamedTuple):
  """Places of tokens in interleaved stories.

  Attributes:
    index: place on the clean timeline, and the position that RoPE turns by.
    horizon: the token sees the clean timeline up to, not including, this.
    block: the noisy chunk it belongs to, or `CLEAN`.
    story: the story of the row it belongs to; negative: padding, seen by none.
  """

  index: Int[Array, 'B S']
  horizon: Int[Array, 'B S']
  block: Int[Array, 'B S']
  story: Int[Array, 'B S']


def visible(
  query: Timeline, key: Timeline, *, window: int = 0, sink: int = 0
) -> Bool[Array, 'B Q S']:
  """True where `query` attends to `key`: its clean past, and its own chunk.

  Args:
    query: places of the tokens that look.
    key: places of the tokens that are looked at.
    window: places before its horizon that a query sees; 0: all of them.
    sink: first places of a story, its prompt say, that stay in sight however
      far the window has moved on.
  """
  q = jax.tree.map(lambda a: a[:, :, None], query)
  k = jax.tree.map(lambda a: a[:, None, :], key)
  clean_past = (k.block == CLEAN) & (k.index < q.horizon)
  if window:
    clean_past &= (k.index >= q.horizon - window) | (k.index < sink)
  own_chunk = (q.block != CLEAN) & (q.block == k.block)
  return (clean_past | own_chunk) & (q.story == k.story) & (k.story >= 0)


def of_text(index: Int[Array, 'B L'], story: Int[Array, 'B L']) -> Timeline:
  """Text tokens see what is before them, and themselves."""
  return Timeline(index, index + 1, jnp.full_like(index, CLEAN), story)


def of_clean(
  start: Int[Array, 'B N'], story: Int[Array, 'B N'], *, tokens: int, span: int
) -> Timeline:
  """Clean chunks see what is before their end.

  Args:
    start: place of each chunk's first token.
    story: story of each chunk.
    tokens: tokens of a chunk.
    span: places a chunk takes: `tokens`, or 1 where its tokens share one.

  Returns:
    The places of `N * tokens` tokens.
  """
  index = start[:, :, None] + _offsets(tokens, span)
  horizon = jnp.zeros_like(index) + start[:, :, None] + span
  return _flat(index, horizon, jnp.full_like(index, CLEAN), story)


def of_noisy(
  start: Int[Array, 'B N'], story: Int[Array, 'B N'], *, tokens: int, span: int
) -> Timeline:
  """Noisy chunks see what is before their start, and themselves.

  Arguments and result as for `of_clean`.
  """
  index = start[:, :, None] + _offsets(tokens, span)
  horizon = jnp.zeros_like(index) + start[:, :, None]
  chunk = jnp.arange(start.shape[1], dtype=start.dtype)
  block = jnp.zeros_like(index) + chunk[None, :, None]
  return _flat(index, horizon, block, story)


def _offsets(tokens: int, span: int) -> Int[Array, 'P']:
  """Places of a chunk's tokens after its first."""
  if span not in (1, tokens):
    raise ValueError(f'a chunk of {tokens} tokens takes 1 or {tokens} places')
  return jnp.arange(tokens, dtype=jnp.int32) * (span > 1)


def _flat(
  index: Int[Array, 'B N P'],
  horizon: Int[Array, 'B N P'],
  block: Int[Array, 'B N P'],
  story: Int[Array, 'B N'],
) -> Timeline:
  """Chunks of tokens as one stream of tokens."""
  story = jnp.zeros_like(index) + story[:, :, None]
  parts = (index, horizon, block, story)
  return Timeline(*(part.reshape(part.shape[0], -1) for part in parts))
