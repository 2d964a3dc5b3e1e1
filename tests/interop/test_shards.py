"""Files of tensors are what the library reads, whatever was written first."""

import errno
import json
import os

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import numpy as numpy_file

from tv2tv_jax.interop import safetensors
from tv2tv_jax.interop import shards

_F4, _BF16 = np.dtype('f4'), np.dtype(jnp.bfloat16)
_KINDS = {
  'a': (_F4, (3, 4)),
  'b': (_BF16, (5,)),
  'c': (_F4, (2, 2)),
  'd': (_BF16, (100, 2)),
  'e': (_F4, (1,)),
}


@pytest.mark.parametrize(
  ('text', 'size'),
  [('5GB', 5 * 10**9), ('200MB', 2 * 10**8), ('1.5KB', 1500), ('30', 30)],
)
def test_sizes_have_units(text, size):
  assert shards.size(text) == size


@pytest.mark.parametrize('text', ['', 'GB', '0MB', '-1GB', '5 apples', '1 GiB'])
def test_another_size_is_named(text):
  with pytest.raises(ValueError, match='is no size: give a number with KB, MB'):
    shards.size(text)


@pytest.mark.parametrize(('most', 'files'), [(1000, 1), (70, 4), (1, 5)])
def test_what_is_written_is_what_the_library_reads(tmp_path, most, files):
  tensors = shards.begin(tmp_path, 'model', _KINDS, most)
  drawn = {
    name: np.random.default_rng(0).normal(size=shape).astype(dtype)
    for name, (dtype, shape) in _KINDS.items()
  }
  for name in reversed([n for n in _KINDS if n != 'c']):
    tensors[name].mapped(write=True)[...] = drawn[name]
  drawn['c'] = np.zeros_like(drawn['c'])  # What is not written.
  shards.flush(tensors.values())
  paths = sorted(tmp_path.glob('*.safetensors'))
  assert len(paths) == files
  read = {}
  for path in paths:
    read |= numpy_file.load_file(path)
  assert list(read) and read.keys() == drawn.keys()
  for name, value in drawn.items():
    assert read[name].dtype == value.dtype
    np.testing.assert_array_equal(read[name], value)
  assert safetensors.tensors(tmp_path, 'model') == tensors
  index = tmp_path / 'model.safetensors.index.json'
  assert index.exists() == (files > 1)
  if files > 1:
    held = json.loads(index.read_text())
    size = sum(value.nbytes for value in drawn.values())
    assert held['metadata'] == {'total_size': size}
    assert held['weight_map'].keys() == drawn.keys()


def test_a_full_disk_is_named_before_anything_is_written(tmp_path, monkeypatch):
  def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(os, 'posix_fallocate', full)
  with pytest.raises(OSError, match=r'No space left on device: .*model\.safe'):
    shards.begin(tmp_path, 'model', _KINDS, 1000)
