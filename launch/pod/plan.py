"""The memory of a step by formula, where there is no compiler to ask.

  total = state + 1.3 (gradients + kept + layer + casts)                  (1)

`kept` is what JAX itself keeps of the way forward for the way back, under the
rematerialisation policy of the run; `layer` is what it would keep of one layer
if nothing were computed again, which is there while a layer's way back runs.
Both are shapes, by tracing: nothing is computed or allocated. Gradients are
fp32, twice where a batch is taken in parts; `casts` are the towers' matrices in
the dtype of their products. Off a TPU `layer` has the scores of one stream's
attention, three times in fp32: there are no kernels. The factor is what the
TPU's compiler took more on one slice, see launch/recipes/README.md.
"""

from collections.abc import Mapping
import contextlib
import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from configs import schema
from launch import lessons
from launch.pod import program as program_lib
from launch.pod import topology as topology_lib

_MORE = 1.3
ROOM = 0.1  # of the memory that should stay free.
_GIB = 2**30


class Plan(NamedTuple):
  """Bytes of a device, part by part: the terms of (1)."""

  state: int
  gradients: int
  kept: int
  layer: int
  casts: int

  @property
  def total(self) -> int:
    """All together, by (1)."""
    return self.state + int(_MORE * sum(self[1:]))


def plan(
  run: schema.StoryRun, mesh: Mesh | None = None, *, kernels: bool = False
) -> Plan:
  """Of a device of a mesh, or of the only one.

  Args:
    run: the run.
    mesh: of the devices.
    kernels: whether attention runs in kernels, which keep no scores, on the
      only device, too; on a mesh it does.

  Raises:
    ValueError: a batch or a model that does not fit the mesh.
  """
  if mesh is not None:
    program_lib.check(run, mesh)
  with jax.set_mesh(mesh) if mesh else contextlib.nullcontext():
    state = program_lib.abstract_state(run, lessons.lesson(run))
    layer = 0
    if run.model.towers.remat != 'none':
      layer = _kept(_cut(run, depth=2)) - _kept(_cut(run, depth=1))
    plain = mesh is None and not kernels
    if plain and run.model.towers.attention == 'flash':
      layer += 12 * _scores(run)
    blocks = _bytes(state.model.transformer.blocks)
    narrow = run.model.dtype == 'bfloat16'
    return Plan(
      state=_bytes(state),
      # AdamW's moments are two of their size.
      gradients=_bytes(state.optimizer)
      // 2
      * (2 if run.train.accumulate > 1 else 1),
      kept=_kept(run),
      layer=layer,
      casts=blocks // 2 if narrow else 0,
    )


def _cut(run: schema.StoryRun, *, depth: int) -> schema.StoryRun:
  """The run with fewer layers, of which everything is kept."""
  towers = dataclasses.replace(run.model.towers, depth=depth, remat='none')
  model = dataclasses.replace(run.model, towers=towers)
  return dataclasses.replace(run, model=model)


def _scores(run: schema.StoryRun) -> int:
  """Scores of a stream of chunks on all keys, in a part of a batch."""
  film = run.data.chunks * run.model.frames.tokens
  rows = run.data.batch // run.train.accumulate
  pairs = film * (run.data.text_length + film)
  return rows * run.model.towers.heads * pairs


def _kept(run: schema.StoryRun) -> int:
  """Bytes that the way back of a part of a batch needs of the way forward."""
  told = lessons.lesson(run)
  rows = dataclasses.replace(
    run.data, batch=run.data.batch // run.train.accumulate
  )
  batch = program_lib.abstract_batch(dataclasses.replace(run, data=rows))
  model = program_lib.abstract_model(run)

  def residuals(model: Any, batch: Any, key: jax.Array, progress: Any) -> Any:
    part = told.prepare(batch, key)
    loss = jax.vjp(lambda m: told.loss(m, part, key, progress)[0], model)
    return loss[1]

  progress = jax.ShapeDtypeStruct((), jnp.float32)
  traced = jax.make_jaxpr(residuals)(
    model, batch, program_lib.abstract_key(), progress
  ).jaxpr
  given = {id(variable) for variable in traced.invars}
  made = {id(each): each.aval for each in traced.outvars if each.aval.shape}
  return sum(_size(made[each]) for each in made.keys() - given)


def _bytes(tree: Any) -> int:
  """Bytes of a tree of abstract arrays on a device."""
  return sum(_size(leaf) for leaf in jax.tree.leaves(tree))


def _size(leaf: Any) -> int:
  """Bytes of an abstract array on a device."""
  layout = getattr(leaf, 'sharding', None)
  shape = layout.shard_shape(leaf.shape) if layout else leaf.shape
  return math.prod(shape) * leaf.dtype.itemsize


def report(
  run: schema.StoryRun, topology: topology_lib.Topology
) -> dict[str, Any]:
  """The plan for every number of parts that divides the batch.

  What is recommended is the fewest that leave room; None: none do.
  """
  room = (1 - ROOM) * topology.chip.memory
  batch = run.data.batch
  one, two = (plan(_with_rows(run, rows)) for rows in (1, 2))
  plans = {}
  for parts in (n for n in range(1, batch + 1) if batch % n == 0):
    more = batch // parts - 1
    plans[parts] = one._replace(
      gradients=one.gradients * (2 if parts > 1 else 1),
      kept=one.kept + more * (two.kept - one.kept),
      layer=one.layer + more * (two.layer - one.layer),
    )
  fit = [parts for parts, each in plans.items() if each.total <= room]
  return {
    'topology': topology.name,
    'chip': topology.chip._asdict(),
    'remat': run.model.towers.remat,
    'batch': batch,
    'accumulate': run.train.accumulate,
    'recommended': min(fit, default=None),
    'plans': {
      parts: each._asdict() | {'total': each.total}
      for parts, each in plans.items()
    },
  }


def _with_rows(run: schema.StoryRun, rows: int) -> schema.StoryRun:
  """The run with batches of so many rows, taken at once."""
  return dataclasses.replace(
    run,
    data=dataclasses.replace(run.data, batch=rows),
    train=dataclasses.replace(run.train, accumulate=1),
  )


def text(told: Mapping[str, Any]) -> str:
  """The plans as a table."""
  names = (*Plan._fields, 'total')
  lines = [
    f'{told["topology"]}: {told["chip"]["memory"] / _GIB:.1f} GiB; remat '
    f'{told["remat"]}; {told["batch"]} rows; GiB by formula',
    f'{"parts":>6}{"rows":>6}' + ''.join(f'{name:>11}' for name in names),
  ]
  for parts, each in told['plans'].items():
    lines.append(
      f'{parts:6}{told["batch"] // parts:6}'
      + ''.join(f'{each[name] / _GIB:11.2f}' for name in names)
    )
  parts, least = min(told['plans'].items(), key=lambda one: one[1]['total'])
  free = 1 - least['total'] / told['chip']['memory']
  if told['recommended'] is None:
    short = 'DOES NOT FIT'
    if free > 0:
      short = f'ONLY {free:.0%} FREE in {parts} parts'
    lines.append(f'{short}: freeze a tower (config.rates) or take a slice')
  else:
    lines.append(
      f'recommended: --config.train.accumulate={told["recommended"]}, the '
      f'fewest parts that leave {ROOM:.0%}'
    )
  return '\n'.join(lines)
