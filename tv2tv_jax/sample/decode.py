"""A story being told: what has been read so far, and what may come next.

Words and chunks are read in blocks of fixed sizes, padded where there are
fewer, so that what is known of a story depends on what it is, never on how it
came about: written by the model, put in by a person, or read once more.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from tv2tv_jax import sharding
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.interleave import streams as streams_lib
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
    sharding.place(jnp.zeros(batch, jnp.int32), 'batch'),
    sharding.place(jnp.zeros((batch, config.vocabulary)), 'batch'),
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
  last = position == jnp.maximum(count - 1, 0)[:, None]
  logits = jnp.sum(out.logits, axis=1, where=last[..., None])
  return DecodeState(
    cache_lib.appended(state.cache, out.memory, out.places),
    sharding.place(state.place + count, 'batch'),
    _following(count > 0, logits, state),
  )


def read_chunk(
  model: model_lib.Tv2tv,
  state: DecodeState,
  latent: Float[Array, 'B Y X Z'],
  active: Int[Array, 'B'],
  eof: int,
) -> DecodeState:
  """Appends a clean chunk, and the EOF after it, to each row that is `active`.

  Args:
    model: the model.
    state: the stories, each after the BOF of the chunk.
    latent: normalised.
    active: 1 for a row that gets its chunk, else 0.
    eof: the token.
  """
  story = active[:, None] - 1
  place, after = (state.place[:, None] + n for n in (0, model.config.span))
  out = model(
    model_lib.Text(jnp.full_like(story, eof), after, story),
    model_lib.Chunks(latent[:, None], jnp.ones(story.shape), place, story),
    cache=state.cache,
  )
  return DecodeState(
    cache_lib.appended(state.cache, out.memory, out.places),
    sharding.place(state.place + active * (model.config.span + 1), 'batch'),
    _following(active > 0, out.logits[:, 0], state),
  )


def _following(
  read: Bool[Array, 'B'], logits: Float[Array, 'B V'], state: DecodeState
) -> Float[Array, 'B V']:
  """Scores of the next token: new ones of rows that were read, whole."""
  logits = sharding.place(logits, 'batch')
  return jnp.where(read[:, None], logits, state.logits)


def moved(
  target: DecodeState,
  source: DecodeState,
  row: Int[Array, ''],
  other: Int[Array, ''],
) -> DecodeState:
  """The batch `target` with its row `row` replaced by row `other` of `source`.

  Their shapes are the same.
  """

  def move(into: jax.Array, of: jax.Array) -> jax.Array:
    axis = cache_lib.rows_axis(into)
    before, split = (slice(None),) * axis, sharding.layout_of(into)
    whole = split and PartitionSpec(*split[:axis], None, *split[axis + 1 :])
    one = of.at[(*before, jnp.array([other]))].get(out_sharding=whole)
    return into.at[(*before, jnp.array([row]))].set(one, out_sharding=split)

  return jax.tree.map(move, target, source)


class Sights(NamedTuple):
  """What chunks to be filmed side by side look back on, and where they stand.

  Attributes:
    cache: of all rows.
    index: place of each chunk, for each row.
  """

  cache: cache_lib.Cache
  index: Int[Array, 'B N']


def sight(told: DecodeState) -> Sights:
  """What one chunk a row looks back on."""
  return Sights(told.cache, told.place[:, None])


def twin_sights(
  model: model_lib.Tv2tv,
  before: DecodeState,
  told: DecodeState,
  bof: int,
) -> Sights:
  """What a told and an untold chunk of each row look back on.

  They share all that was before their words: these are the told one's own, and
  the untold one has a BOF in their place.

  Args:
    model: the model.
    before: stories before their next words.
    told: the same stories after these and BOF.
    bof: the token.
  """
  last = jnp.full_like(before.place, bof)[:, None]
  text = model_lib.Text(last, before.place[:, None], jnp.zeros_like(last))
  out = model(text, cache=before.cache)
  untold = out.places._replace(block=jnp.ones_like(last))
  slot = jnp.arange(told.cache.places.block.shape[1], dtype=jnp.int32)
  new = before.cache.length[:, None] <= slot
  own = jnp.where(new, 0, told.cache.places.block)
  cache = told.cache._replace(
    places=told.cache.places._replace(block=own),
    draft=cache_lib.Cache(out.memory, untold, jnp.ones_like(before.place)),
  )
  return Sights(cache, jnp.stack([told.place, before.place + 1], axis=1))


def apart_sights(told: DecodeState, untold: DecodeState) -> Sights:
  """What chunks look back on whose stories share nothing: rows of their own.

  The untold row of a story comes after its told one.
  """
  place = streams_lib.woven([told.place, untold.place], axis=0)
  return Sights(cache_lib.beside(told.cache, untold.cache), place[:, None])
