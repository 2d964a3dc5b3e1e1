"""A run of some size, and the memory that its process took."""

from collections.abc import Iterator
import pathlib

from flax import nnx
import grain
import jax
import jax.numpy as jnp
import numpy as np

from tests import memory
from tv2tv_jax import sharding
from tv2tv_jax.nn import dense
from tv2tv_jax.nn import stack
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import feed as feed_lib
from tv2tv_jax.train import loop

_WIDTH, _LAYERS = 1024, 12  # 48 MiB of parameters, 192 MiB of state.


def run(workdir: pathlib.Path, grown: pathlib.Path) -> None:
  """Trains for two steps, or for what is left of them.

  Args:
    workdir: of the run; beside it a checkpoint of its first step is left, at
      `again`, unless that is there.
    grown: gets the bytes that the process grew by at most meanwhile.
  """
  jax.config.update('jax_num_cpu_devices', 2)
  with jax.set_mesh(sharding.make_mesh((1, 2))):
    memory.forget()
    before = memory.peak()
    config = loop.TrainConfig(steps=2, log_every=1, save_every=2)
    state = loop.train(_Model.born, _loss, _batches(), config, workdir)
    grown.write_text(str(memory.peak() - before))
    again = workdir.with_name('again')
    if again.exists():
      return
    with checkpoint.Checkpoints(again, every=1, keep=1) as checkpoints:
      state = state._replace(step=state.step - 1, progress=state.progress / 2)
      feed = feed_lib.Feed(feed_lib.data(_batches()))
      checkpoints.save(state, feed, step=1)


def _batches() -> Iterator[np.ndarray]:
  dataset = grain.MapDataset.source(np.ones((8, _WIDTH), 'f4')).repeat()
  return iter(dataset.batch(8).to_iter_dataset())


class _Model(nnx.Module):
  """Matrices, one after another, stacked as the layers of our towers are."""

  def __init__(self, rngs: nnx.Rngs):
    self.layers = stack.stacked(
      lambda rngs: dense.Dense(
        'BD,DF->BF', (_WIDTH, _WIDTH), ('embed_in', None), rngs=rngs
      ),
      _LAYERS,
      rngs=rngs,
    )

  @classmethod
  def born(cls, key: jax.Array) -> '_Model':
    return cls(nnx.Rngs(key))


def _loss(model, batch, key, progress):
  def through(batch, layer):
    return jnp.tanh(layer(batch, 'batch', None)), None

  batch, _ = jax.lax.scan(through, batch, model.layers)
  return jnp.mean(jnp.square(batch)), {}
