"""Acting in pixels: one chunk from noise, along the velocity of the model."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tv2tv_jax import sharding
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


class States(NamedTuple):
  """What was read of the lanes when their next chunk is filmed.

  Attributes:
    told: with the words before it, and BOF.
    untold: of the same stories, without a word; None where nothing needs it.
    before: without the words before it; None where nothing is guided.
  """

  told: decode.DecodeState
  untold: decode.DecodeState | None
  before: decode.DecodeState | None


def filmed(
  model: model_lib.Tv2tv,
  states: States,
  source: chance.Source,
  course: Course,
  *,
  bof: int,
  solver: solvers.Solver,
) -> Float[Array, 'B Y X Z']:
  """`film`, with whatever guidance there is; every device has the latents."""
  if states.untold is not None:
    sights = decode.apart_sights(states.told, states.untold)
  elif states.before is not None and model.config.towers.attention == 'dense':
    sights = decode.twin_sights(model, states.before, states.told, bof)
  elif states.before is not None:  # Its kernels know no blocks of the past.
    one = jnp.ones_like(states.before.place)
    silent = decode.read_text(model, states.before, bof * one[:, None], one)
    sights = decode.apart_sights(states.told, silent)
  else:
    sights = decode.sight(states.told)
  return sharding.place(film(model, sights, source, course, solver=solver))


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
      then; or two, the second without its words, in its row or the next one.
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
  noise = sharding.place(noise, 'batch')
  rows, chunks = sights.index.shape
  twins = rows * chunks // noise.shape[0]

  def twice(x: Float[Array, 'B *S']) -> Float[Array, 'R N *S']:
    """The same for both chunks of a story, as `sights` has them."""
    x = jnp.stack([x] * twins, axis=1)
    return x if chunks == twins else sharding.merged(x, 0)[:, None]

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
    v = v if chunks == twins else sharding.unmerged(v[:, 0], 0, len(x))
    inside = (course.begin <= t) & (t < course.end)
    scale = jnp.where(inside, course.guidance, 1.0)
    return guidance_lib.guided(v[:, 0], v[:, 1], scale[:, None, None, None])

  return solvers.solved(
    velocity, noise, course.times, solver=solver, steps=course.steps
  )
