"""Which settings a sweep should look at first: a guess by a few formulas.

Only an order: what is said of a setting in the end is said of its compiled
program.
"""

from collections.abc import Iterator
import dataclasses
import itertools
import math
from typing import NamedTuple

import numpy as np

from configs import schema
from launch.pod import collectives as collectives_lib
from launch.pod import plan as plan_lib
from launch.pod import roofline as roofline_lib
from launch.pod import topology as topology_lib
from tv2tv_jax.train import flops

# Of a way forward through the towers, about what each policy computes again.
AGAIN = {
  'none': 0.0,
  'dots': 0.05,
  'projections': 0.6,
  'attention': 0.9,
  'layer': 1.0,
}
_PARTS = (1, 2, 4, 8, 16, 32)
_OVER = 1.3  # Of the memory: a compiler that has little takes less.
_PASSES = 300  # Over the stream of a layer, there or computed again.
_KERNELS = 1.05  # Attention's way back computes scores once more.
_WHOLE = 0.3  # Of them, over what `tensor` does not split.
_TENSOR = (1, 2, 4, 8)
_CONTEXT = (1, 2, 4)


class Setting(NamedTuple):
  """What a sweep tries.

  Attributes:
    mesh: devices along `sharding.MESH_AXES`.
    remat: the rematerialisation policy of the towers.
    accumulate: parts of a batch.
  """

  mesh: tuple[int, ...]
  remat: str
  accumulate: int

  @property
  def name(self) -> str:
    """Of a file about it."""
    mesh = 'x'.join(map(str, self.mesh))
    return f'{mesh}-{self.remat}-{self.accumulate}'

  def applied(self, run: schema.StoryRun) -> schema.StoryRun:
    """The run under this setting."""
    towers = dataclasses.replace(run.model.towers, remat=self.remat)
    return dataclasses.replace(
      run,
      model=dataclasses.replace(run.model, towers=towers),
      train=dataclasses.replace(run.train, accumulate=self.accumulate),
    )


class Guess(NamedTuple):
  """A setting, and what is guessed of it: bytes and seconds of a device."""

  setting: Setting
  memory: float
  seconds: float


def guesses(
  run: schema.StoryRun, topology: topology_lib.Topology
) -> list[Guess]:
  """All settings that divide a slice and may fit it, the fastest first.

  Raises:
    ValueError: there are none.
  """
  rows = {remat: _of_a_row(run, remat) for remat in AGAIN}
  found = [
    guess(setting, run, topology, rows[setting.remat])
    for setting in settings(run, topology)
  ]
  room = _OVER * topology.chip.memory
  found = [each for each in found if each.memory <= room]
  if not found:
    raise ValueError(
      f'--topology={topology.name}: no mesh, policy and parts of a batch of '
      f'{run.data.batch} rows would fit its chips of '
      f'{topology.chip.memory / 2**30:.1f} GiB: give a larger slice'
    )
  return sorted(found, key=lambda each: (each.seconds, each.memory))


def guess(
  setting: Setting,
  run: schema.StoryRun,
  topology: topology_lib.Topology,
  row: plan_lib.Plan | None = None,
) -> Guess:
  """Of one setting.

  Args:
    setting: which one.
    run: what runs.
    topology: where.
    row: the plan of a row under its policy, if that is known; tracing takes
      seconds.
  """
  memory = _memory(setting, run, row or _of_a_row(run, setting.remat))
  return Guess(setting, memory, _seconds(setting, run, topology))


