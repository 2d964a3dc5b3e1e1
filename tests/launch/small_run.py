"""A small run on made-up stories, for one process or several.

Rows are by their number, so that it shows which ones a process read: they are
kept in `rows-PROCESS.txt`, a line a batch.
"""

import dataclasses
import os
import pathlib
import signal
import time

from absl import flags
from flax import nnx
import grain
import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines import stream
from launch import run as run_lib
from tests import tiny
from tv2tv_jax import sharding
from tv2tv_jax.nn import dense
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import loop
from tv2tv_jax.train import objective
from tv2tv_jax.train import optimizer as optimizer_lib
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.tv2tv import model as model_lib

BATCH = 4
# Whose step compiles in half the time that a U-Net takes.
_FRAMES = dataclasses.replace(
  tiny.config().frames, coder='linear', channels=(8,), blocks=(1,)
)
_MODEL = tiny.config(depth=1, frames=_FRAMES)
_MISHAPS = ('none', 'kill', 'raise')


class _Rows:
  """Stories of one number each, and latents drawn from it."""

  def __len__(self) -> int:
    return 1 << 30

  def __getitem__(self, index):
    said = (6 + index % 20, 6 + index % 13)
    row = tiny.row(tiny.STORY._replace(words=((), said, (), (11,))))
    fields = {name: np.asarray(x[0]) for name, x in row._asdict().items()}
    latents = np.asarray(tiny.latents(index, 1)[0])
    return {**fields, 'latents': latents, 'number': np.int32(index)}


class _Batches:
  """This process's share, with a mishap in the middle of it."""

  def __init__(self, workdir, mishap, at):
    share = stream.Share.of(sharding.rows_here(BATCH), BATCH)
    mine = stream.Mine(_Rows(), BATCH, share)
    self._stream = stream.Stream(grain.MapDataset.source(mine).map(_stacked))
    self._workdir = workdir
    self._read = workdir / f'rows-{jax.process_index()}.txt'
    self._mishap, self._at = mishap, at
    self.get_state = self._stream.get_state
    self.set_state = self._stream.set_state

  def __iter__(self):
    return self

  def __next__(self):
    batch = next(self._stream)
    if self.get_state()['batches'] > self._at:
      if self._mishap == 'kill':
        while not checkpoint.finished(self._workdir):
          time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)
      if self._mishap == 'raise':
        raise ValueError('the stories of this host are gone')
    with self._read.open('a') as file:
      print(*batch.pop('number'), file=file)
    return batch


def _stacked(rows):
  return {name: np.stack([r[name] for r in rows]) for name in rows[0]}


def _born(key):
  """A model of waves: drawing one would take the compiler ten times as long."""
  abstract = jax.eval_shape(
    lambda key: model_lib.Tv2tv(_MODEL, rngs=nnx.Rngs(key)), key
  )

  def waves(leaf):
    numbers = 0.15 * jnp.sin(jnp.arange(leaf.size, dtype=leaf.dtype) ** 2)
    layout = leaf.sharding.spec if sharding.has_mesh() else None
    numbers = numbers.reshape(leaf.shape)
    return jax.sharding.reshard(numbers, layout) if layout else numbers

  return jax.tree.map(waves, abstract)


def _plain(key):
  """A model that compiles in a second."""
  return dense.Dense(
    'BD,DF->BF', (4, 4), ('embed_in', 'mlp'), rngs=nnx.Rngs(key)
  )


def _plain_loss(model, batch, key, progress):
  """Depends on every row, on the key, and on nothing else."""
  x = jnp.mean(batch['latents'], axis=(1, 2, 4))
  error = model(x, 'batch', 'mlp') - jnp.sum(x, axis=1, keepdims=True)
  return jnp.mean(jnp.square(error + 0.1 * jax.random.normal(key, ()))), {}


_MODELS = {
  'plain': (_plain, _plain_loss),
  'tv2tv': (_born, objective.lesson(objective.ObjectiveConfig())),
}


def train(workdir, *, model, steps, save_every=2, mishap='none', at=0):
  """A whole run, from wherever it is, under the mesh that is set."""
  workdir.mkdir(parents=True, exist_ok=True)
  config = loop.TrainConfig(
    steps=steps,
    log_every=1,
    save_every=save_every,
    optimizer=optimizer_lib.OptimizerConfig(rate=0.01, warmup=2),
  )
  return loop.train(
    *_MODELS[model],
    _Batches(workdir, mishap, at),
    config,
    workdir,
  )


def _main(_) -> None:
  values = flags.FLAGS
  hit = jax.process_index() == values.victim
  state = train(
    pathlib.Path(values.workdir),
    model=values.model,
    steps=values.steps,
    mishap=values.mishap if hit else 'none',
    at=values.at,
  )
  if sharding.leads():
    report = pathlib.Path(values.workdir) / 'report.json'
    workdir_lib.write_whole(report, f'{{"steps": {int(state.step)}}}\n')


if __name__ == '__main__':
  jax.config.update('jax_num_cpu_devices', int(os.environ['DEVICES']))
  flags.DEFINE_string('workdir', None, 'Of the run.')
  flags.DEFINE_enum('model', 'plain', list(_MODELS), 'What is trained.')
  flags.DEFINE_integer('steps', 4, 'Of the run.')
  flags.DEFINE_enum('mishap', 'none', _MISHAPS, 'What happens to the victim.')
  flags.DEFINE_integer('victim', 1, 'A process.')
  flags.DEFINE_integer('at', 0, 'The batch before the mishap.')
  run_lib.app(_main)
