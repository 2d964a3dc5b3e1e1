"""A checkpoint in pieces is the checkpoint."""

import math

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.launch import workdirs
from tv2tv_jax import sharding
from tv2tv_jax.train import bundle
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import digest
from tv2tv_jax.train import pieces
from tv2tv_jax.tv2tv import model as model_lib


def _bits(array):
  array = np.asarray(array)
  return array.view(f'u{array.dtype.itemsize}')


def _read(array):
  """An array, box by box."""
  out = np.empty(array.shape, array.dtype)
  for box in array.boxes():
    out[box] = array.read(box)
  return out


def test_boxes_are_the_arrays_that_were_saved(tmp_path, mesh):
  values = np.random.default_rng(0).normal(size=(2, 8, 16)).astype('f4')
  with jax.set_mesh(mesh):
    layout = sharding.spec(None, 'embed_in', 'mlp')
    saved = {
      'a.b': jax.device_put(values, jax.NamedSharding(mesh, layout)),
      'c': jnp.asarray(values[0], jnp.bfloat16),
    }
    contents = bundle.contents({'ema': saved}, data={})
    bundle.write(tmp_path / '1', {'ema': saved}, contents)
  found = pieces.opened(tmp_path / '1' / 'ema')
  assert found.keys() == saved.keys()
  assert len(list(found['a.b'].boxes())) > 1
  for name, array in found.items():
    np.testing.assert_array_equal(_bits(_read(array)), _bits(saved[name]))


@pytest.mark.parametrize('shape', [(1, 1, 1), (2, 2, 2)])
def test_what_orbax_writes_can_be_read_a_chunk_at_a_time(
  tmp_path, monkeypatch, shape
):
  """However large an array, and whatever of it a device has."""
  monkeypatch.setattr(bundle, '_CHUNK', 1 << 10)
  rng = np.random.default_rng(0)
  values = {
    'layers.kernel': rng.normal(size=(6, 32, 24)).astype('f4'),
    'table': rng.normal(size=(1000, 4)).astype('f4'),
    'odd': rng.normal(size=(2, 7, 331)).astype('f4'),
    'scale': rng.normal(size=31).astype('f4'),
    'one': np.float32(3),
  }
  devices = jax.devices()[: math.prod(shape)]
  mesh = sharding.make_mesh(shape, devices=devices)
  with jax.set_mesh(mesh):
    layouts = {'layers.kernel': sharding.spec(None, 'embed_in', 'mlp')}
    saved = {
      name: jax.device_put(
        value,
        jax.NamedSharding(
          mesh, layouts.get(name, jax.sharding.PartitionSpec())
        ),
      )
      for name, value in values.items()
    }
    contents = bundle.contents({'ema': saved}, data={})
    bundle.write(tmp_path / '1', {'ema': saved}, contents)
    read = bundle.read(tmp_path / '1', {'ema': saved}, contents)['ema']
  for name, array in pieces.opened(tmp_path / '1' / 'ema').items():
    boxes = [math.prod(b.stop - b.start for b in box) for box in array.boxes()]
    assert sum(boxes) == values[name].size
    assert max(boxes) * array.dtype.itemsize <= 1 << 10, name
    np.testing.assert_array_equal(_read(array), values[name])
    np.testing.assert_array_equal(read[name], values[name])


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'int8'])
@pytest.mark.parametrize('shape', [(), (7,), (3, 5, 4), (2, 3, 40, 1000)])
def test_digests_of_boxes_add_up(shape, dtype):
  values = 9 * np.random.default_rng(0).normal(size=shape).astype('f4')
  values = jnp.asarray(values).astype(dtype)
  whole = digest.digests({'a': values})['a']
  values = np.asarray(values)
  assert digest.of_box(values, (0,) * len(shape), shape) == whole
  total, cuts = 0, [(slice(0, n // 3), slice(n // 3, n)) for n in shape]
  for which in np.ndindex(*[2] * len(shape)):
    box = tuple(cut[at] for cut, at in zip(cuts, which, strict=True))
    begin = tuple(part.start for part in box)
    if math.prod(part.stop - part.start for part in box):
      total += digest.of_box(np.asarray(values[box]), begin, shape)
  assert total % 2**32 == whole


@pytest.mark.parametrize('chunk', [16 << 20, 600])
def test_arrays_that_are_adopted_are_a_checkpoint(tmp_path, monkeypatch, chunk):
  monkeypatch.setattr(pieces, '_CHUNK', chunk)
  run = workdirs.run(workdirs.model_config())
  own = workdirs.leaves(0, run)
  saved = {name: np.asarray(value) for name, value in own.items()}
  shapes = {name: value.shape for name, value in saved.items()}
  arrays = pieces.begin(tmp_path / 'aside', shapes)
  for name, array in arrays.items():
    for box in array.boxes():
      assert math.prod(b.stop - b.start for b in box) * 4 <= chunk
      array.write(box, saved[name][box])
  contents = bundle.sealed(
    {f'ema.{name}': kind for name, kind in bundle.kinds(saved).items()},
    {f'ema.{name}': number for name, number in digest.digests(own).items()},
    data={},
  )
  place = tmp_path / 'run' / 'checkpoints' / '3'
  pieces.adopt(tmp_path / 'aside', place, 'ema', contents)
  assert {path.name for path in tmp_path.iterdir()} == {'run'}
  model = checkpoint.restore_model(
    tmp_path / 'run', lambda key: model_lib.Tv2tv(run.model, rngs=nnx.Rngs(key))
  )
  for name, leaf in checkpoint.named(model).items():
    np.testing.assert_array_equal(_bits(leaf), _bits(saved[name]))


def test_what_is_no_checkpoint_is_said(tmp_path):
  with pytest.raises(bundle.DamagedError, match='no arrays there'):
    pieces.opened(tmp_path)
