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
  sights: decode.Sights,
  source: chance.Source,
  course: Course,
  *,
  solver: solvers.Solver,
) -> Float[Array, 'B Y X Z']:
  """Films the next chunk of every row.

  Args:
    model: the model.
    sights: what chunks look back on: one chunk a story, which is not guided
      then; or two, the second without its words, in its row or after all rows.
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
  rows, chunks = sights.index.shape
  twins = rows * chunks // noise.shape[0]

  def twice(x: Float[Array, 'B *S']) -> Float[Array, 'R N *S']:
    """The same for both chunks of a story, as `sights` has them."""
    x = jnp.repeat(x[:, None], chunks, axis=1)
    return jnp.concatenate([x] * (twins // chunks))

  def velocity(
    x: Float[Array, 'B Y X Z'], t: Float[Array, 'B']
  ) -> Float[Array, 'B Y X Z']:
    chunk = model_lib.Chunks(
      latents=twice(x),
      t=twice(t),
      index=sights.index,
      story=jnp.zeros_like(sights.index),
    )
    v = model(noisy=chunk, cache=sights.cache).velocity
    if twins == 1:
      return v[:, 0]
    axis = 1 if chunks == 2 else 0
    told, untold = (part.reshape(x.shape) for part in jnp.split(v, 2, axis))
    inside = (course.begin <= t) & (t < course.end)
    scale = jnp.where(inside, course.guidance, 1.0)
    return guidance_lib.guided(told, untold, scale[:, None, None, None])

  return solvers.solved(
    velocity, noise, course.times, solver=solver, steps=course.steps
  )
