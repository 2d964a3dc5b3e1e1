"""All that a run must remember."""

from typing import NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import optax


class TrainState(NamedTuple):
  """The arrays of a run; with the data iterator it is the whole run.

  Attributes:
    step: steps taken. Randomness is derived from it, never carried.
    progress: share of the run that is over, in [0, 1].
    model: the parameters that are trained.
    ema: their exponential moving average: the model to use.
    optimizer: the moments.
  """

  step: Int[Array, '']
  progress: Float[Array, '']
  model: nnx.Module
  ema: nnx.Module
  optimizer: optax.OptState


def born(
  model: nnx.Module, transformation: optax.GradientTransformation
) -> TrainState:
  """The state before the first step."""
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    progress=jnp.zeros(()),
    model=model,
    ema=jax.tree.map(jnp.copy, model),
    optimizer=transformation.init(model),
  )
