"""What is said of a compiled step: as JSON, and as a page of text."""

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from jax.sharding import Mesh

from configs import schema
from launch.pod import collectives as collectives_lib
from launch.pod import hlo
from launch.pod import plan as plan_lib
from launch.pod import program as program_lib
from launch.pod import roofline as roofline_lib
from launch.pod import runs as runs_lib
from launch.pod import topology as topology_lib
from launch.pod import work as work_lib
from tv2tv_jax.train import flops

_GIB = 2**30


def report(
  run: schema.StoryRun,
  topology: topology_lib.Topology,
  mesh: Mesh,
  made: program_lib.Compiled,
) -> dict[str, Any]:
  """Everything about a step, by bytes, seconds and operations of a device."""
  told = {
    **setting(run, mesh),
    'topology': topology.name,
    'slices': topology.slices,
    'devices': mesh.size,
    'chip': topology.chip._asdict(),
    'memory': memory(made, topology),
    'compile': {
      'trace_seconds': round(made.traced, 1),
      'compile_seconds': round(made.seconds, 1),
      'host_memory_bytes': made.host_memory,
      'versions': {name: metadata.version(name) for name in ('jax', 'libtpu')},
    },
  }
  if made.memory is None:
    return told
  program = hlo.parse(made.text)
  runs = runs_lib.runs(program)
  work = work_lib.work(program, runs, _seen(run, mesh))
  found = collectives_lib.collectives(program, runs, mesh)
  line = roofline_lib.roofline(work, found, topology, mesh)
  cost = flops.cost(
    run.model,
    rows=run.data.batch,
    chunks=run.data.chunks,
    text_length=run.data.text_length,
  )
  needed = cost.flops / mesh.size
  return told | {
    'flops': {
      'needed': needed,
      'computed': sum(each.flops for each in work),
    },
    'hbm_bytes': sum(each.bytes for each in work),
    'collectives': by_kind(found, topology, mesh),
    'seconds': line._asdict(),
    'bound': line.bound,
    'mfu': needed / (line.step * topology.chip.flops),
    'tokens_per_second': cost.tokens / line.step,
    'unknown_loops': list(runs.unknown),
  }


def _seen(run: schema.StoryRun, mesh: Mesh) -> float:
  """The share of pairs that attention to the past computes.

  Its kernels tell their cost as if every pair were seen, and skip the rest. Of
  devices along `context`, the one with most to do: the others wait for it.
  """
  context = mesh.shape['context']
  film = run.data.chunks * run.model.frames.tokens
  text = run.data.text_length
  seen = context * flops.pairs(
    run.model, chunks=run.data.chunks, text_length=text, devices=context
  )
  seen -= film * run.model.frames.tokens  # Noisy chunks, each to itself.
  return seen / ((text + 2 * film) * (text + film))


def setting(run: schema.StoryRun, mesh: Mesh) -> dict[str, Any]:
  """What a sweep tries: mesh, policy, parts of a batch."""
  return {
    'mesh': dict(zip(mesh.axis_names, mesh.devices.shape, strict=True)),
    'remat': run.model.towers.remat,
    'accumulate': run.train.accumulate,
    'batch': run.data.batch,
  }


def memory(
  made: program_lib.Compiled, topology: topology_lib.Topology
) -> dict[str, Any]:
  """Bytes of HBM, beside what the chip has."""
  held = topology.chip.memory
  if made.memory is None:
    return {'chip': held, 'total': made.needed, 'fits': False, 'free': 0.0}
  total = made.memory.total
  return {
    **made.memory._asdict(),
    'total': total,
    'chip': held,
    'free': 1 - total / held,
    'fits': total <= held,
  }


def by_kind(
  found: Sequence[collectives_lib.Collective],
  topology: topology_lib.Topology,
  mesh: Mesh,
) -> list[dict[str, Any]]:
  """Collectives of a kind over the same axes together; the slowest first."""
  rows = {}
  for each in found:
    row = rows.setdefault(
      (each.kind, each.axes),
      {
        'kind': each.kind,
        'axes': list(each.axes),
        'count': 0,
        'bytes': 0.0,
        'sent_bytes': 0.0,
        'seconds': 0.0,
      },
    )
    row['count'] += each.runs
    row['bytes'] += each.runs * each.size
    row['sent_bytes'] += each.sent
    row['seconds'] += sum(roofline_lib.seconds(each, topology, mesh))
  return sorted(rows.values(), key=lambda row: -row['seconds'])


