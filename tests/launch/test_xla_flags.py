"""Flags of a chip are known to the compilers, and give way to a person's."""

import os
import subprocess
import sys

import pytest

from launch import xla_flags

_TPU = """
import sys
import jax
import jax.numpy as jnp
from jax.experimental import topologies
topology = topologies.get_topology_desc(
  platform='tpu', topology_name=sys.argv[1]
)
mesh = topologies.make_mesh(topology, (4,), ('x',))
layout = jax.NamedSharding(mesh, jax.P('x'))
x = jax.ShapeDtypeStruct((1024, 512), jnp.bfloat16, sharding=layout)
jax.jit(lambda x: jnp.sum(x @ x.T)).lower(x).compile()
print('compiled')
"""
_XLA = "import jax; jax.devices(); print('compiled')"
_SLICES = {'v5e': 'v5e:2x2', 'v5p': 'v5p:2x2x1', 'v6e': 'v6e:2x2'}


def _python(text, *words, **environment):
  quiet = {
    'JAX_PLATFORMS': 'cpu',
    'TPU_SKIP_MDS_QUERY': '1',
    'TPU_ACCELERATOR_TYPE': 'v5p-8',
    'TPU_WORKER_HOSTNAMES': 'localhost',
    'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
  }
  return subprocess.run(
    [sys.executable, '-c', text, *words],
    env={**os.environ, **quiet, **environment},
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.mark.parametrize('chip', _SLICES)
def test_a_tpus_flags_are_known_to_its_compiler(chip):
  pytest.importorskip('libtpu')
  found = xla_flags.environment(chip, {})
  assert set(found) == {'LIBTPU_INIT_ARGS'}
  done = _python(_TPU, _SLICES[chip], **found)
  assert done.stdout.endswith('compiled\n'), done.stderr


def test_an_unknown_flag_would_show():
  pytest.importorskip('libtpu')
  done = _python(_TPU, 'v5e:2x2', LIBTPU_INIT_ARGS='--xla_tpu_no_such_flag=1')
  assert done.returncode and 'xla_tpu_no_such_flag' in done.stderr


def test_a_gpus_flags_are_known_to_xla():
  """No GPU is needed: whatever the device, an unknown flag is an error."""
  for chip in ('h100', 'h200'):
    assert xla_flags.CHIPS[chip] == xla_flags.CHIPS['h100']
  found = xla_flags.environment('h200', {})
  assert set(found) == {'XLA_FLAGS', 'XLA_PYTHON_CLIENT_MEM_FRACTION'}
  done = _python(_XLA, **found)
  assert done.stdout == 'compiled\n', done.stderr
  done = _python(_XLA, XLA_FLAGS='--xla_gpu_no_such_flag=1')
  assert done.returncode and 'xla_gpu_no_such_flag' in done.stderr


def test_what_was_set_before_counts_more():
  before = {
    'LIBTPU_INIT_ARGS': '--xla_tpu_scoped_vmem_limit_kib=1 --other=2',
    'XLA_PYTHON_CLIENT_MEM_FRACTION': '0.5',
  }
  found = xla_flags.environment('v6e', before)['LIBTPU_INIT_ARGS'].split()
  assert found[-2:] == ['--xla_tpu_scoped_vmem_limit_kib=1', '--other=2']
  assert len(found) == 4
  assert set(xla_flags.environment('h100', before)) == {'XLA_FLAGS'}


def test_a_shell_can_read_it(capsys):
  assert xla_flags.main(['v5p']) == 0
  name, _, value = capsys.readouterr().out.strip().partition('=')
  assert name == 'export LIBTPU_INIT_ARGS'
  assert value.startswith("'--xla_tpu_") and value.endswith("'")


@pytest.mark.parametrize('words', [['v9'], [], ['v5e', 'v5p']])
def test_another_chip_is_refused(words, capsys):
  assert xla_flags.main(words) == 2
  assert 'give v5e, v5p, v6e, h100, h200' in capsys.readouterr().err
