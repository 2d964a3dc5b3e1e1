"""Logical axes become mesh axes in one place, and nowhere without a mesh."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
import numpy as np
import pytest

from tests import ports
from tv2tv_jax import sharding


def test_without_a_mesh_there_is_no_layout():
  assert sharding.spec('batch', 'length') is None
  x = jnp.ones(4)
  assert sharding.place(x, 'embed_in') is x


def test_axes_are_looked_up(mesh):
  expected = PartitionSpec(('data', 'fsdp'), None, 'tensor')
  assert sharding.spec('batch', None, 'heads') == expected
  with pytest.raises(KeyError, match='btach'):
    sharding.spec('btach')


def test_no_mesh_axis_is_used_twice_by_a_weight(mesh):
  for axes in (('embed_in', 'mlp'), ('embed_in', 'heads', 'head_dim')):
    jax.NamedSharding(mesh, sharding.spec(*axes))  # Raises on a collision.


def test_an_abstract_tree_has_the_layout_of_the_real_one(mesh):
  def make(key):
    return sharding.place(jax.random.normal(key, (8, 4)), 'embed_in', 'mlp')

  abstract = sharding.abstract(make, jax.random.key(0))
  real = jax.jit(make)(jax.random.key(0))
  assert abstract.sharding.spec == real.sharding.spec
  assert (abstract.shape, abstract.dtype) == (real.shape, real.dtype)


def test_a_mesh_that_does_not_divide_a_weight_is_named(mesh):
  with pytest.raises(ValueError, match=r"'mlp' into \{'tensor': 2\}.* 7, of"):
    sharding.place(jnp.ones((8, 7)), 'embed_in', 'mlp')


@pytest.mark.parametrize(
  'shape,sizes',
  [
    (None, (1, 8, 1, 1)),
    ((2, -1), (2, 4, 1, 1)),
    ((1, 2, 1, -1), (1, 2, 1, 4)),
    ((-1,), (8, 1, 1, 1)),
  ],
)
def test_what_is_left_may_be_left_out(shape, sizes):
  assert sharding.make_mesh(shape).devices.shape == sizes


@pytest.mark.parametrize(
  'shape', [(3, -1), (-1, -1), (0, -1), (8, 2), (1, 8, 1, 1, 1), (-2, -4)]
)
def test_sizes_that_do_not_fit_are_named(shape):
  with pytest.raises(ValueError, match='does not cover 8 devices'):
    sharding.make_mesh(shape)


class _Chip:
  """A device of a slice."""

  platform = 'cpu'
  device_kind = 'chip'
  process_index = 0

  def __init__(self, number, slice_index):
    self.id, self.slice_index = number, slice_index


@pytest.mark.parametrize(
  'shape,axis', [((2, 4), 0), ((4, 1, 2), 0), ((1, 4, 2), 1)]
)
def test_slices_are_crossed_along_the_outermost_axis(shape, axis):
  """Devices that a slow network parts are never neighbours along another."""
  chips = [_Chip(i, i // 4) for i in range(8)]
  devices = sharding.make_mesh(shape, devices=chips).devices
  halves = [
    {chip.slice_index for chip in half.flat}
    for half in np.split(devices, 2, axis=axis)
  ]
  assert halves in ([{0}, {1}], [{1}, {0}])


def test_slices_that_do_not_divide_the_outermost_axis_are_named():
  chips = [_Chip(i, i // 2) for i in range(6)]
  with pytest.raises(ValueError, match='3 slices do not divide 2 devices'):
    sharding.make_mesh((2, 3), devices=chips)


def test_a_mesh_that_does_not_fit_is_named():
  with pytest.raises(ValueError, match=r'mesh \(3, 1, 1\) does not cover 8'):
    sharding.make_mesh((3, 1, 1))


def test_one_process_gives_every_row():
  assert sharding.rows_here(6) == range(6)
  for shape in ((2, 2, 2), (1, 8, 1), (1, 1, 8)):
    with jax.set_mesh(sharding.make_mesh(shape)):
      assert sharding.rows_here(16) == range(16)


_PROCESS = """
import sys
import jax, numpy as np
jax.config.update('jax_num_cpu_devices', 2)
jax.distributed.initialize(f'localhost:{sys.argv[1]}', 2, int(sys.argv[2]))
from tv2tv_jax import sharding
for shape, count in (((1, 4, 1), 4), ((2, 1, 2), 4), ((1, 1, 4), 8)):
  with jax.set_mesh(sharding.make_mesh(shape)):
    here = sharding.rows_here(8)
    assert len(here) == count, here
    batch = sharding.put_batch(np.arange(8.0)[here.start : here.stop])
    assert batch.shape == (8,)
    for part in batch.addressable_shards:
      np.testing.assert_array_equal(part.data, np.arange(8.0)[part.index])
print('alike')
"""


def test_processes_give_the_rows_that_their_devices_hold():
  """A batch is the same on two processes, also where they share its rows."""
  command = [sys.executable, '-c', _PROCESS, str(ports.free())]
  environment = {**os.environ, 'XLA_FLAGS': '', 'JAX_PLATFORMS': 'cpu'}
  processes = [
    subprocess.Popen(
      [*command, str(number)],
      env=environment,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for number in range(2)
  ]
  for process in processes:
    out, error = process.communicate(timeout=120)
    assert out.endswith('alike\n'), error
