"""One step of training, for any model and any loss."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import optax

from tv2tv_jax.train import optimizer as optimizer_lib
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.typing import Metrics
from tv2tv_jax.typing import PrngKey

# `(model, batch, key, progress) -> (loss, metrics)`; `progress` is the share of
# the run that is over, in [0, 1].
Loss = Callable[
  [nnx.Module, Any, PrngKey, Float[Array, '']], tuple[jax.Array, Metrics]
]
# `(model, progress) -> factors` of the learning rate, a tree like the model.
Rates = Callable[[nnx.Module, Float[Array, '']], Any]


class Lesson(NamedTuple):
  """A loss, and what else sets a step apart from the plain one.

  Attributes:
    loss: what the step lowers.
    rates: how much faster or slower each parameter learns than the others;
      None: all alike. Where the factor is 0 it does not move at all.
    compiler_options: what `jax.jit` is told about the step.
  """

  loss: Loss
  rates: Rates | None = None
  compiler_options: Mapping[str, str] | None = None


def lesson(loss: Loss | Lesson) -> Lesson:
  """A plain loss as a lesson."""
  return loss if isinstance(loss, Lesson) else Lesson(loss)


def train_step(
  state: state_lib.TrainState,
  batch: Any,
  key: PrngKey,
  progress: Float[Array, ''],
  *,
  loss: Loss | Lesson,
  optimizer: optimizer_lib.OptimizerConfig,
  ema: float,
) -> tuple[state_lib.TrainState, Metrics]:
  """Gradients, AdamW, moving average.

  Args:
    state: the run so far.
    batch: what `loss` understands.
    key: the key of the run; the step's own key is folded from it.
    progress: share of the run that will be over after this step.
    loss: what to lower; it is told the share that is over before this step.
    optimizer: how parameters move.
    ema: decay of the moving average; it is shorter in the first steps.

  Returns:
    The state after the step, and its metrics (fp32 scalars).
  """
  loss, rates, _ = lesson(loss)
  key = jax.random.fold_in(key, state.step)
  differentiate = jax.value_and_grad(loss, has_aux=True)
  (value, metrics), gradients = differentiate(
    state.model, batch, key, state.progress
  )
  updates, moments = optimizer_lib.direction(optimizer).update(
    gradients, state.optimizer, state.model
  )
  rate = optimizer_lib.rate_at(optimizer, state.step, state.progress)
  if rates:
    factors = rates(state.model, state.progress)
    updates = jax.tree.map(lambda u, factor: factor * u, updates, factors)
  model = jax.tree.map(lambda p, u: p - rate * u, state.model, updates)
  keep = jnp.minimum(ema, (1 + state.step) / (10 + state.step))
  average = jax.tree.map(
    lambda a, p: keep * a + (1 - keep) * p, state.ema, model
  )
  metrics = {
    'loss': value,
    **metrics,
    'gradient_norm': optax.global_norm(gradients),
    'rate': rate,
  }
  step = state.step + 1
  state = state_lib.TrainState(step, progress, model, average, moments)
  return state, metrics
