"""Which settings a sweep should look at first: a guess by a few formulas.

Only an order: what is said of a setting in the end is said of its compiled
program.
"""

from collections.abc import Iterator
import dataclasses
import itertools
import math
from typing import NamedTuple

from configs import schema
from launch.pod import plan as plan_lib
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
  row = {remat: _of_a_row(run, remat) for remat in AGAIN}
  found = [
    Guess(
      setting,
      _memory(setting, run, row[setting.remat]),
      _seconds(setting, run, topology),
    )
    for setting in settings(run, topology)
  ]
  found = [each for each in found if each.memory <= topology.chip.memory]
  if not found:
    raise ValueError(
      f'--topology={topology.name}: no mesh, policy and parts of a batch of '
      f'{run.data.batch} rows would fit its chips of '
      f'{topology.chip.memory / 2**30:.1f} GiB: give a larger slice'
    )
  return sorted(found, key=lambda each: (each.seconds, each.memory))


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
      count % (tensor * context)
      or towers.key_heads % tensor
      or run.model.vocabulary % tensor
      or film % context
      or data.text_length % context
    ):
      continue
    for copies in (1, 2, 4, 8):
      shares = rest // copies
      # Slices hold copies: their network is too slow for shares.
      if rest % copies or copies % topology.slices:
        continue
      mesh = (copies, shares, tensor, context)
      for parts, remat in itertools.product(_PARTS, AGAIN):
        if data.batch % (copies * shares * parts) == 0:
          yield Setting(mesh, remat, parts)


def _of_a_row(run: schema.StoryRun, remat: str) -> plan_lib.Plan:
  """The plan of one row on one device."""
  one = Setting((1, 1, 1, 1), remat, 1).applied(run)
  data = dataclasses.replace(run.data, batch=1)
  return plan_lib.plan(dataclasses.replace(one, data=data))


def _memory(
  setting: Setting, run: schema.StoryRun, row: plan_lib.Plan
) -> float:
  """The plan of a row, shared out."""
  copies, shares, tensor, context = setting.mesh
  rows = run.data.batch / (copies * shares * setting.accumulate)
  whole = shares * tensor * context
  twice = 2 if setting.accumulate > 1 else 1
  return (
    row.state / whole
    + twice * row.gradients / whole
    + row.casts / whole
    + rows * (row.kept + row.layer) / (tensor * context)
  )


def _seconds(
  setting: Setting, run: schema.StoryRun, topology: topology_lib.Topology
) -> float:
  """The longer of what is computed and what is sent, in bf16."""
  chip, towers, data = topology.chip, run.model.towers, run.data
  copies, shares, tensor, context = setting.mesh
  count = math.prod(setting.mesh)
  cost = flops.cost(
    run.model,
    rows=data.batch,
    chunks=data.chunks,
    text_length=data.text_length,
  )
  matmul = cost.flops * (1 + AGAIN[setting.remat] / 3) / count / chip.flops
  weights = 2 * 2 * towers.depth * flops.matrices(towers) / tensor
  # Matrices are gathered for each way and each part, gradients shared out.
  sent = 3 * setting.accumulate * weights * (1 - 1 / (shares * context))
  tokens = cost.tokens / (copies * shares * context)
  passes = 2 + AGAIN[setting.remat]
  # Twice a layer a sum over `tensor`, which costs two ways around a ring.
  sums = passes * 4 * (1 - 1 / tensor) * tokens * 2 * towers.width
  keys = 2 * towers.key_heads * towers.head_width / tensor
  gathers = passes * (context - 1) * tokens * 2 * keys
  sent += towers.depth * (sums + gathers)
  return max(matmul, sent / (2 * chip.link))
