"""One step of training, for any model and any loss."""

from collections.abc import Callable
from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import optax

from tv2tv_jax.train import optimizer as optimizer_lib
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.typing import Metrics
from tv2tv_jax.typing import PrngKey

Loss = Callable[[nnx.Module, Any, PrngKey], tuple[jax.Array, Metrics]]


def train_step(
  state: state_lib.TrainState,
  batch: Any,
  key: PrngKey,
  progress: Float[Array, ''],
  *,
  loss: Loss,
  optimizer: optimizer_lib.OptimizerConfig,
  ema: float,
) -> tuple[state_lib.TrainState, Metrics]:
  """Gradients, AdamW, moving average.

  Args:
    state: the run so far.
    batch: what `loss` understands.
    key: the key of the run; the step's own key is folded from it.
    progress: share of the run that will be over after this step.
    loss: `(model, batch, key) -> (loss, metrics)`.
    optimizer: how parameters move.
    ema: decay of the moving average; it is shorter in the first steps.

  Returns:
    The state after the step, and its metrics (fp32 scalars).
  """
  key = jax.random.fold_in(key, state.step)
  differentiate = jax.value_and_grad(loss, has_aux=True)
  (value, metrics), gradients = differentiate(state.model, batch, key)
  updates, moments = optimizer_lib.direction(optimizer).update(
    gradients, state.optimizer, state.model
  )
  rate = optimizer_lib.rate_at(optimizer, state.step, state.progress)
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
