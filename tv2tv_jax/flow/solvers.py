"""From noise to data along a velocity field.

With `dt` from one flow time `t` to the next, a step goes

  euler:     x + dt v(x, t)                                           (1)
  midpoint:  x + dt v(x + dt/2 v(x, t), t + dt/2)                     (2)
  heun:      x + dt/2 (v(x, t) + v(x + dt v(x, t), t + dt))           (3)

The last two ask the model twice a step, and err by a power of `dt` less.
"""

from collections.abc import Callable
from typing import Literal

import jax
from jaxtyping import Array, Float, Int

Velocity = Callable[
  [Float[Array, '*S'], Float[Array, '*B']], Float[Array, '*S']
]
Solver = Literal['euler', 'midpoint', 'heun']


def solved(
  velocity: Velocity,
  noise: Float[Array, '*S'],
  times: Float[Array, 'M *B'],
  *,
  solver: Solver = 'euler',
  steps: Int[Array, ''] | None = None,
) -> Float[Array, '*S']:
  """Walks from noise along a velocity field.

  Exact for a velocity that is constant along the path, by any solver.

  Args:
    velocity: of `x` at flow times of the shape `*B`.
    noise: where the walk begins; its shape begins with `*B`.
    times: rising flow times, first 0 and last 1: the same for all of `x`, or a
      column for each row. A row with fewer steps repeats its last one.
    solver: how a step goes.
    steps: how many steps are walked at all, so that a program serves any
      number; None: all of them.
  """
  step = _STEPS[solver]
  ends = times.shape + (1,) * (noise.ndim - times.ndim + 1)

  def walk(number: Int[Array, ''], x: jax.Array) -> jax.Array:
    t, dt = times[number], times[number + 1] - times[number]
    return step(velocity, x, t, dt, dt.reshape(ends[1:]))

  last = times.shape[0] - 1 if steps is None else steps
  return jax.lax.fori_loop(0, last, walk, noise)


def _euler(velocity, x, t, dt, wide):
  """(1); `wide` is `dt` with the rank of `x`."""
  del dt
  return x + wide * velocity(x, t)


def _midpoint(velocity, x, t, dt, wide):
  """(2)."""
  half = x + wide / 2 * velocity(x, t)
  return x + wide * velocity(half, t + dt / 2)


def _heun(velocity, x, t, dt, wide):
  """(3)."""
  here = velocity(x, t)
  return x + wide / 2 * (here + velocity(x + wide * here, t + dt))


_STEPS = {'euler': _euler, 'midpoint': _midpoint, 'heun': _heun}
