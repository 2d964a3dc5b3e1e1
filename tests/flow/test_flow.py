"""The path is straight, and the solver walks it exactly."""

import jax
import jax.numpy as jnp
import numpy as np

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


def test_euler_with_the_exact_velocity_returns_the_data():
  data, noise = _pair()
  for steps in (1, 7):
    found = solvers.euler(
      lambda x, t: path.velocity(data, noise), noise, steps=steps
    )
    np.testing.assert_allclose(found, data, atol=1e-5)


def test_euler_converges_on_a_curved_field():
  found = solvers.euler(lambda x, t: x, jnp.ones(()), steps=1000)
  np.testing.assert_allclose(found, np.e, rtol=1e-3)


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