def text(told: Mapping[str, Any]) -> str:
  """The report as a page."""
  lines = [_head(told), *_memory_lines(told['memory'])]
  if 'seconds' in told:
    lines += [*_collective_lines(told), *_time_lines(told)]
  made = told['compile']
  lines.append(
    f'compiled in {made["compile_seconds"]:.0f} s after '
    f'{made["trace_seconds"]:.0f} s of tracing, in '
    f'{made["host_memory_bytes"] / _GIB:.1f} GiB of this machine'
  )
  return '\n'.join(lines)


def named(mesh: Mapping[str, int]) -> str:
  """A mesh in a few words: the axes that split anything."""
  axes = [f'{axis} {size}' for axis, size in mesh.items() if size > 1]
  return ', '.join(axes) or 'one device'


def _head(told: Mapping[str, Any]) -> str:
  """What was compiled for what."""
  slices = f'{told["slices"]} slices of ' if told['slices'] > 1 else ''
  return (
    f'{slices}{told["topology"]}: {told["devices"]} devices, mesh '
    f'{named(told["mesh"])}; remat {told["remat"]}; {told["batch"]} rows in '
    f'{told["accumulate"]} part(s)'
  )


def _memory_lines(held: Mapping[str, Any]) -> list[str]:
  """HBM of a device."""
  if 'arguments' not in held:
    return ['', f'HBM: {shortage(held)}']
  lines = ['', f'{"HBM of a device":24}{"GiB":>10}']
  for name in ('arguments', 'outputs', 'aliased', 'temporaries', 'program'):
    lines.append(f'  {name:22}{held[name] / _GIB:10.3f}')
  short = f'; LESS THAN {plan_lib.ROOM:.0%}'
  lines.append(
    f'  {"total":22}{held["total"] / _GIB:10.3f}  of '
    f'{held["chip"] / _GIB:.2f}, {held["free"]:.1%} free'
    f'{short if held["free"] < plan_lib.ROOM else ""}'
  )
  return lines


def shortage(held: Mapping[str, Any]) -> str:
  """Of what does not fit, how much is short."""
  total = held['total']
  need = f'{total / _GIB:.2f} GiB needed' if total else 'more is needed'
  return f'DOES NOT FIT, {need} of {held["chip"] / _GIB:.2f} GiB'


def _collective_lines(told: Mapping[str, Any]) -> list[str]:
  """A line for each kind over the same axes."""
  lines = [
    '',
    f'{"collectives":20}{"over":18}{"count":>7}{"GiB":>10}{"GiB sent":>10}'
    f'{"ms":>10}',
  ]
  for row in told['collectives']:
    lines.append(
      f'{row["kind"]:20}{"+".join(row["axes"]):18}{row["count"]:7}'
      f'{row["bytes"] / _GIB:10.2f}{row["sent_bytes"] / _GIB:10.2f}'
      f'{1e3 * row["seconds"]:10.1f}'
    )
  return lines


def _time_lines(told: Mapping[str, Any]) -> list[str]:
  """Operations, and the roofline."""
  needed, computed = told['flops']['needed'], told['flops']['computed']
  seconds = told['seconds']
  lines = [
    '',
    f'operations of a device: {needed:.4g} needed, {computed:.4g} computed '
    f'({computed / needed:.2f} times)',
    f'HBM traffic of a device: {told["hbm_bytes"] / _GIB:.1f} GiB',
    f'seconds: matmul {seconds["matmul"]:.3f}, HBM {seconds["hbm"]:.3f}, links '
    f'{seconds["links"]:.3f}; instruction by instruction {seconds["busy"]:.3f}',
    f'step: {seconds["step"]:.3f} s at least, {seconds["apart"]:.3f} s with '
    f'links alone; bound by {told["bound"]}',
    f'MFU: {told["mfu"]:.1%} at most; {told["tokens_per_second"]:.4g} tokens/s',
  ]
  if told['unknown_loops']:
    lines.append(
      f'loops of unknown length, counted once: {told["unknown_loops"]}'
    )
  return lines
