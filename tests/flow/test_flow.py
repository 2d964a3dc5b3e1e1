"""The path is straight, and the solver walks it exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tv2tv_jax.flow import guidance
from tv2tv_jax.flow import path
from tv2tv_jax.flow import solvers
from tv2tv_jax.flow import times


def _pair():
  data, noise = jax.random.normal(jax.random.key(0), (2, 3, 5))
  return data, noise


def test_zero_is_noise_and_one_is_data():
  data, noise = _pair()
  np.testing.assert_array_equal(path.noised(data, noise, jnp.zeros(3)), noise)
  np.testing.assert_array_equal(path.noised(data, noise, jnp.ones(3)), data)


def test_velocity_is_the_slope_of_the_path():
  data, noise = _pair()
  _, slope = jax.jvp(
    lambda t: path.noised(data, noise, t), (jnp.full(3, 0.4),), (jnp.ones(3),)
  )
  np.testing.assert_allclose(slope, path.velocity(data, noise), atol=1e-6)


@pytest.mark.parametrize('solver', ['euler', 'midpoint', 'heun'])
def test_the_exact_velocity_returns_the_data(solver):
  data, noise = _pair()
  for steps in (1, 7):
    found = solvers.solved(
      lambda x, t: path.velocity(data, noise),
      noise,
      times.evenly(steps),
      solver=solver,
    )
    np.testing.assert_allclose(found, data, atol=1e-5)


@pytest.mark.parametrize(
  'solver,order', [('euler', 1), ('midpoint', 2), ('heun', 2)]
)
def test_errors_fall_by_the_order_of_the_solver(solver, order):
  """On x' = x (1 + t), whose solution at 1 is exp(3/2)."""

  def error(steps):
    found = solvers.solved(
      lambda x, t: x * (1 + t), jnp.ones(()), times.evenly(steps), solver=solver
    )
    return abs(float(found) - np.exp(1.5))

  assert error(8) / error(16) == pytest.approx(2**order, rel=0.25)


def test_rows_go_their_own_ways():
  """Two steps and four, of a curved field, are what each is alone."""
  two, four = times.evenly(2), times.evenly(4)
  both = jnp.stack([jnp.concatenate([two, jnp.ones(2)]), four], axis=1)
  noise = jnp.ones((2, 3))
  found = solvers.solved(
    lambda x, t: x * (1 + t[:, None]), noise, both, steps=jnp.int32(4)
  )
  for row, way in enumerate((two, four)):
    alone = solvers.solved(lambda x, t: x * (1 + t), jnp.ones(3), way)
    np.testing.assert_allclose(found[row], alone, rtol=1e-6)


def test_a_shift_moves_steps_towards_the_noise():
  even, shifted = times.shifted(4, 1.0), times.shifted(4, 3.0)
  np.testing.assert_allclose(even, [0, 0.25, 0.5, 0.75, 1])
  # Noise of 3/4 becomes 3 * 0.75 / (1 + 2 * 0.75) = 0.9.
  np.testing.assert_allclose(shifted[:2], [0, 0.1], atol=1e-12)
  assert shifted[-1] == 1 and (np.diff(shifted) > 0).all()
  np.testing.assert_allclose(times.evenly(4), even)


def test_flow_times_are_logit_normal():
  t = times.logit_normal(jax.random.key(1), (20000,), mean=0.0, deviation=1.4)
  logits = jnp.log(t) - jnp.log1p(-t)
  assert abs(float(logits.mean())) < 0.05
  assert abs(float(logits.std()) - 1.4) < 0.05


def test_guidance_of_one_is_the_told_velocity():
  told, untold = _pair()
  np.testing.assert_allclose(
    guidance.guided(told, untold, 1.0), told, atol=1e-6
  )
