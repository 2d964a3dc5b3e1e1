"""Slices of TPU chips that this machine does not have, for their compiler.

libtpu compiles for any slice on any x86 machine; it is never asked for a chip.
"""

from collections.abc import Sequence
import importlib.util
import os
from typing import NamedTuple

import jax
from jax.experimental import topologies
from jax.sharding import Mesh
import numpy as np

from tv2tv_jax import sharding
from tv2tv_jax.train import chips

_TPUS = ('v5e', 'v5p', 'v6e', 'tpu7x')
GPUS = {'h100': 'NVIDIA H100 80GB HBM3', 'h200': 'NVIDIA H200'}
_FORMS = 'v5e:4x8, v5p:4x4x8, v6e:16x16 or tpu7x:4x4x4; or h100, h200'


class Topology(NamedTuple):
  """Devices and how they are joined.

  Attributes:
    name: as it is given: `v5p:4x4x8`.
    chip: what each device is.
    devices: all of them; none of a GPU, which has no compiler here.
    torus: chips along each dimension of a slice.
    slices: tori, which the slow network joins.
  """

  name: str
  chip: chips.Chip
  devices: Sequence[jax.Device]
  torus: tuple[int, ...]
  slices: int

  def wraps(self, dimension: int) -> bool:
    """Whether the torus closes along a dimension, so that it has two ways.

    Cubes of 4 x 4 x 4 chips do, in whatever number; of chips that lie in a
    plane only the whole side of a pod, 16 (Cloud TPU's documentation).
    """
    sizes = [size for size in self.torus if size > 1] or [1]
    if self.chip.links == 4:
      return self.torus[dimension] == 16
    return min(sizes) >= 4 and len(sizes) == 3


def described(name: str, slices: int = 1) -> Topology:
  """The topology of a name.

  Raises:
    ValueError: an unknown one, or no libtpu to ask.
  """
  if name in GPUS:
    return Topology(name, chips.of(GPUS[name]), (), (1,), slices)
  kind, _, shape = name.partition(':')
  sizes = [int(size) for size in shape.split('x') if size.isdigit()]
  if kind not in _TPUS or len(sizes) != shape.count('x') + 1:
    raise ValueError(f'--topology is {name!r}: give one like {_FORMS}')
  if importlib.util.find_spec('libtpu') is None:
    raise ValueError(
      f"--topology={name} needs libtpu, the TPU's compiler: "
      "pip install -e '.[tpu]'"
    )
  _quiet(kind)
  try:
    found = topologies.get_topology_desc(
      platform='tpu', topology_name=name, num_slices=slices
    )
  except (jax.errors.JaxRuntimeError, RuntimeError) as error:
    said = str(error).splitlines()[0]
    raise ValueError(
      f'--topology={name}: libtpu knows no such slice ({said}); give one like '
      f'{_FORMS}'
    ) from None
  devices = found.devices
  corners = np.array([device.coords for device in devices])
  return Topology(
    name,
    chips.of(devices[0].device_kind),
    devices,
    tuple((corners.max(axis=0) + 1).tolist()),
    slices,
  )


def alone(topology: Topology) -> Topology:
  """One device of a topology, for comparison."""
  return topology._replace(
    devices=topology.devices[:1], torus=(1,) * len(topology.torus), slices=1
  )


def mesh(topology: Topology, shape: Sequence[int] | None) -> Mesh:
  """The mesh of its devices.

  Raises:
    ValueError: the shape does not fit.
  """
  return sharding.make_mesh(shape, devices=topology.devices)


def _quiet(kind: str) -> None:
  """Tells libtpu that there is no TPU here, nor anything to ask about one."""
  os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')
  os.environ.setdefault('TPU_ACCELERATOR_TYPE', f'{kind}-8')
  os.environ.setdefault('TPU_WORKER_HOSTNAMES', 'localhost')
  os.environ.setdefault('ALLOW_MULTIPLE_LIBTPU_LOAD', '1')
  os.environ.setdefault('TPU_STDERR_LOG_LEVEL', '3')
  os.environ.setdefault('TPU_MIN_LOG_LEVEL', '3')
