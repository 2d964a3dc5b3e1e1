"""All that a run must remember."""

from typing import NamedTuple

from flax import nnx
from jaxtyping import Array, Float, Int
import optax


class TrainState(NamedTuple):
  """The arrays of a run; with the data iterator it is the whole run.

  Attributes:
    step: steps taken. Randomness is derived from it, never carried.
    progress: share of the run that is over, in [0, 1].
    skipped: steps in a row, up to the last one, that were not finite.
    model: the parameters that are trained.
    ema: their exponential moving average: the model to use.
    optimizer: the moments of what moves.
  """

  step: Int[Array, '']
  progress: Float[Array, '']
  skipped: Int[Array, '']
  model: nnx.Module
  ema: nnx.Module
  optimizer: optax.OptState
