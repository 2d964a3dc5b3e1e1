"""One step of training, for any model and any loss."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import optax

from tv2tv_jax.train import accumulate as accumulate_lib
from tv2tv_jax.train import optimizer as optimizer_lib
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.typing import Metrics
from tv2tv_jax.typing import PrngKey

# `(model, batch, key, progress) -> (loss, metrics)`; `progress` is the share of
# the run that is over, in [0, 1]. A metric is a number, or an
# `accumulate.Mean`.
Loss = Callable[
  [nnx.Module, Any, PrngKey, Float[Array, '']],
  tuple[jax.Array, Mapping[str, Any]],
]
# `(batch, key) -> batch`: all that is drawn and counted for a whole batch.
Prepare = Callable[[Any, PrngKey], Any]
# `(model, progress) -> factors` of the learning rate, a tree like the model.
Rates = Callable[[nnx.Module, Float[Array, '']], Any]


class Lesson(NamedTuple):
  """A loss, and what else sets a step apart from the plain one.

  Attributes:
    loss: what the step lowers.
    rates: how much faster or slower each parameter learns than the others;
      None: all alike. Where the factor is 0 it does not move at all.
    compiler_options: what `jax.jit` is told about the step.
    prepare: what is drawn for a batch, so that the loss draws nothing and is a
      sum over rows; without it a batch cannot be taken in parts.
    parts: of a model, a tree like it of names, for which norms are reported.
    frozen: of a model, a tree like it: True for what never moves and has
      neither gradient nor moments. None: everything moves.
    accumulate: parts that a batch is taken in, one after another, for the same
      result in less memory.
  """

  loss: Loss
  rates: Rates | None = None
  compiler_options: Mapping[str, str] | None = None
  prepare: Prepare | None = None
  parts: Callable[[nnx.Module], Any] | None = None
  frozen: Callable[[nnx.Module], Any] | None = None
  accumulate: int = 1


def lesson(loss: Loss | Lesson) -> Lesson:
  """A plain loss as a lesson."""
  return loss if isinstance(loss, Lesson) else Lesson(loss)


def born(
  model: nnx.Module,
  loss: Loss | Lesson,
  optimizer: optimizer_lib.OptimizerConfig,
) -> state_lib.TrainState:
  """The state before the first step."""
  moving = _moving(model, lesson(loss))
  return state_lib.TrainState(
    step=jnp.zeros((), jnp.int32),
    progress=jnp.zeros(()),
    skipped=jnp.zeros((), jnp.int32),
    model=model,
    ema=jax.tree.map(jnp.copy, model),
    optimizer=optimizer_lib.direction(optimizer).init(moving),
  )


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

  A step whose loss or gradient is not finite is skipped: it leaves everything
  as it was but for its number, its progress and the count of such steps.

  Args:
    state: the run so far.
    batch: what `loss` understands.
    key: the key of the run; the step's own key is folded from it.
    progress: share of the run that will be over after this step.
    loss: what to lower; it is told the share that is over before this step.
    optimizer: how parameters move.
    ema: decay of the moving average; it is shorter in the first steps.

  Returns:
    The state after the step, and its metrics (fp32 scalars): `loss` and those
    of the loss; norms of gradient and update, also of each part of the model;
    the rate; how many steps in a row were skipped so far.

  Raises:
    ValueError: a batch that cannot be taken in so many parts.
  """
  told = lesson(loss)
  key = jax.random.fold_in(key, state.step)
  moving = _moving(state.model, told)

  def part_loss(moving: Any, part: Any) -> tuple[jax.Array, Mapping[str, Any]]:
    model = _joined(moving, state.model)
    return told.loss(model, part, key, state.progress)

  if told.prepare:
    batch = told.prepare(batch, key)
  elif told.accumulate > 1:
    raise ValueError(
      f'config.train.accumulate is {told.accumulate}: the loss of this '
      'run draws for whole batches only; give 1'
    )
  (value, metrics), gradients = accumulate_lib.differentiated(
    part_loss, moving, batch, told.accumulate
  )
  directions, moments = optimizer_lib.direction(optimizer).update(
    gradients, state.optimizer, moving
  )
  rate = optimizer_lib.rate_at(optimizer, state.step, state.progress)
  updates = jax.tree.map(lambda d: rate * d, directions)
  if told.rates:
    factors = _like(told.rates(state.model, state.progress), updates)
    updates = jax.tree.map(lambda u, factor: factor * u, updates, factors)
  norms = _norms('gradient_norm', gradients, told)
  finite = jnp.isfinite(value) & jnp.isfinite(norms['gradient_norm'])
  moved = jax.tree.map(lambda p, u: p - u, moving, updates)
  model = _joined(moved, state.model)
  keep = jnp.minimum(ema, (1 + state.step) / (10 + state.step))
  average = jax.tree.map(
    lambda a, p: keep * a + (1 - keep) * p, state.ema, model
  )
  model, average, moments = jax.tree.map(
    lambda new, old: jnp.where(finite, new, old),
    (model, average, moments),
    (state.model, state.ema, state.optimizer),
  )
  skipped = jnp.where(finite, 0, state.skipped + 1)
  metrics = {
    'loss': value,
    **accumulate_lib.finished(metrics),
    **norms,
    **_norms('update_norm', updates, told),
    'rate': rate,
    'skipped': skipped.astype(jnp.float32),
  }
  state = state_lib.TrainState(
    state.step + 1, progress, skipped, model, average, moments
  )
  return state, metrics


def _moving(model: nnx.Module, told: Lesson) -> nnx.Module:
  """The model with nothing in the place of what is frozen."""
  if not told.frozen:
    return model
  return jax.tree.map(
    lambda leaf, frozen: optax.MaskedNode() if frozen else leaf,
    model,
    told.frozen(model),
  )


def _joined(moving: nnx.Module, model: nnx.Module) -> nnx.Module:
  """`moving`, and where it has nothing, `model`."""
  return jax.tree.map(
    lambda leaf, whole: whole if _is_nothing(leaf) else leaf,
    moving,
    model,
    is_leaf=_is_nothing,
  )


def _like(whole: Any, moving: Any) -> Any:
  """A tree like the model with nothing where `moving` has nothing."""
  return jax.tree.map(
    lambda leaf, value: leaf if _is_nothing(leaf) else value,
    moving,
    whole,
    is_leaf=_is_nothing,
  )


def _is_nothing(leaf: Any) -> bool:
  """Whether something frozen was there."""
  return isinstance(leaf, optax.MaskedNode)


def _norms(name: str, tree: Any, told: Lesson) -> Metrics:
  """The norm of a tree like what moves, and of each of its parts."""
  norms = {name: optax.global_norm(tree)}
  if told.parts:
    leaves = {}
    names = _like(told.parts(tree), tree)
    for part, leaf in zip(
      jax.tree.leaves(names), jax.tree.leaves(tree), strict=True
    ):
      leaves.setdefault(part, []).append(leaf)
    norms |= {f'{name}/{p}': optax.global_norm(leaves[p]) for p in leaves}
  return norms
