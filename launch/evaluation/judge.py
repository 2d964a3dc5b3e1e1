"""Losses on held-out stories: always the same ones, with the same noise.

Noise and flow time of a row depend on its number alone, and what is told is
means over all words and all chunks: figures are the same for any batch size and
any number of hosts. The trainer and `launch.evaluate` tell the same ones.
"""

from collections.abc import Callable, Iterable, Mapping
import dataclasses
import math
from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int
import numpy as np

from configs import schema
from tv2tv_jax import sharding
from tv2tv_jax.flow import path
from tv2tv_jax.interleave import deal
from tv2tv_jax.train import accumulate
from tv2tv_jax.train import exercise as exercise_lib
from tv2tv_jax.train import step as step_lib
from tv2tv_jax.typing import PrngKey

Totals = Mapping[str, accumulate.Mean]


def judge(
  run: schema.StoryRun,
  lesson: step_lib.Lesson,
  batches: Iterable[Mapping[str, Any]],
) -> Callable[[nnx.Module], Mapping[str, float]]:
  """What gives the means of a model's losses, as `held_out/NAME`.

  Args:
    run: says what counts, and how flow times are drawn.
    lesson: of `objective.lesson`; its loss is what is told.
    batches: of this process, on every call the same; all processes have as many
      of them, filled up with rows of padding.
  """
  totals = judged(run, lesson, batches)

  def evaluate(model: nnx.Module) -> dict[str, float]:
    return {f'held_out/{name}': mean(m) for name, m in totals(model).items()}

  return evaluate


def judged(
  run: schema.StoryRun,
  lesson: step_lib.Lesson,
  batches: Iterable[Mapping[str, Any]],
  watch: Callable[[], None] = lambda: None,
) -> Callable[[nnx.Module], Totals]:
  """What gives sums and counts of a model's losses; arguments as of `judge`.

  Args:
    run: says what counts, and how flow times are drawn.
    lesson: of `objective.lesson`.
    batches: of this process.
    watch: called after every batch.
  """
  quiet = dataclasses.replace(run.objective, drop_words=0.0, flip=0.0)

  @jax.jit
  def metrics(model, batch, first):
    exercise = exercise_lib.prepared(batch, jax.random.key(0), quiet)
    exercise = _drawn_by_row(exercise, first, quiet)
    return lesson.loss(model, exercise, None, 0.0)[1]

  def totals(model: nnx.Module) -> Totals:
    sums, first = None, 0
    for batch in batches:
      batch = sharding.put_batch(batch)
      part = jax.tree.map(np.float64, metrics(model, batch, np.int32(first)))
      sums = part if sums is None else jax.tree.map(np.add, sums, part)
      first += len(batch['kind'])
      watch()
    return sums or {}

  return totals


def mean(total: accumulate.Mean) -> float:
  """The mean; where nothing counts, no number."""
  return float(total.total / total.count) if total.count else math.nan


def keys_of_rows(key: PrngKey, first: Int[Array, ''], count: int) -> PrngKey:
  """A key for each row of a batch, by the number of the row.

  Args:
    key: of what is drawn.
    first: number of the batch's first row.
    count: rows of the batch.
  """
  rows = sharding.place(first + jnp.arange(count), 'batch')
  return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, rows)


def _drawn_by_row(
  exercise: exercise_lib.Exercise,
  first: Int[Array, ''],
  config: exercise_lib.ExerciseConfig,
) -> exercise_lib.Exercise:
  """The exercise with other noise and times: of each row, whatever its batch.

  Args:
    exercise: of a batch in which nothing is spoilt.
    first: number of the batch's first row.
    config: how flow times are drawn.
  """
  latents = exercise.clean.latents  # Not spoilt: the data.

  def draw(key: PrngKey) -> tuple[jax.Array, jax.Array]:
    noise_key, time_key = jax.random.split(key)
    t = exercise_lib.flow_times(time_key, latents.shape[1:2], config)
    return jax.random.normal(noise_key, latents.shape[1:]), t

  keys = keys_of_rows(jax.random.key(0), first, len(latents))
  drawn = jax.vmap(draw)(keys)
  noise, t = (deal.out(each, exercise.dealt) for each in drawn)
  noisy = path.noised(latents, noise, t)
  return exercise._replace(
    noisy=exercise.noisy._replace(latents=noisy, t=t),
    velocity=path.velocity(latents, noise),
  )
