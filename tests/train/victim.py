"""A small run that notes what it is doing, and may kill itself meanwhile."""

from collections.abc import Iterator, Mapping
import contextlib
import json
import os
import pathlib
import signal
import threading
from typing import Any, NamedTuple
from unittest import mock

from flax import nnx
import grain
import jax
import jax.numpy as jnp
import numpy as np

from tv2tv_jax import sharding
from tv2tv_jax.nn import dense
from tv2tv_jax.train import bundle
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import loop
from tv2tv_jax.train import optimizer as optimizer_lib

CONFIG = loop.TrainConfig(
  steps=60,
  log_every=1,
  save_every=4,
  evaluate_every=100,
  optimizer=optimizer_lib.OptimizerConfig(rate=0.02, warmup=3),
)
PHASES = ('start', 'restore', 'step', 'save', 'background', 'end')


class Moment(NamedTuple):
  """When a process is killed.

  Attributes:
    phase: one of `PHASES`.
    count: how many times the phase begins before.
    delay: seconds after it began.
  """

  phase: str
  count: int
  delay: float


def run(
  workdir: pathlib.Path,
  log: pathlib.Path,
  mesh: tuple[int, ...],
  moment: Moment | None,
) -> None:
  """Trains on a mesh until the end, or until the moment.

  Args:
    workdir: of the run.
    log: gets a line of JSON for each phase, with the batch that a step uses;
      beside it, at the end, `.npz` with all of the state.
    mesh: how 8 devices are laid out.
    moment: when to die.
  """
  phases = _Phases(log, moment)
  phases.begin('start')
  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_num_cpu_devices', 8)
  jax.config.update('jax_compilation_cache_dir', str(log.parent / 'cache'))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  with jax.set_mesh(sharding.make_mesh(mesh)), _watched(phases):
    state = loop.train(_init, _loss, _Batches(phases), CONFIG, workdir)
    phases.begin('end')
    leaves = checkpoint.named(state)
    numbers = {name: np.asarray(leaf) for name, leaf in leaves.items()}
    np.savez(log.with_suffix('.npz'), **numbers)
    phases.begin('over')


class _Phases:
  """What a process is doing, and its death at a moment of it."""

  def __init__(self, log: pathlib.Path, moment: Moment | None):
    self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    self._moment, self._counts = moment, {}

  def begin(self, phase: str, **more: Any) -> None:
    line = json.dumps({'phase': phase, **more}) + '\n'
    os.write(self._log, line.encode())
    count = self._counts.get(phase, 0)
    self._counts[phase] = count + 1
    if self._moment is None or self._moment[:2] != (phase, count):
      return
    if not self._moment.delay:
      self._die()
    timer = threading.Timer(self._moment.delay, self._die)
    timer.daemon = True
    timer.start()

  def _die(self) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def _watched(phases: _Phases) -> Iterator[None]:
  """Notes when checkpoints are read and written."""
  read, save = bundle.read, checkpoint.Checkpoints.save

  def noted_read(folder, *args):
    phases.begin('restore', step=int(folder.name))
    return read(folder, *args)

  def noted_save(self, state, feed, *, step, last=False):
    due = last or step % CONFIG.save_every == 0
    if due:
      phases.begin('save')
    seconds = save(self, state, feed, step=step, last=last)
    if due:
      phases.begin('background')
    return seconds

  with (
    mock.patch.object(bundle, 'read', noted_read),
    mock.patch.object(checkpoint.Checkpoints, 'save', noted_save),
  ):
    yield


class _Source:
  """Numbers by their index."""

  def __len__(self) -> int:
    return 80

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    x = np.random.default_rng(index).normal(size=8).astype('f4')
    return {'x': x, 'id': np.int32(index)}


class _Batches:
  """Shuffled batches; which ones a step is given is noted."""

  def __init__(self, phases: _Phases):
    dataset = grain.MapDataset.source(_Source()).seed(0).shuffle().repeat()
    self._batches = iter(dataset.batch(8).to_iter_dataset())
    self._phases = phases

  def __next__(self) -> Mapping[str, np.ndarray]:
    batch = next(self._batches)
    self._phases.begin('step', batch=batch['id'].tolist())
    return {'x': batch['x']}

  def get_state(self) -> dict[str, Any]:
    return self._batches.get_state()

  def set_state(self, state: Mapping[str, Any]) -> None:
    self._batches.set_state(state)


class _Model(nnx.Module):
  """Two layers, large enough that writing them takes a moment."""

  def __init__(self, rngs: nnx.Rngs):
    self.into = dense.Dense(
      'BD,DF->BF', (8, 64), ('embed_in', 'mlp'), rngs=rngs
    )
    self.out = dense.Dense('BF,FD->BD', (64, 8), ('mlp', 'embed_in'), rngs=rngs)


def _init(key: jax.Array) -> nnx.Module:
  return _Model(nnx.Rngs(key))


def _loss(model, batch, key, progress):
  noise = 0.1 * jax.random.normal(key, ())
  hidden = jnp.tanh(model.into(batch['x'], 'batch', 'mlp'))
  error = model.out(hidden, 'batch', 'embed') - batch['x'] + noise
  return jnp.mean(jnp.square(error)), {}
