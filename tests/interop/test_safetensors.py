"""A folder that is not whole is refused before anything is read."""

import json
import re

import numpy as np
import pytest

from tests.interop import folders
from tv2tv_jax.interop import safetensors


def test_tensors_are_where_the_header_says(tmp_path):
  held = folders.tensors()
  found = safetensors.tensors(folders.write(tmp_path), 'model')
  assert found.keys() == held.keys()
  for name, tensor in found.items():
    rows = np.concatenate([piece for _, piece in tensor.pieces()])
    np.testing.assert_array_equal(rows, held[name])
    assert tensor.size == held[name].nbytes


@pytest.mark.parametrize('kept', [0, 5, 100, -1])
def test_a_file_cut_short_is_named(tmp_path, kept):
  path = folders.write(tmp_path) / 'model.safetensors'
  path.write_bytes(path.read_bytes()[:kept])
  with pytest.raises(ValueError, match=f'^{re.escape(str(path))}: no safe'):
    safetensors.tensors(tmp_path, 'model')


def test_all_missing_shards_are_named(tmp_path):
  index = folders.shard(folders.write(tmp_path))
  for name in set(json.loads(index.read_text())['weight_map'].values()):
    (tmp_path / name).unlink()
  with pytest.raises(ValueError, match=r'no .*-00001-of.*-00002-of'):
    safetensors.tensors(tmp_path, 'model')


def test_an_index_of_other_tensors_is_refused(tmp_path):
  index = folders.shard(folders.write(tmp_path))
  places = json.loads(index.read_text())['weight_map']
  places['other'] = places.pop('lm_head.weight')
  index.write_text(json.dumps({'weight_map': places}))
  with pytest.raises(ValueError, match=r'lm_head.*None; other is in None'):
    safetensors.tensors(tmp_path, 'model')


@pytest.mark.parametrize(
  'text', ['', '[]', '{}', '{"weight_map": {"a": "../b"}}']
)
def test_a_broken_index_is_named(tmp_path, text):
  index = folders.shard(folders.write(tmp_path))
  index.write_text(text)
  with pytest.raises(ValueError, match=re.escape(str(index))):
    safetensors.tensors(tmp_path, 'model')


def test_no_weights_are_said(tmp_path):
  (folders.write(tmp_path) / 'model.safetensors').unlink()
  with pytest.raises(ValueError, match='neither'):
    safetensors.tensors(tmp_path, 'model')


def test_other_numbers_are_named(tmp_path):
  folders.write(tmp_path, {'a': np.zeros(3, 'i4'), 'b': np.zeros(2, 'f8')})
  with pytest.raises(ValueError, match='a is I32') as error:
    safetensors.tensors(tmp_path, 'model')
  assert 'b is F64' in str(error.value)
