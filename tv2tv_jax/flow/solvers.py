"""From noise to data along a velocity field."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Velocity = Callable[[Float[Array, '*S'], Float[Array, '']], Float[Array, '*S']]


def euler(
  velocity: Velocity, noise: Float[Array, '*S'], *, steps: int
) -> Float[Array, '*S']:
  """Walks from `t = 0` to `t = 1` in equal steps: `x += v(x, t) / steps`.

  Exact for a velocity that is constant along the path.
  """

  def step(x: jax.Array, t: jax.Array) -> tuple[jax.Array, None]:
    return x + velocity(x, t) / steps, None

  return jax.lax.scan(step, noise, jnp.arange(steps) / steps)[0]
