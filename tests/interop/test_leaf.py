"""Axes change places, split and merge; a part of the rows is read alone."""

import numpy as np
import pytest
from safetensors import numpy as numpy_file

from tv2tv_jax.interop import leaf as leaf_lib
from tv2tv_jax.interop import safetensors

_DRAWN = np.random.default_rng(0).normal(size=720).astype('f4')


def _tensor(folder, values):
  numpy_file.save_file({'a': values}, folder / 'model.safetensors')
  return safetensors.tensors(folder, 'model')['a']


@pytest.mark.parametrize('piece', [1, 100, 8 << 20])
@pytest.mark.parametrize('dtype', ['f4', 'f2'])
@pytest.mark.parametrize(
  'case',
  [
    ('D->D', (720,), (720,), lambda x: x),
    ('D 1 1->D', (720,), (720, 1, 1), lambda x: x[:, 0, 0]),
    (
      'O I T Y X->TYXIO',
      (3, 2, 2, 5, 12),
      (12, 5, 3, 2, 2),
      lambda x: x.transpose(2, 3, 4, 1, 0),
    ),
    (
      'O I 1 Y X->YXIO',
      (3, 4, 5, 12),
      (12, 5, 1, 3, 4),
      lambda x: x[:, :, 0].transpose(2, 3, 1, 0),
    ),
    (
      'KGH D->DKGH',
      (12, 3, 4, 5),
      (60, 12),
      lambda x: x.T.reshape(12, 3, 4, 5),
    ),
    (
      'D KGH->KGHD',
      (3, 4, 5, 12),
      (12, 60),
      lambda x: x.T.reshape(3, 4, 5, 12),
    ),
  ],
)
def test_axes_are_those_of_the_table(tmp_path, monkeypatch, piece, dtype, case):
  axes, shape, there, turn = case
  monkeypatch.setattr('tv2tv_jax.interop.safetensors._PIECE', piece)
  values = _DRAWN.reshape(there)
  leaf = leaf_lib.Leaf('a', 'b', axes, shape)
  assert leaf.whole == there
  tensor = _tensor(tmp_path, values)
  found = leaf.read(tensor, np.dtype(dtype))
  assert found.dtype == dtype
  np.testing.assert_array_equal(found, turn(values.astype(dtype)))
  assert leaf.size(tensor) == values.nbytes


@pytest.mark.parametrize('piece', [1, 100, 8 << 20])
def test_a_part_of_the_rows_is_a_leaf(tmp_path, monkeypatch, piece):
  monkeypatch.setattr('tv2tv_jax.interop.safetensors._PIECE', piece)
  values = _DRAWN.reshape(36, 20, 1, 1)
  tensor = _tensor(tmp_path, values)
  for at in range(3):
    leaf = leaf_lib.Leaf('a', 'b', 'O I Y X->YXIO', (1, 1, 20, 12), (at, 3))
    assert leaf.whole == tensor.shape
    assert leaf.size(tensor) == values.nbytes / 3
    rows = values[12 * at : 12 * at + 12, :, 0, 0]
    found = leaf.read(tensor, np.dtype('f4'))
    np.testing.assert_array_equal(found[0, 0], rows.T)


def test_what_is_wrong_is_named_in_one_error(tmp_path):
  tensor = _tensor(tmp_path, _DRAWN)
  leaves = [
    leaf_lib.Leaf(name, name, 'D->D', (size,))
    for name, size in (('a', 720), ('b', 720), ('c', 72), ('d', 5))
  ]
  found = dict.fromkeys(('a', 'c', 'e', 'f'), tensor)
  with pytest.raises(ValueError) as error:
    leaf_lib.check(tmp_path, [leaves[:1], leaves[1:]], found)
  assert str(error.value) == (
    f'{tmp_path}: not the model of its config.json: missing b, d; '
    'not known e, f; c is [720], not [72]'
  )
