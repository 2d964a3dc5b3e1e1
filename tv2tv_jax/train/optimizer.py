"""AdamW, and the learning rate as a function of progress."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import optax


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
  """How parameters move.

  Attributes:
    rate: the largest learning rate.
    warmup: steps over which the rate grows linearly from zero.
    shape: of the decay to `final * rate`: `linear` or `cosine`; `constant` for
      none.
    decay_from: progress, in [0, 1], at which the decay begins.
    final: the last rate, as a share of `rate`.
    beta1: decay of Adam's first moment.
    beta2: decay of Adam's second moment.
    weight_decay: decoupled, on parameters of two dimensions and more.
    clip: the largest global norm of the gradients.
  """

  rate: float = 3e-4
  warmup: int = 100
  shape: Literal['constant', 'linear', 'cosine'] = 'cosine'
  decay_from: float = 0.0
  final: float = 0.05
  beta1: float = 0.9
  beta2: float = 0.95
  weight_decay: float = 0.1
  clip: float = 1.0


def direction(config: OptimizerConfig) -> optax.GradientTransformation:
  """Clipped AdamW without its rate (Loshchilov & Hutter, 2019)."""

  def matrices(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim >= 2, tree)

  return optax.chain(
    optax.clip_by_global_norm(config.clip),
    optax.scale_by_adam(config.beta1, config.beta2),
    optax.add_decayed_weights(config.weight_decay, mask=matrices),
  )


def rate_at(
  config: OptimizerConfig,
  step: Int[Array, ''],
  progress: Float[Array, ''],
) -> Float[Array, '']:
  """The learning rate of a step.

  Args:
    config: the schedule.
    step: steps already taken; rules the warm-up.
    progress: share of the run that is over, in [0, 1]; rules the decay. It is
      the share of steps, or of time where a run has a time limit (choice, see
      DECISIONS.md).
  """
  grown = jnp.minimum(1.0, (step + 1) / max(1, config.warmup))
  if config.shape == 'constant':
    return config.rate * grown
  span = max(1e-6, 1.0 - config.decay_from)
  left = 1.0 - jnp.clip((progress - config.decay_from) / span, 0.0, 1.0)
  if config.shape == 'cosine':
    left = 0.5 * (1.0 - jnp.cos(jnp.pi * left))
  return config.rate * grown * (config.final + (1.0 - config.final) * left)
