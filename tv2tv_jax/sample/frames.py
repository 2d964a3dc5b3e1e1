"""Acting in pixels: one chunk from noise, along the velocity of the model."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tv2tv_jax.flow import guidance as guidance_lib
from tv2tv_jax.flow import solvers
from tv2tv_jax.sample import chance
from tv2tv_jax.sample import decode
from tv2tv_jax.tv2tv import model as model_lib


class Course(NamedTuple):
  """How the rows of a batch go from noise to data, each in its own way.

  Attributes:
    times: flow times, rising from 0 to 1; a row that is there waits at 1.
    steps: of the row that takes most of them.
    guidance: scale of classifier-free guidance; 1 is none.
    begin: flow time from which a row is guided,
    end: and up to which it is.
  """

  times: Float[Array, 'M B']
  steps: Int[Array, '']
  guidance: Float[Array, 'B']
  begin: Float[Array, 'B']
  end: Float[Array, 'B']


def film(
  model: model_lib.Tv2tv,
  told: decode.DecodeState,
  untold: decode.DecodeState | None,
  source: chance.Source,
  course: Course,
  *,
  solver: solvers.Solver,
) -> Float[Array, 'B Y X Z']:
  """Films the next chunk of every row.

  Args:
    model: the model.
    told: stories that have read their next words and BOF.
    untold: the same stories without words, after BOF; None: no row is guided.
    source: of randomness; a row's noise depends on its own alone.
    course: the way of each row.
    solver: how a step goes.

  Returns:
    Normalised latents.
  """
  shape = model.config.frames
  shape = (shape.rows, shape.columns, shape.latent)
  noise = jax.vmap(lambda key: jax.random.normal(key, shape))(
    chance.keys(source)
  )
  if untold is None:
    cache, place = told.cache, told.place
  else:
    cache = decode.beside(told, untold)
    place = jnp.concatenate([told.place, untold.place])

  def velocity(
    x: Float[Array, 'B Y X Z'], t: Float[Array, 'B']
  ) -> Float[Array, 'B Y X Z']:
    halves = 1 if untold is None else 2
    chunk = model_lib.Chunks(
      latents=jnp.concatenate([x] * halves)[:, None],
      t=jnp.concatenate([t] * halves)[:, None],
      index=place[:, None],
      story=jnp.zeros_like(place)[:, None],
    )
    v = model(noisy=chunk, cache=cache).velocity[:, 0]
    if untold is None:
      return v
    inside = (course.begin <= t) & (t < course.end)
    scale = jnp.where(inside, course.guidance, 1.0)
    return guidance_lib.guided(*jnp.split(v, 2), scale[:, None, None, None])

  return solvers.solved(
    velocity, noise, course.times, solver=solver, steps=course.steps
  )
