"""A story being told: what has been read so far, and what may come next."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.mot import cache as cache_lib
from tv2tv_jax.tv2tv import model as model_lib


class DecodeState(NamedTuple):
  """A batch of stories up to now. A value: to fork is to use it twice.

  Attributes:
    cache: keys and values of all that was read.
    place: the next place on each row's timeline.
    logits: scores of each row's next token.
  """

  cache: cache_lib.Cache
  place: Int[Array, 'B']
  logits: Float[Array, 'B V']


def begun(
  config: model_lib.ModelConfig, *, batch: int, slots: int
) -> DecodeState:
  """Stories of which nothing was read."""
  dtype = jnp.dtype(config.dtype)
  return DecodeState(
    cache_lib.empty(config.towers, batch, slots, dtype),
    jnp.zeros(batch, jnp.int32),
    jnp.zeros((batch, config.vocabulary)),
  )


def read_text(
  model: model_lib.Tv2tv,
  state: DecodeState,
  tokens: Int[Array, 'B L'],
  count: Int[Array, 'B'],
) -> DecodeState:
  """Appends the first `count` tokens of each row."""
  position = jnp.arange(tokens.shape[1], dtype=jnp.int32)
  story = jnp.where(position < count[:, None], 0, story_lib.NOBODY)
  text = model_lib.Text(tokens, state.place[:, None] + position, story)
  out = model(text, cache=state.cache)
  last = jnp.maximum(count - 1, 0)[:, None, None]
  logits = jnp.take_along_axis(out.logits, last, axis=1)[:, 0]
  return DecodeState(
    cache_lib.appended(state.cache, out.memory, out.places),
    state.place + count,
    jnp.where(count[:, None] > 0, logits, state.logits),
  )


def read_chunk(
  model: model_lib.Tv2tv,
  state: DecodeState,
  latent: Float[Array, 'B Y X Z'],
  active: Int[Array, 'B'],
) -> DecodeState:
  """Appends one clean chunk to each row that is `active` (1, else 0)."""
  chunk = model_lib.Chunks(
    latents=latent[:, None],
    t=jnp.ones((latent.shape[0], 1)),
    index=state.place[:, None],
    story=active[:, None] - 1,
  )
  out = model(clean=chunk, cache=state.cache)
  return DecodeState(
    cache_lib.appended(state.cache, out.memory, out.places),
    state.place + active * model.config.span,
    state.logits,
  )


def read_row(
  model: model_lib.Tv2tv,
  row: story_lib.Row,
  latents: Float[Array, 'B N Y X Z'],
  *,
  slots: int,
) -> DecodeState:
  """Reads whole stories, laid out as in training, in one pass.

  Every story ends with a text token; a chunk's memory never depends on what
  comes after it, so this is what token by token gives.
  """
  text = model_lib.Text(row.tokens, row.index, row.story)
  clean = model_lib.Chunks(
    latents, jnp.ones(latents.shape[:2]), row.chunk_index, row.chunk_story
  )
  out = model(text, clean)
  state = begun(model.config, batch=latents.shape[0], slots=slots)
  length = row.tokens.shape[1]
  cache = state.cache
  for part in (slice(None, length), slice(length, None)):
    memory = jax.tree.map(lambda a, part=part: a[:, :, :, part], out.memory)
    places = jax.tree.map(lambda a, part=part: a[:, part], out.places)
    cache = cache_lib.appended(cache, memory, places)
  last = jnp.sum(row.story >= 0, axis=1) - 1
  logits = jnp.take_along_axis(out.logits, last[:, None, None], axis=1)[:, 0]
  place = jnp.take_along_axis(row.index, last[:, None], axis=1)[:, 0] + 1
  return DecodeState(cache, place, logits)


def beside(one: DecodeState, other: DecodeState) -> cache_lib.Cache:
  """The caches of two batches as one batch."""
  memory = jax.tree.map(
    lambda a, b: jnp.concatenate([a, b], axis=1),
    one.cache.memory,
    other.cache.memory,
  )
  rest = jax.tree.map(
    lambda a, b: jnp.concatenate([a, b]), one.cache[1:], other.cache[1:]
  )
  return cache_lib.Cache(memory, *rest)
