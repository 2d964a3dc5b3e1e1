"""A conversion holds two files of tensors at most, however large the model."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from launch.conversion import job
from launch.conversion import plan as plan_lib
from tests.launch import workdirs
from tv2tv_jax.interop import pytorch
from tv2tv_jax.interop import safetensors
from tv2tv_jax.interop import shards

_MEASURED = """
import atexit
from launch import convert, run
from tests import memory

base = memory.held()
atexit.register(lambda: print(memory.peak() - base))
run.app(convert.main, mesh='none', arguments=2)
"""
_WIDE = dict(
  width=1024, depth=4, heads=8, key_heads=8, head_width=128, hidden=2560
)
_FILE = 64 * 10**6


def _peak(kind, source, out, *flags):
  """Bytes that a conversion takes beside the program."""
  command = [sys.executable, '-c', _MEASURED, kind, source, f'--out={out}']
  done = subprocess.run(
    [*command, *flags],
    capture_output=True,
    text=True,
    check=False,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'},
  )
  assert done.returncode == 0, done.stderr
  return int(done.stdout.splitlines()[-1])


@pytest.fixture(scope='module')
def wide(tmp_path_factory):
  """A folder for PyTorch of some 400 MB, of small numbers and others."""
  folder = tmp_path_factory.mktemp('wide')
  workdir = workdirs.write(folder / 'run', parts=('ema',))
  there = folder / 'there'
  job.convert('to-pytorch', workdir, there, plan_lib.Asked())
  small = safetensors.tensors(there, 'model')
  config = json.loads((there / 'config.json').read_text())
  model = workdirs.model_config(**_WIDE)
  config['model'] = dataclasses.asdict(model)
  config['tv2tv_jax']['run']['model'] = config['model']
  (there / 'config.json').write_text(json.dumps(config))
  kinds = {
    leaf.source: (np.dtype('f4'), leaf.whole) for leaf in pytorch.model(model)
  }
  rest = {
    name: np.array(tensor.mapped())
    for name, tensor in small.items()
    if name.startswith('vae.')
  }
  kinds |= {name: (value.dtype, value.shape) for name, value in rest.items()}
  (there / 'model.safetensors').unlink()
  tensors = shards.begin(there, 'model', kinds, _FILE)
  noise = np.random.default_rng(0).normal(size=1 << 20).astype('f4')
  for name, tensor in tensors.items():
    place = tensor.mapped(write=True)
    place[...] = rest.get(name, np.resize(noise, tensor.shape))
    del place
  return there


@pytest.mark.slow
def test_memory_holds_two_files_at_most(wide, tmp_path):
  files = [path.stat().st_size for path in wide.glob('*.safetensors')]
  assert sum(files) > 5 * _FILE
  assert max(files) < 1.01 * _FILE
  peak = _peak('from-pytorch', wide, tmp_path / 'home')
  assert peak < 2 * max(files)
  again = tmp_path / 'again'
  peak = _peak('to-pytorch', tmp_path / 'home', again, '--max_shard_size=64MB')
  assert peak < 2 * max(files)
  for path in wide.glob('*.safetensors'):
    one, other = (np.memmap(f / path.name) for f in (wide, again))
    np.testing.assert_array_equal(one, other)
