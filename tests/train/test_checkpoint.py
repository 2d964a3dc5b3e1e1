"""A checkpoint of another model is refused, and a model filled in parts."""

import re

from flax import nnx
import grain
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tv2tv_jax.nn import dense
from tv2tv_jax.nn import stack
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import loop


class _Model(nnx.Module):
  """Two layers; `names` of kernels with how many columns they have."""

  def __init__(self, names, rngs):
    for name, columns in names.items():
      layer = dense.Dense('BD,DF->BF', (4, columns), (None, None), rngs=rngs)
      setattr(self, name, layer)
    self.layers = stack.stacked(
      lambda r: dense.Dense('BD,DF->BF', (4, 6), ('embed_in', 'mlp'), rngs=r),
      3,
      rngs=rngs,
    )


def _init(**names):
  return lambda key: _Model(names, nnx.Rngs(key))


def _born(**names):
  return jax.jit(_init(**names))(jax.random.key(0, impl='rbg'))


def _loss(model, batch, key, progress):
  return jnp.sum(jnp.square(model.layers.kernel[...])) + 0 * batch.sum(), {}


def _train(workdir, steps=1, **names):
  batches = grain.MapDataset.source(np.zeros((8, 2), 'f4')).repeat().batch(2)
  config = loop.TrainConfig(steps=steps, save_every=1)
  batches = iter(batches.to_iter_dataset())
  return loop.train(_init(**names), _loss, batches, config, workdir)


def test_a_run_is_begun_when_a_checkpoint_is_there(tmp_path):
  assert not checkpoint.begun(tmp_path)
  _train(tmp_path, a=2)
  assert checkpoint.begun(tmp_path)


def test_all_that_differs_is_named(tmp_path):
  _train(tmp_path, a=2, b=3, c=4)
  with pytest.raises(ValueError) as error:
    checkpoint.restore_model(tmp_path, _init(a=2, b=5, d=1))
  assert str(error.value) == (
    f'{tmp_path}: its checkpoint is of another model: missing ema.d.kernel; '
    'not known ema.c.kernel; ema.b.kernel is [4, 3], not [4, 5]'
  )
  with pytest.raises(ValueError, match=re.escape(str(tmp_path))) as error:
    _train(tmp_path, steps=2, a=2, b=5, d=1)
  for part in ('model', 'ema'):
    assert f'{part}.b.kernel is [4, 3], not [4, 5]' in str(error.value)
  assert re.search(
    r'missing .*run\.optimizer\.\S*\.d\.kernel', str(error.value)
  )
  assert re.search(r'not known .*run\.optimizer\S*\.c\.', str(error.value))


def _parts():
  rng = np.random.default_rng(0)
  yield {'x': rng.normal(size=(4, 2)).astype('f4')}
  for i in range(3):
    yield {f'l.{i}': rng.normal(size=(4, 6)).astype('f2')}


def _source(**changes):
  return {
    'a.kernel': 'x',
    'layers.kernel': ('l.0', 'l.1', 'l.2'),
  } | changes


@pytest.mark.parametrize('meshed', [False, True])
def test_a_model_is_filled_in_its_dtype_and_layout(tmp_path, meshed, request):
  if meshed:
    request.getfixturevalue('mesh')
  checkpoint.write_parts(tmp_path / 'parts', _parts())
  model = _born(a=2, b=3)
  kept = np.asarray(model.b.kernel[...])
  layout = model.layers.kernel[...].sharding
  model = checkpoint.filled(model, tmp_path / 'parts', _source())
  x, *layers = (leaf for part in _parts() for leaf in part.values())
  np.testing.assert_array_equal(model.a.kernel[...], x)
  np.testing.assert_array_equal(model.b.kernel[...], kept)
  stacked = model.layers.kernel[...]
  np.testing.assert_array_equal(stacked, np.stack(layers).astype('f4'))
  assert stacked.dtype == jnp.float32
  assert stacked.sharding.is_equivalent_to(layout, 3)


def test_parts_of_another_model_are_refused(tmp_path):
  checkpoint.write_parts(tmp_path / 'parts', _parts())
  source = _source(**{'b.kernel': 'y', 'layers.kernel': ('l.0', 'l.1')})
  source['b.kernel'], source['a.kernel'] = 'x', 'y'
  with pytest.raises(ValueError) as error:
    checkpoint.filled(_born(a=2, b=3), tmp_path / 'parts', source)
  assert str(error.value) == (
    f'{tmp_path}/parts: its checkpoint is of another model: missing y; not '
    'known l.2; x is [4, 2], not [4, 3]'
  )
