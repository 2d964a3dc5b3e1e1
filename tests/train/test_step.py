"""A step knows where its run is, and how fast each parameter may go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tv2tv_jax.nn import norm
from tv2tv_jax.train import optimizer
from tv2tv_jax.train import step as step_lib

_ADAM = optimizer.OptimizerConfig(rate=0.1, warmup=0, final=1.0)


def _loss(model, batch, key, progress):
  """Its scale grows in half of its places, falls in the others."""
  return jnp.sum(batch * model.scale[...]), {'told': progress}


def _step(lesson):
  """From the progress of a run, where a step takes a scale of ones."""

  @jax.jit
  def step(progress):
    state = step_lib.born(norm.RmsNorm(4), lesson, _ADAM)
    state, metrics = step_lib.train_step(
      state._replace(progress=progress),
      jnp.array([1.0, 1.0, -1.0, -1.0]),
      jax.random.key(0),
      jnp.float32(1.0),
      loss=lesson,
      optimizer=_ADAM,
      ema=0.9,
    )
    return state.model.scale[...], metrics['told']

  return lambda progress: map(np.asarray, step(jnp.float32(progress)))


def test_a_loss_is_told_what_is_over_before_the_step():
  _, told = _step(_loss)(0.25)
  assert told == 0.25


def test_factors_shorten_steps():
  """Here by progress itself; at 0 nothing moves, not by a bit."""

  def rates(model, progress):
    return jax.tree.map(lambda _: progress, model)

  step = _step(step_lib.Lesson(_loss, rates))
  plain, _ = _step(_loss)(0.0)
  np.testing.assert_allclose(plain, [0.9, 0.9, 1.1, 1.1], atol=1e-4)
  still, _ = step(0.0)
  np.testing.assert_array_equal(still, np.ones(4))
  half, _ = step(0.5)
  np.testing.assert_allclose(half - 1, 0.5 * (plain - 1), atol=1e-6)


@pytest.mark.parametrize('loss', [_loss, step_lib.Lesson(_loss)])
def test_a_plain_loss_is_a_lesson(loss):
  assert step_lib.lesson(loss) == step_lib.Lesson(_loss)


def test_a_step_that_is_not_finite_is_skipped_and_counted():
  """It leaves all as it was but its number, its progress and the count."""
  lesson = step_lib.Lesson(_loss)

  @jax.jit
  def steps(batches):
    state = step_lib.born(norm.RmsNorm(4), lesson, _ADAM)
    states = []
    for batch in batches:
      state, metrics = step_lib.train_step(
        state,
        batch,
        jax.random.key(0),
        state.progress + 0.1,
        loss=lesson,
        optimizer=_ADAM,
        ema=0.9,
      )
      states.append((state, metrics['skipped']))
    return states

  good, bad = jnp.ones(4), jnp.array([1.0, jnp.nan, 1.0, 1.0])
  states = steps([good, bad, bad * jnp.inf, good])
  assert [int(state.step) for state, _ in states] == [1, 2, 3, 4]
  assert [int(state.skipped) for state, _ in states] == [0, 1, 2, 0]
  assert [float(told) for _, told in states] == [0, 1, 2, 0]
  np.testing.assert_allclose(
    [float(state.progress) for state, _ in states], [0.1, 0.2, 0.3, 0.4]
  )
  kept = [(s.model, s.ema, s.optimizer) for s, _ in states]
  for later in kept[1:3]:
    for a, b in zip(
      jax.tree.leaves(kept[0]), jax.tree.leaves(later), strict=True
    ):
      np.testing.assert_array_equal(a, b)
  assert (kept[3][0].scale[...] < kept[2][0].scale[...]).all()


def test_a_loss_for_whole_batches_cannot_be_taken_in_parts():
  with pytest.raises(ValueError, match=r'accumulate is 2.*whole batches only'):
    list(_step(step_lib.Lesson(_loss, accumulate=2))(0.0))
