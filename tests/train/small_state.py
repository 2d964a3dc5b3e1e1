"""States of a run that were never trained, and the data that go with them."""

from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from tv2tv_jax import sharding
from tv2tv_jax.train import feed as feed_lib
from tv2tv_jax.train import state as state_lib


class Model(nnx.Module):
  """A matrix and a few numbers."""

  def __init__(self, number: int, rows: int = 64):
    key = jax.random.key(number, impl='rbg')
    matrix = jax.random.normal(key, (rows, 32))
    self.matrix = nnx.Param(sharding.place(matrix, 'embed_in', 'mlp'))
    self.few = nnx.Param(sharding.place(jnp.full(3, float(number))))


class Count:
  """Batches that are no more than counted."""

  def __init__(self):
    self.drawn = 0

  def __next__(self):
    self.drawn += 1
    return {'x': np.zeros(8, np.float32)}

  def get_state(self):
    return {'drawn': self.drawn}

  def set_state(self, state):
    self.drawn = state['drawn']


def state(step: int, rows: int = 64) -> state_lib.TrainState:
  """Another state for each step."""

  @jax.jit
  def born():
    return state_lib.TrainState(
      step=jnp.int32(step),
      progress=jnp.float32(step / 100),
      skipped=jnp.int32(0),
      model=Model(4 * step, rows),
      ema=Model(4 * step + 1, rows),
      optimizer=(Model(4 * step + 2, rows), jnp.int32(step)),
    )

  return born()


def abstract(rows: int = 64) -> state_lib.TrainState:
  """What any of them is like."""
  return sharding.abstract(lambda: state(1, rows))


def feed(step: int = 0) -> feed_lib.Feed:
  """Data after so many batches."""
  feed = feed_lib.Feed(feed_lib.data(Count()))
  for _ in range(step):
    next(feed)
  return feed


def check_equal(one: Any, other: Any) -> None:
  """All leaves are equal, bit for bit."""
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    np.testing.assert_array_equal(a, b)
