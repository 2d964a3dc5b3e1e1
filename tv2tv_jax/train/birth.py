"""A run begins at its birth, or at its newest checkpoint."""

from collections.abc import Callable

from flax import nnx
import jax

from tv2tv_jax import sharding
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import feed as feed_lib
from tv2tv_jax.train import optimizer as optimizer_lib
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.train import step as step_lib
from tv2tv_jax.typing import PrngKey

Begin = Callable[[nnx.Module], nnx.Module]


def begun(
  init: Callable[[PrngKey], nnx.Module],
  lesson: step_lib.Lesson,
  optimizer: optimizer_lib.OptimizerConfig,
  seed: int,
  begin: Begin | None,
  feed: feed_lib.Feed,
  checkpoints: checkpoint.Checkpoints,
) -> state_lib.TrainState:
  """The newest checkpoint's state, with the feed where it was, or a new one.

  Args:
    init: makes the model from a key.
    lesson: what it learns.
    optimizer: how parameters move.
    seed: of the initial parameters.
    begin: what to make of the model at birth; it may give up its argument.
    feed: the batches.
    checkpoints: of the run.

  Raises:
    ValueError: the checkpoint is of another model or other data.
  """

  def state_of(model: nnx.Module) -> state_lib.TrainState:
    return step_lib.born(model, lesson, optimizer)

  # Threefry would take the compiler five times as long to draw parameters.
  key = jax.random.key(seed, impl='rbg')
  abstract = sharding.abstract(lambda key: state_of(init(key)), key)
  state = checkpoints.restore(abstract, feed)
  if state is None:
    model = jax.jit(init)(key)
    model = begin(model) if begin else model
    state = jax.jit(state_of, donate_argnums=0)(model)
  return state
