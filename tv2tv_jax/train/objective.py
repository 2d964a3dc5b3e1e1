"""What TV2TV learns: the next word, and the way from noise to the next chunk.

  loss = text_weight * CE + video_weight * MSE(velocity)              (1)

(paper, training). Cross-entropy covers words, BOF, EOF and EOS, not the meta
prompt.
"""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from tv2tv_jax.interleave import plan as plan_lib
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.train import accumulate
from tv2tv_jax.train import exercise as exercise_lib
from tv2tv_jax.train import step as step_lib
from tv2tv_jax.train import towers
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.typing import Metrics
from tv2tv_jax.typing import PrngKey

_ALIKE = towers.TowerRates()
_BUCKETS = 4  # Quarters of flow time for which the loss is reported.


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectiveConfig(exercise_lib.ExerciseConfig):
  """Weights, and the chances of an exercise.

  Attributes:
    text_weight: of cross-entropy (open in the paper).
    video_weight: of flow matching (open in the paper).
  """

  text_weight: float = 1.0
  video_weight: float = 1.0


def lesson(
  config: ObjectiveConfig,
  rates: towers.TowerRates = _ALIKE,
  *,
  plan: plan_lib.Plan | None = None,
) -> step_lib.Lesson:
  """What every step of a run of TV2TV does.

  Args:
    config: weights and chances.
    rates: how fast each tower learns.
    plan: what is known of the rows' order.
  """
  return step_lib.Lesson(
    loss=functools.partial(loss, config=config, plan=plan),
    prepare=functools.partial(exercise_lib.prepared, config=config),
    rates=functools.partial(towers.factors, rates=rates),
    parts=towers.parts,
    frozen=functools.partial(towers.frozen, rates=rates),
  )


def objective(
  model: model_lib.Tv2tv,
  batch: dict[str, Any],
  key: PrngKey,
  progress: Float[Array, ''] | float = 0.0,
  *,
  config: ObjectiveConfig,
  plan: plan_lib.Plan | None = None,
) -> tuple[Float[Array, ''], Metrics]:
  """The loss (1) of a batch, and its parts as numbers.

  Args:
    model: the model.
    batch: as of `exercise.prepared`.
    key: of this step.
    progress: share of the run that is over; nothing here depends on it.
    config: weights and chances.
    plan: what is known of the rows' order.

  Returns:
    The loss and its parts; a part of which the batch has nothing is NaN.
  """
  exercise = exercise_lib.prepared(batch, key, config)
  value, metrics = loss(
    model, exercise, key, progress, config=config, plan=plan
  )
  return value, accumulate.finished(metrics)


def loss(
  model: model_lib.Tv2tv,
  exercise: exercise_lib.Exercise,
  key: PrngKey | None = None,
  progress: Float[Array, ''] | float = 0.0,
  *,
  config: ObjectiveConfig,
  plan: plan_lib.Plan | None = None,
) -> tuple[Float[Array, ''], dict[str, accumulate.Mean]]:
  """The loss (1) of rows of an exercise, and its parts: sums over rows.

  Args:
    model: the model.
    exercise: any of its rows.
    key: nothing is drawn here.
    progress: nothing here depends on it.
    config: weights.
    plan: what is known of the rows' order.
  """
  del key, progress
  out = model(
    exercise.text,
    exercise.clean,
    exercise.noisy,
    order=exercise.dealt or plan,
  )
  surprise = model.surprise(out.text, exercise.following)
  error = jnp.square(out.velocity - exercise.velocity)
  error = jnp.mean(error, axis=(2, 3, 4))
  text = jnp.sum(surprise * exercise.said_share)
  video = jnp.sum(error * exercise.filmed_share)
  metrics = {'text': _mean(surprise, exercise.said)}
  for each in (
    story_lib.Kind.WORD,
    story_lib.Kind.BOF,
    story_lib.Kind.EOF,
    story_lib.Kind.EOS,
  ):
    of_kind = exercise.said & (exercise.kind == each)
    metrics[f'text/{each.name.lower()}'] = _mean(surprise, of_kind)
  metrics['video'] = _mean(error, exercise.filmed)
  t = exercise.noisy.t
  for i in range(_BUCKETS):
    bucket = (t >= i / _BUCKETS) & (t < (i + 1) / _BUCKETS)
    metrics[f'video/t{i}'] = _mean(error, exercise.filmed & bucket)
  return config.text_weight * text + config.video_weight * video, metrics


def _mean(
  values: Float[Array, '...'], counted: Bool[Array, '...']
) -> accumulate.Mean:
  """The mean of the counted values, as what adds up over rows."""
  total = jnp.sum(jnp.where(counted, values, 0.0))
  return accumulate.Mean(total, jnp.sum(counted, dtype=jnp.float32))
