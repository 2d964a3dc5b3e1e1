"""What TV2TV learns: the next word, and the way from noise to the next chunk.

  loss = text_weight * CE + video_weight * MSE(velocity)              (1)

(paper, training). Cross-entropy covers words, BOF, EOF and EOS, not the meta
prompt.
"""

import dataclasses
import enum
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from tv2tv_jax import sharding
from tv2tv_jax.flow import path
from tv2tv_jax.flow import times
from tv2tv_jax.interleave import plan as plan_lib
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.train import dropout
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.typing import Metrics
from tv2tv_jax.typing import PrngKey

_BUCKETS = 4  # Quarters of flow time for which the loss is reported.


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
  """Weights and chances.

  Attributes:
    text_weight: of cross-entropy (open in the paper).
    video_weight: of flow matching (open in the paper).
    time_mean: of the normal behind flow time (paper: 0).
    time_deviation: of it (paper: 1.4).
    drop_words: chance that a chunk's words are dropped (open in the paper).
    flip: chance that a clean copy is a noisy one (open in the paper).
    film_start: whether the first chunk of a story is learned too; not where
      a starting frame is always given.
  """

  text_weight: float = 1.0
  video_weight: float = 1.0
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


def objective(
  model: model_lib.Tv2tv,
  batch: dict[str, Any],
  key: PrngKey,
  progress: Float[Array, ''] | float = 0.0,
  *,
  config: ObjectiveConfig,
  plan: plan_lib.Plan | None = None,
) -> tuple[Float[Array, ''], Metrics]:
  """The loss (1) of a batch.

  Args:
    model: the model.
    batch: the fields of `interleave.story.Row`, and `latents`, normalised,
      `B N Y X Z`.
    key: of this step.
    progress: share of the run that is over; nothing here depends on it.
    config: weights and chances.
    plan: what is known of the rows' order.

  Returns:
    The loss and its parts; a part of which the batch has nothing is NaN.
  """
  fields = {name: batch[name] for name in story_lib.Row._fields}
  row = story_lib.Row(**fields)
  latents = batch['latents'].astype(jnp.float32)
  shape = latents.shape[:2]

  def key_of(use: _Use) -> PrngKey:
    return jax.random.fold_in(key, use)

  drop = dropout.coin(key_of(_Use.DROP), shape, config.drop_words)
  gone = dropout.dropped_words(row, drop)
  seen = dropout.without(row, gone)

  noise = _normal(key_of(_Use.NOISE), latents)
  t = _times(key_of(_Use.TIME), shape, config)
  noisy = path.noised(latents, noise, t)
  clean, clean_t = dropout.flipped(
    latents,
    _normal(key_of(_Use.FLIP_NOISE), latents),
    _times(key_of(_Use.FLIP_TIME), shape, config),
    dropout.coin(key_of(_Use.FLIP), shape, config.flip),
  )

  places = (seen.chunk_index, seen.chunk_story)
  out = model(
    model_lib.Text(seen.tokens, seen.index, seen.story),
    model_lib.Chunks(clean, clean_t, *places),
    model_lib.Chunks(noisy, t, *places),
    plan=plan,
  )
  text, text_metrics = _text_loss(out.logits, row, gone)
  target = path.velocity(latents, noise)
  learned = _learned(row, config)
  video, video_metrics = _video_loss(out.velocity, target, t, learned)
  loss = config.text_weight * text + config.video_weight * video
  return loss, {**text_metrics, **video_metrics}


def _learned(row: story_lib.Row, config: ObjectiveConfig) -> Bool[Array, 'B N']:
  """The chunks whose velocity counts."""
  learned = row.chunk_story >= 0
  if config.film_start:
    return learned
  story = row.chunk_story
  return learned & (story == jnp.roll(story, 1, axis=1)).at[:, 0].set(False)


def cross_entropy(
  logits: Float[Array, '... V'], targets: Int[Array, '...']
) -> Float[Array, '...']:
  """`-log softmax(logits)[targets]`, by a sum that a split axis allows."""
  vocabulary = jnp.arange(logits.shape[-1])
  logits = logits.astype(jnp.float32)
  picked = jnp.sum(logits, axis=-1, where=targets[..., None] == vocabulary)
  return jax.nn.logsumexp(logits, axis=-1) - picked


def _text_loss(
  logits: Float[Array, 'B L V'],
  row: story_lib.Row,
  gone: Bool[Array, 'B L'],
) -> tuple[Float[Array, ''], Metrics]:
  """Mean cross-entropy of next tokens, all together and by their kind."""
  following = _following(row.story)

  def next_one(x: Shaped[Array, 'B L']) -> Shaped[Array, 'B L']:
    return jnp.take_along_axis(x, following, axis=1)

  kind = next_one(row.kind)
  counted = ~gone & ~next_one(gone) & (row.story >= 0)
  counted &= row.story == next_one(row.story)
  # The last token of all follows itself.
  counted &= following > jnp.arange(following.shape[1])
  counted &= kind > story_lib.Kind.PROMPT
  surprise = cross_entropy(logits, next_one(row.tokens))
  metrics = {'text': _mean(surprise, counted)}
  for each in (
    story_lib.Kind.WORD,
    story_lib.Kind.BOF,
    story_lib.Kind.EOF,
    story_lib.Kind.EOS,
  ):
    name = f'text/{each.name.lower()}'
    metrics[name] = _reported(surprise, counted & (kind == each))
  return metrics['text'], metrics


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


def _video_loss(
  velocity: Float[Array, 'B N Y X Z'],
  target: Float[Array, 'B N Y X Z'],
  t: Float[Array, 'B N'],
  learned: Bool[Array, 'B N'],
) -> tuple[Float[Array, ''], Metrics]:
  """Mean squared error of velocities, all together and by flow time."""
  error = jnp.mean(jnp.square(velocity - target), axis=(2, 3, 4))
  metrics = {'video': _mean(error, learned)}
  for i in range(_BUCKETS):
    bucket = (t >= i / _BUCKETS) & (t < (i + 1) / _BUCKETS)
    metrics[f'video/t{i}'] = _reported(error, learned & bucket)
  return metrics['video'], metrics


def _mean(
  values: Float[Array, '...'], counted: Bool[Array, '...']
) -> Float[Array, '']:
  """The mean of the counted values; zero where there are none."""
  total = jnp.sum(jnp.where(counted, values, 0.0))
  return total / jnp.maximum(1, jnp.sum(counted))


def _reported(
  values: Float[Array, '...'], counted: Bool[Array, '...']
) -> Float[Array, '']:
  """The mean of the counted values, to look at; NaN where there are none."""
  return jnp.where(counted.any(), _mean(values, counted), jnp.nan)


def _normal(key: PrngKey, like: jax.Array) -> jax.Array:
  """Standard normal noise, laid out like a batch."""
  return jax.random.normal(key, like.shape, out_sharding=sharding.spec('batch'))


def _times(
  key: PrngKey, shape: tuple[int, ...], config: ObjectiveConfig
) -> Float[Array, 'B N']:
  """Flow times, one a chunk."""
  return times.logit_normal(
    key, shape, mean=config.time_mean, deviation=config.time_deviation
  )