def settings(
  run: schema.StoryRun, topology: topology_lib.Topology
) -> Iterator[Setting]:
  """Meshes that divide devices, widths, words, film and batch; every policy."""
  count = len(topology.devices)
  towers, data = run.model.towers, run.data
  film = data.chunks * run.model.frames.tokens
  for tensor, context in itertools.product(_TENSOR, _CONTEXT):
    rest = count // (tensor * context)
    if (
      count % (tensor * context * topology.slices)
      or towers.key_heads % tensor
      or run.model.vocabulary % tensor
      or film % context
      or data.text_length % context
    ):
      continue
    # Slices hold copies, for their network is too slow for shares. Within one,
    # copies would take memory, and save latencies, which no roofline counts.
    mesh = (topology.slices, rest // topology.slices, tensor, context)
    for parts, remat in itertools.product(_PARTS, AGAIN):
      if data.batch % (rest * parts) == 0:
        yield Setting(mesh, remat, parts)


def _of_a_row(run: schema.StoryRun, remat: str) -> plan_lib.Plan:
  """The plan of one row on one device, with kernels."""
  one = Setting((1, 1, 1, 1), remat, 1).applied(run)
  data = dataclasses.replace(run.data, batch=1)
  return plan_lib.plan(dataclasses.replace(one, data=data), kernels=True)


def _memory(
  setting: Setting, run: schema.StoryRun, row: plan_lib.Plan
) -> float:
  """The plan of a row, shared out; what goes from layer to layer stays whole.

  A layer's own arrays are split along `tensor`, the stream between layers is
  not.
  """
  copies, shares, tensor, context = setting.mesh
  rows = run.data.batch / (copies * shares * context * setting.accumulate)
  whole = shares * tensor * context
  twice = 2 if setting.accumulate > 1 else 1
  shared = plan_lib.Plan(
    state=row.state // whole,
    gradients=twice * row.gradients // whole,
    kept=int(rows * row.kept),
    layer=int(rows * row.layer / tensor),
    casts=row.casts // whole,
  )
  return shared.total


def _seconds(
  setting: Setting, run: schema.StoryRun, topology: topology_lib.Topology
) -> float:
  """Of a step, links half beside everything else, as a sweep rates it.

  The constants are those of the compiled steps of launch/recipes.
  """
  chip = topology.chip
  matmul = _flops(setting, run) / chip.flops
  hbm = _bytes(setting, run) / chip.bandwidth
  # Some instructions wait for the one, some for the other.
  busy = matmul + 2 / 3 * hbm
  mesh = topology_lib.mesh(topology, setting.mesh)
  links = sum(
    sum(roofline_lib.seconds(each, topology, mesh))
    for each in _collectives(setting, run)
  )
  return (max(busy, links) + busy + links) / 2


def _flops(setting: Setting, run: schema.StoryRun) -> float:
  """Operations of the device that has most to do."""
  shape = dict(chunks=run.data.chunks, text_length=run.data.text_length)
  cost = flops.cost(run.model, rows=run.data.batch, **shape)
  attention = 3 * run.data.batch * flops.forward(run.model, **shape).attention
  context = setting.mesh[-1]
  most = context * flops.pairs(run.model, **shape, devices=context)
  uneven = attention * (most / flops.pairs(run.model, **shape) - 1)
  again = _KERNELS + AGAIN[setting.remat] / 3
  return again * (cost.flops + uneven) / math.prod(setting.mesh)


def _bytes(setting: Setting, run: schema.StoryRun) -> float:
  """To and from HBM, of a device: each layer reads and writes its stream."""
  split = _WHOLE + (1 - _WHOLE) / setting.mesh[2]
  return _PASSES * split * run.model.towers.depth * _stream(setting, run)


def _stream(setting: Setting, run: schema.StoryRun) -> float:
  """Bytes of what goes from layer to layer, on a device, of a whole batch."""
  copies, shares, _, context = setting.mesh
  film = 2 * run.data.chunks * run.model.frames.tokens
  tokens = run.data.batch * (run.data.text_length + film)
  return 2 * run.model.towers.width * tokens / (copies * shares * context)


def _collectives(
  setting: Setting, run: schema.StoryRun
) -> list[collectives_lib.Collective]:
  """What a step sends, in bf16."""
  towers, again = run.model.towers, AGAIN[setting.remat]
  _, shares, tensor, context = setting.mesh
  devices = np.arange(math.prod(setting.mesh)).reshape(setting.mesh)
  places = {
    'weights': devices[0, :, 0, :],
    'copies': devices[:, 0, 0, 0],
    'tensor': devices[0, 0, :, 0],
    'context': devices[0, 0, 0, :],
  }
  weights = 2 * 2 * towers.depth * flops.matrices(towers) / tensor
  share = weights / (shares * context)
  stream = _stream(setting, run)
  keys = stream * 2 * towers.key_heads * towers.head_width / towers.width
  keys *= context / tensor
  parts, depth = setting.accumulate, towers.depth
  sent = [
    ('all-gather', 'weights', weights, 2 * parts),
    ('all-reduce', 'weights', weights, parts),
    ('all-reduce', 'copies', share, parts),
    # After attention and after the matrices, either way.
    ('all-reduce', 'tensor', stream, depth * (4 + again)),
    ('all-gather', 'context', keys, depth * (1 + again)),
    ('reduce-scatter', 'context', keys, depth),
  ]
  return [
    collectives_lib.Collective(
      where, kind, tuple(places[where].reshape(-1).tolist()), (), size, runs
    )
    for kind, where, size, runs in sent
    if places[where].size > 1
  ]
