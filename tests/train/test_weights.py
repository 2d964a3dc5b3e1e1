"""Weights of others are put into a model, in parts."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tv2tv_jax.nn import dense
from tv2tv_jax.nn import stack
from tv2tv_jax.train import weights


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


def _born(**names):
  key = jax.random.key(0, impl='rbg')
  return jax.jit(lambda key: _Model(names, nnx.Rngs(key)))(key)


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
  weights.write_parts(tmp_path / 'parts', _parts())
  model = _born(a=2, b=3)
  kept = np.asarray(model.b.kernel[...])
  layout = model.layers.kernel[...].sharding
  model = weights.filled(model, tmp_path / 'parts', _source())
  x, *layers = (leaf for part in _parts() for leaf in part.values())
  np.testing.assert_array_equal(model.a.kernel[...], x)
  np.testing.assert_array_equal(model.b.kernel[...], kept)
  stacked = model.layers.kernel[...]
  np.testing.assert_array_equal(stacked, np.stack(layers).astype('f4'))
  assert stacked.dtype == jnp.float32
  assert stacked.sharding.is_equivalent_to(layout, 3)


def test_parts_of_another_model_are_refused(tmp_path):
  weights.write_parts(tmp_path / 'parts', _parts())
  source = _source(**{'b.kernel': 'y', 'layers.kernel': ('l.0', 'l.1')})
  source['b.kernel'], source['a.kernel'] = 'x', 'y'
  with pytest.raises(ValueError) as error:
    weights.filled(_born(a=2, b=3), tmp_path / 'parts', source)
  assert str(error.value) == (
    f'{tmp_path}/parts: its checkpoint is of another model: missing y; not '
    'known l.2; x is [4, 2], not [4, 3]'
  )
