"""What is drawn and counted for a batch, before anything is learned of it."""

import dataclasses
import enum
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from tv2tv_jax import sharding
from tv2tv_jax.flow import path
from tv2tv_jax.flow import times
from tv2tv_jax.interleave import deal
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.train import dropout
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.typing import PrngKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExerciseConfig:
  """Chances, and what counts.

  Attributes:
    time_mean: of the normal behind flow time (paper: 0).
    time_deviation: of it (paper: 1.4).
    drop_words: chance that a chunk's words are dropped (open in the paper).
    flip: chance that a clean copy is a noisy one (open in the paper).
    film_start: whether the first chunk of a story is learned too; not where
      a starting frame is always given.
  """

  time_mean: float = 0.0
  time_deviation: float = 1.4
  drop_words: float = 0.1
  flip: float = 0.1
  film_start: bool = True


class _Use(enum.IntEnum):
  """What a step's key is used for, each once: folded in, never carried."""

  DROP = 0
  NOISE = 1
  TIME = 2
  FLIP = 3
  FLIP_NOISE = 4
  FLIP_TIME = 5


class Exercise(NamedTuple):
  """A batch with all that is drawn and counted for it; every field is by row.

  A loss of rows of an exercise draws nothing and adds up over rows. Words and
  chunks are in time order, or as they were dealt out (`dealt`).

  Attributes:
    text: the words that are seen.
    clean: chunks as history, some of them spoilt.
    noisy: chunks on their way from noise.
    velocity: the way that the noisy chunks should go.
    following: the next token of each.
    kind: of that, by `story.Kind`.
    said: the tokens whose next one is learned.
    said_share: 1 by their number in the batch, or 0.
    filmed: the chunks whose velocity is learned.
    filmed_share: 1 by their number in the batch, or 0.
  """

  text: model_lib.Text
  clean: model_lib.Chunks
  noisy: model_lib.Chunks
  velocity: Float[Array, 'B N Y X Z']
  following: Int[Array, 'B L']
  kind: Int[Array, 'B L']
  said: Bool[Array, 'B L']
  said_share: Float[Array, 'B L']
  filmed: Bool[Array, 'B N']
  filmed_share: Float[Array, 'B N']

  @property
  def dealt(self) -> deal.Dealt | None:
    """How rows are dealt out to the devices that share them."""
    return deal.among(self.following.shape[1], self.filmed.shape[1])


def prepared(
  batch: dict[str, Any], key: PrngKey, config: ExerciseConfig
) -> Exercise:
  """Draws what is random of a batch, and counts what is learned of it.

  Args:
    batch: the fields of `interleave.story.Row`, and `latents`, normalised,
      `B N Y X Z`.
    key: of this step.
    config: chances, and what counts.
  """
  row = story_lib.Row(**{name: batch[name] for name in story_lib.Row._fields})
  latents = batch['latents'].astype(jnp.float32)
  shape = latents.shape[:2]

  def key_of(use: _Use) -> PrngKey:
    return jax.random.fold_in(key, use)

  drop = dropout.coin(key_of(_Use.DROP), shape, config.drop_words)
  gone = dropout.dropped_words(row, drop)
  seen = dropout.without(row, gone)
  noise = _normal(key_of(_Use.NOISE), latents)
  t = flow_times(key_of(_Use.TIME), shape, config)
  clean, clean_t = dropout.flipped(
    latents,
    _normal(key_of(_Use.FLIP_NOISE), latents),
    flow_times(key_of(_Use.FLIP_TIME), shape, config),
    dropout.coin(key_of(_Use.FLIP), shape, config.flip),
  )
  places = (seen.chunk_index, seen.chunk_story)
  following, kind, said = _targets(row, gone)
  filmed = _filmed(row, config)
  exercise = Exercise(
    text=model_lib.Text(seen.tokens, seen.index, seen.story),
    clean=model_lib.Chunks(clean, clean_t, *places),
    noisy=model_lib.Chunks(path.noised(latents, noise, t), t, *places),
    velocity=path.velocity(latents, noise),
    following=following,
    kind=kind,
    said=said,
    said_share=_shares(said),
    filmed=filmed,
    filmed_share=_shares(filmed),
  )
  exercise = jax.tree.map(lambda leaf: sharding.place(leaf, 'batch'), exercise)
  dealt = exercise.dealt
  return jax.tree.map(lambda leaf: deal.out(leaf, dealt), exercise)


def _filmed(row: story_lib.Row, config: ExerciseConfig) -> Bool[Array, 'B N']:
  """The chunks whose velocity counts."""
  filmed = row.chunk_story >= 0
  if config.film_start:
    return filmed
  story = row.chunk_story
  return filmed & (story == jnp.roll(story, 1, axis=1)).at[:, 0].set(False)


def _targets(
  row: story_lib.Row, gone: Bool[Array, 'B L']
) -> tuple[Int[Array, 'B L'], Int[Array, 'B L'], Bool[Array, 'B L']]:
  """The next token of each, its kind, and whether it is learned."""
  following = _following(row.story)

  def next_one(x: Shaped[Array, 'B L']) -> Shaped[Array, 'B L']:
    return jnp.take_along_axis(x, following, axis=1)

  kind = next_one(row.kind)
  said = ~gone & ~next_one(gone) & (row.story >= 0)
  said &= row.story == next_one(row.story)
  # The last token of all follows itself.
  said &= following > jnp.arange(following.shape[1])
  said &= kind > story_lib.Kind.PROMPT
  return next_one(row.tokens), kind, said


def _following(story: Int[Array, 'B L']) -> Int[Array, 'B L']:
  """The next token of each that is no padding; of the last, itself."""
  length = story.shape[1]
  place = jnp.arange(length)
  here = jnp.where(story >= 0, place, length)
  here = jnp.concatenate(
    [here[:, 1:], jnp.full_like(here[:, :1], length)], axis=1
  )
  found = jax.lax.cummin(here, axis=1, reverse=True)
  return jnp.where(found < length, found, place)


def _shares(counted: Bool[Array, '...']) -> Float[Array, '...']:
  """The weights of a mean over what is counted; zeros where nothing is."""
  return counted / jnp.maximum(1, jnp.sum(counted)).astype(jnp.float32)


def _normal(key: PrngKey, like: jax.Array) -> jax.Array:
  """Standard normal noise, laid out like a batch."""
  return jax.random.normal(key, like.shape, out_sharding=sharding.spec('batch'))


def flow_times(
  key: PrngKey, shape: tuple[int, ...], config: ExerciseConfig
) -> Float[Array, '...']:
  """Flow times, one a chunk."""
  return times.logit_normal(
    key, shape, mean=config.time_mean, deviation=config.time_deviation
  )
