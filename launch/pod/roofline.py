"""How long a step takes at least, and what holds it up.

  busy = sum over instructions of max(operations / peak, bytes / bandwidth)
  step = max(busy, HBM, links),   MFU = needed operations / (step * peak) (1)

`HBM` is the time of all bytes at full bandwidth, copies between memories among
them, which run beside the rest. So do collectives: `links` is their time by
rings over the links that join the devices of a group. Left out: the latency of
whatever is small, tiles that are not full, arithmetic outside of matrix
products, two groups on one link, and the host.
"""

from collections.abc import Sequence
import math
from typing import NamedTuple

from jax.sharding import Mesh
import numpy as np

from launch.pod import collectives as collectives_lib
from launch.pod import topology as topology_lib
from launch.pod import work as work_lib
from tv2tv_jax.train import chips


class Roofline(NamedTuple):
  """Seconds of a step on each device.

  Attributes:
    matmul: of all matrix products at their peak.
    hbm: of all bytes to and from HBM.
    links: of all collectives, one after another.
    busy: as in (1).
    step: as in (1).
    apart: `busy + links`: where nothing runs beside anything else.
    bound: what holds the step up: `matmul`, `HBM` or `ICI` (`DCN`, where that
      is most of the links' time).
  """

  matmul: float
  hbm: float
  links: float
  busy: float
  step: float
  apart: float
  bound: str


def roofline(
  work: Sequence[work_lib.Work],
  collectives: Sequence[collectives_lib.Collective],
  topology: topology_lib.Topology,
  mesh: Mesh,
) -> Roofline:
  """Of a program on a topology."""
  chip = topology.chip
  matmul = sum(each.flops for each in work) / chip.flops
  hbm = sum(each.bytes for each in work) / chip.bandwidth
  busy = sum(_busy(each, chip) for each in work)
  times = [seconds(each, topology, mesh) for each in collectives]
  ici, dcn = (
    (sum(part) for part in zip(*times, strict=True)) if times else (0, 0)
  )
  links = ici + dcn
  bound = 'matmul' if matmul >= hbm else 'HBM'
  if links > max(busy, hbm):
    bound = 'DCN' if dcn > ici else 'ICI'
  step = max(busy, hbm, links)
  return Roofline(matmul, hbm, links, busy, step, busy + links, bound)


def _busy(work: work_lib.Work, chip: chips.Chip) -> float:
  """Seconds that an instruction keeps the others waiting."""
  if work.apart:
    return 0.0
  return max(work.flops / chip.flops, work.bytes / chip.bandwidth)


def seconds(
  collective: collectives_lib.Collective,
  topology: topology_lib.Topology,
  mesh: Mesh,
) -> tuple[float, float]:
  """Seconds of a collective on the fast network, and on the slow one.

  Over several slices each device exchanges its share with those of the others
  that hold the same one.
  """
  kind, chip = collective.kind, topology.chip
  devices = mesh.devices.reshape(-1)[list(collective.group)]
  slices = {getattr(device, 'slice_index', 0) for device in devices}
  near = max(1, len(devices) // len(slices))
  size = collective.size * collective.runs
  ici = dcn = 0.0
  if kind == 'collective-permute':
    if len(slices) > 1:
      return 0.0, size / chip.network
    return size / chip.link, 0.0
  if near > 1:
    first = [d for d in devices if getattr(d, 'slice_index', 0) in (0, None)]
    width = chip.link * _ways(first[:near], topology)
    ici = collectives_lib.share(kind, near) * size / width
    if kind == 'all-to-all':
      # Half of a ring's way on average, in either direction.
      ici *= max(1.0, near / 4)
  if len(slices) > 1:
    far = collectives_lib.share(kind, len(slices)) * size / near
    dcn = far / chip.network
  return ici, dcn


def _ways(devices: Sequence, topology: topology_lib.Topology) -> int:
  """Links of a device that a collective among these uses at a time.

  Of each dimension of the torus along which they lie two where it closes, else
  one; one in all where they are no box.
  """
  corners = np.array([device.coords for device in devices])
  extents = [len(set(column)) for column in corners.T.tolist()]
  boxes = len({tuple(corner) for corner in corners.tolist()})
  if math.prod(extents) != boxes:
    return 1
  ways = 0
  for dimension, extent in enumerate(extents):
    if extent > 1:
      whole = extent == topology.torus[dimension]
      ways += 2 if whole and topology.wraps(dimension) else 1
  return max(1, ways)
