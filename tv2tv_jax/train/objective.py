"""What TV2TV learns: the next word, and the way from noise to the next chunk.

  loss = text_weight * CE + video_weight * MSE(velocity)              (1)

(paper, training). Cross-entropy covers words, BOF, EOF and EOS, not the meta
prompt.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from tv2tv_jax import sharding
from tv2tv_jax.flow import path
from tv2tv_jax.flow import times
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
    film_start: whether the first chunk of a row is learned too; not where a
      starting frame is always given.
  """

  text_weight: float = 1.0
  video_weight: float = 1.0
  time_mean: float = 0.0
  time_deviation: float = 1.4
  drop_words: float = 0.1
  flip: float = 0.1
  film_start: bool = True


def objective(
  model: model_lib.Tv2tv,
  batch: dict[str, Any],
  key: PrngKey,
  *,
  config: ObjectiveConfig,
) -> tuple[Float[Array, ''], Metrics]:
  """The loss (1) of a batch.

  Args:
    model: the model.
    batch: the fields of `interleave.story.Row`, and `latents`, normalised,
      `B N Y X Z`.
    key: of this step.
    config: weights and chances.

  Returns:
    The loss and its parts.
  """
  fields = {name: batch[name] for name in story_lib.Row._fields}
  row = story_lib.Row(**fields)
  latents = batch['latents'].astype(jnp.float32)
  keys = iter(jax.random.split(key, 6))
  shape = latents.shape[:2]

  drop = dropout.coin(next(keys), shape, config.drop_words)
  gone = dropout.dropped_words(row, drop)
  seen = dropout.without(row, gone)

  noise = _normal(next(keys), latents)
  t = _times(next(keys), shape, config)
  noisy = path.noised(latents, noise, t)
  flip = dropout.coin(next(keys), shape, config.flip)
  clean, clean_t = dropout.flipped(
    latents,
    _normal(next(keys), latents),
    _times(next(keys), shape, config),
    flip,
  )

  places = (seen.chunk_index, seen.chunk_story)
  out = model(
    model_lib.Text(seen.tokens, seen.index, seen.story),
    model_lib.Chunks(clean, clean_t, *places),
    model_lib.Chunks(noisy, t, *places),
  )
  text, text_metrics = _text_loss(out.logits, row, gone)
  learned = seen.chunk_story >= 0
  if not config.film_start:
    learned &= jnp.arange(shape[1]) > 0
  target = path.velocity(latents, noise)
  video, video_metrics = _video_loss(out.velocity, target, t, learned)
  loss = config.text_weight * text + config.video_weight * video
  return loss, {**text_metrics, **video_metrics}


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
  kind = row.kind[:, 1:]
  kept = ~gone[:, 1:] & ~gone[:, :-1] & (row.story[:, 1:] == row.story[:, :-1])
  counted = kept & (kind > story_lib.Kind.PROMPT)
  surprise = cross_entropy(logits[:, :-1], row.tokens[:, 1:])
  metrics = {'text': _mean(surprise, counted)}
  for each in (story_lib.Kind.WORD, story_lib.Kind.BOF):
    metrics[f'text/{each.name.lower()}'] = _mean(
      surprise, counted & (kind == each)
    )
  return metrics['text'], metrics


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
    metrics[f'video/t{i}'] = _mean(error, learned & bucket)
  return metrics['video'], metrics


def _mean(
  values: Float[Array, '...'], counted: Bool[Array, '...']
) -> Float[Array, '']:
  """The mean of the counted values; zero where there are none."""
  total = jnp.sum(jnp.where(counted, values, 0.0))
  return total / jnp.maximum(1, jnp.sum(counted))


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
