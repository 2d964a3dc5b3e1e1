"""Every chunk of a real story filmed once more, after its real past.

The model is given the words and all chunks before, and films the next one from
noise. Errors do not add up, as they do where a story is filmed on its own past,
so that its pictures may be compared with the real ones of the same time.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax import sharding
from tv2tv_jax.flow import solvers
from tv2tv_jax.flow import times as times_lib
from tv2tv_jax.interleave import plan as plan_lib
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.tv2tv import model as model_lib


def filmed(
  model: model_lib.Tv2tv,
  row: story_lib.Row,
  latents: Float[Array, 'B N Y X Z'],
  noise: Float[Array, 'B N Y X Z'],
  *,
  steps: int,
  plan: plan_lib.Plan | None = None,
) -> Float[Array, 'B N Y X Z']:
  """All chunks of some rows at once, as in training; without guidance.

  Args:
    model: the model.
    row: the rows, all words there.
    latents: the real chunks, normalised.
    noise: what each chunk begins as.
    steps: Euler steps.
    plan: what is known of the rows' order.

  Returns:
    Normalised latents; of a chunk that is padding, anything.
  """
  text = model_lib.Text(row.tokens, row.index, row.story)
  ones = jnp.ones_like(latents[:, :, 0, 0, 0])
  clean = model_lib.Chunks(latents, ones, row.chunk_index, row.chunk_story)

  def velocity(x: jax.Array, t: Float[Array, '']) -> jax.Array:
    noisy = clean._replace(latents=x, t=t * ones)
    out = model(text, clean, noisy, order=plan).velocity
    return sharding.place(out, 'batch')  # As the noise lies.

  return solvers.solved(velocity, noise, times_lib.evenly(steps))
