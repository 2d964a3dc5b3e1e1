"""A small run as a program, that says where it is and may stand still."""

from collections.abc import Callable
import os
import pathlib
import time

from absl import flags
from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from launch import run as run_lib
from tv2tv_jax import sharding
from tv2tv_jax.nn import dense
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import leader
from tv2tv_jax.train import loop
from tv2tv_jax.train import optimizer as optimizer_lib

_BATCH = 4


class Batches:
  """Numbers by the number of the batch, of which every one is announced."""

  def __init__(self, announce: Callable[[int], None]):
    self._announce, self._number = announce, 0

  def __next__(self):
    self._announce(self._number)
    rng = np.random.default_rng(self._number)
    rows = sharding.rows_here(_BATCH)
    x = rng.normal(size=(_BATCH, 8)).astype('f4')[rows.start : rows.stop]
    self._number += 1
    return {'x': x}

  def get_state(self):
    return {'number': self._number}

  def set_state(self, state):
    self._number = state['number']


def init(key):
  """A model."""
  return dense.Dense(
    'BD,DF->BF', (8, 8), ('embed_in', 'mlp'), rngs=nnx.Rngs(key)
  )


def loss(model, batch, key, progress):
  """How far the model is from giving back what it is given, with noise."""
  noise = 0.1 * jax.random.normal(key, ())
  error = model(batch['x'], 'batch', 'mlp') - batch['x'] + noise
  return jnp.mean(jnp.square(error)), {}


def _fails() -> None:
  raise OSError('the disk of the leader is full')


def _main(_) -> None:
  values = flags.FLAGS

  def announce(number: int) -> None:
    print(f'batch {number}', flush=True)
    time.sleep(600 if number == values.stands_at else values.seconds)

  workdir = pathlib.Path(values.workdir)
  config = loop.TrainConfig(
    steps=values.steps,
    log_every=1,
    save_every=1000,
    watchdog_seconds=values.watchdog,
    optimizer=optimizer_lib.OptimizerConfig(rate=0.05, warmup=2),
  )
  state = loop.train(init, loss, Batches(announce), config, workdir)
  if jax.process_count() == 1:
    named = checkpoint.named(state)
    np.savez(
      workdir / 'end.npz', **{n: np.asarray(x) for n, x in named.items()}
    )
    return
  print('decided', leader.decides(jax.process_index() + 0.1), flush=True)
  try:
    leader.does(_fails)
  except ValueError as error:
    print('said', error, flush=True)


if __name__ == '__main__':
  jax.config.update('jax_num_cpu_devices', int(os.environ['DEVICES']))
  flags.DEFINE_string('workdir', None, 'Of the run.')
  flags.DEFINE_integer('steps', 20, 'Of the run.')
  flags.DEFINE_float('seconds', 0.05, 'That a batch takes.')
  flags.DEFINE_integer('stands_at', -1, 'The batch that never comes.')
  flags.DEFINE_float('watchdog', 0.0, 'Seconds that a step may take.')
  run_lib.app(_main)
