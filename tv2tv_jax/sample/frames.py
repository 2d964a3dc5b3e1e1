"""Acting in pixels: one chunk from noise, along the velocity of the model."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from tv2tv_jax.flow import guidance as guidance_lib
from tv2tv_jax.flow import solvers
from tv2tv_jax.sample import decode
from tv2tv_jax.tv2tv import model as model_lib


def film(
  model: model_lib.Tv2tv,
  told: decode.DecodeState,
  untold: decode.DecodeState,
  keys: Key[Array, 'B'],
  *,
  steps: int,
  guidance: float,
) -> Float[Array, 'B Y X Z']:
  """Films the next chunk of every row.

  Args:
    model: the model.
    told: stories that have read their next words and BOF.
    untold: the same stories, without these words; not used without guidance.
    keys: one a row; a row's noise depends on its own key alone.
    steps: Euler steps.
    guidance: scale of classifier-free guidance; 1 is none.

  Returns:
    Normalised latents.
  """
  shape = model.config.frames
  shape = (shape.rows, shape.columns, shape.latent)
  noise = jax.vmap(lambda key: jax.random.normal(key, shape))(keys)
  guides = guidance != 1
  cache = decode.beside(told, untold) if guides else told.cache
  place = told.place
  if guides:
    place = jnp.concatenate([told.place, untold.place])

  def velocity(
    x: Float[Array, 'B Y X Z'], t: Float[Array, '']
  ) -> Float[Array, 'B Y X Z']:
    x = jnp.concatenate([x, x]) if guides else x
    chunk = model_lib.Chunks(
      latents=x[:, None],
      t=jnp.full((x.shape[0], 1), t),
      index=place[:, None],
      story=jnp.zeros_like(place)[:, None],
    )
    v = model(noisy=chunk, cache=cache).velocity[:, 0]
    return guidance_lib.guided(*jnp.split(v, 2), guidance) if guides else v

  return solvers.euler(velocity, noise, steps=steps)
