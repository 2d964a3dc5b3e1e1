"""A run that was interrupted is the run that was not."""

import dataclasses
import itertools
import json
import types

from flax import nnx
import grain
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tv2tv_jax import sharding
from tv2tv_jax.nn import dense
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import clock as clock_lib
from tv2tv_jax.train import feed
from tv2tv_jax.train import loop
from tv2tv_jax.train import metrics as metrics_lib
from tv2tv_jax.train import optimizer as optimizer_lib
from tv2tv_jax.train import step as step_lib
from tv2tv_jax.train import workdir as workdir_lib

_CONFIG = loop.TrainConfig(
  steps=12,
  log_every=1,
  save_every=5,
  evaluate_every=6,
  optimizer=optimizer_lib.OptimizerConfig(rate=0.05, warmup=2),
)


class _Source:
  def __len__(self):
    return 40

  def __getitem__(self, index):
    return {'x': np.random.default_rng(index).normal(size=8).astype('f4')}


def _batches():
  dataset = grain.MapDataset.source(_Source()).seed(0).shuffle().repeat()
  return iter(dataset.batch(8).to_iter_dataset())


def _init(key):
  return dense.Dense(
    'BD,DF->BF', (8, 8), ('embed_in', 'mlp'), rngs=nnx.Rngs(key)
  )


def _loss(model, batch, key, progress):
  noise = 0.1 * jax.random.normal(key, ())
  error = model(batch['x'], 'batch', 'mlp') - batch['x'] + noise
  return jnp.mean(jnp.square(error)), {}


def _train(workdir, batches=None, config=_CONFIG, loss=_loss, **kwargs):
  return loop.train(
    _init, loss, batches or _batches(), config, workdir, **kwargs
  )


class _InterruptedError(Exception):
  pass


def _interrupt(model):
  """An evaluation, at step 6, that the machine does not survive."""
  raise _InterruptedError


def _losses(workdir):
  records = metrics_lib.read(workdir / 'metrics.jsonl')
  return [r['loss'] for r in records if 'loss' in r]


@pytest.mark.parametrize('meshes', [((1, 8, 1),) * 2, ((2, 2, 2), (1, 4, 2))])
def test_resumed_equals_uninterrupted(tmp_path, meshes):
  with jax.set_mesh(sharding.make_mesh(meshes[0])):
    whole = _train(tmp_path / 'whole')
    with pytest.raises(_InterruptedError):
      _train(tmp_path / 'parts', evaluate=_interrupt)
  with jax.set_mesh(sharding.make_mesh(meshes[1])):
    parts = _train(tmp_path / 'parts')
  exact = meshes[0] == meshes[1]
  for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
    if exact:
      np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(
    _losses(tmp_path / 'whole'), _losses(tmp_path / 'parts'), rtol=1e-4
  )


def test_a_finished_run_is_not_run_again(tmp_path):
  first = _train(tmp_path)
  again = _train(tmp_path, batches=_batches())
  assert int(again.step) == 12
  np.testing.assert_array_equal(
    first.model.kernel[...], again.model.kernel[...]
  )
  assert len(_losses(tmp_path)) == 12


def test_inference_gets_the_average(tmp_path):
  state = _train(tmp_path)
  model = checkpoint.restore_model(tmp_path, _init)
  np.testing.assert_array_equal(model.kernel[...], state.ema.kernel[...])
  assert not np.array_equal(model.kernel[...], state.model.kernel[...])


def test_evaluations_are_written(tmp_path):
  _train(tmp_path, evaluate=lambda model: {'figure': 7.0})
  records = metrics_lib.read(tmp_path / 'metrics.jsonl')
  assert [r['step'] for r in records if 'figure' in r] == [6, 12]


def test_a_time_limit_ends_the_run_with_a_finished_schedule(
  tmp_path, monkeypatch
):
  """Whatever the machine: by a clock that advances when it is looked at."""
  ticks = itertools.count()
  clock = types.SimpleNamespace(monotonic=lambda: next(ticks) / 100)
  monkeypatch.setattr(clock_lib, 'time', clock)
  config = dataclasses.replace(_CONFIG, steps=10**9, minutes=1 / 60)
  state = _train(tmp_path, config=config)
  assert float(state.progress) == 1.0
  records = metrics_lib.read(tmp_path / 'metrics.jsonl')
  rates = [r['rate'] for r in records if 'rate' in r]
  assert rates[-1] < 0.2 * config.optimizer.rate < max(rates)


def test_the_compiler_is_told_what_a_lesson_says(tmp_path):
  lesson = step_lib.Lesson(_loss, compiler_options={'xla_no_such_option': '1'})
  with pytest.raises(jax.errors.JaxRuntimeError, match='xla_no_such_option'):
    _train(tmp_path, loss=lesson)


def test_waiting_for_the_compiler_is_no_training(tmp_path, monkeypatch):
  """It compiles once for each shape of batches."""
  shapes = grain.MapDataset.source([8, 8, 16, 8, 16]).repeat()
  batches = iter(
    shapes.map(lambda rows: {'x': np.zeros((rows, 8), 'f4')}).to_iter_dataset()
  )
  paused = []
  count = clock_lib.Clock.paused

  def noted(clock):
    paused.append(clock)
    return count(clock)

  monkeypatch.setattr(clock_lib.Clock, 'paused', noted)
  _train(tmp_path, batches=batches)
  assert len(paused) == 2


def test_other_data_are_refused_or_begin_anew(tmp_path):
  """Whatever JSON their recipe is of."""
  recipe = {'a': [], 'b': None, 'c': {'d': (0.5, 'e', True)}, 'f': ''}
  with pytest.raises(_InterruptedError):
    _train(
      tmp_path,
      feed.Data(_batches(), {'seed': 0, **recipe}),
      evaluate=_interrupt,
    )
  other = feed.Data(_batches(), {'seed': 1, **recipe})
  with pytest.raises(ValueError, match=r'other data: seed is 1, was 0\. Give'):
    _train(tmp_path, other)
  assert len(_losses(tmp_path)) == 6
  state = _train(tmp_path, other._replace(reset=True))
  assert int(state.step) == 12 and len(_losses(tmp_path)) == 12


def test_a_workdir_of_another_config_is_refused(tmp_path):
  workdir_lib.claim(tmp_path, _CONFIG)
  workdir_lib.claim(tmp_path, _CONFIG)
  other = dataclasses.replace(_CONFIG, seed=3)
  with pytest.raises(ValueError, match=r'config\.seed is 3, was 0'):
    workdir_lib.claim(tmp_path, other)
  assert json.loads((tmp_path / 'config.json').read_text())['seed'] == 0


def test_no_checkpoint_is_said(tmp_path):
  with pytest.raises(ValueError, match='train first'):
    checkpoint.restore_model(tmp_path, _init)


@pytest.mark.parametrize('shape', ['linear', 'cosine'])
def test_the_rate_grows_holds_and_falls(shape):
  config = optimizer_lib.OptimizerConfig(
    rate=2.0, warmup=10, shape=shape, decay_from=0.5, final=0.1
  )

  def rate(step, progress):
    rate = optimizer_lib.rate_at(config, jnp.int32(step), jnp.float32(progress))
    return float(rate)

  assert rate(0, 0.0) == pytest.approx(0.2)
  assert rate(50, 0.5) == pytest.approx(2.0)
  assert rate(75, 0.75) == pytest.approx(1.1)
  assert rate(100, 1.0) == pytest.approx(0.2)
