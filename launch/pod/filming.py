"""What stories take of a slice: their programs, compiled without the slice.

Each program is compiled as `launch.generate` would run it there, under the same
mesh. Of those that go on for as long as they must, over tokens of words or
steps from noise, it is told what they take once, and what for each. A chunk of
stories that all write, and all are guided, takes

  write + words * token + read words + film + steps * step + read chunk  (1)

with the words of the budget and the steps of the configuration; each of them at
least what its roofline says (`launch/pod/roofline.py`).
"""

from collections.abc import Mapping
import math
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from configs import schema
from launch.pod import collectives as collectives_lib
from launch.pod import hlo
from launch.pod import plan as plan_lib
from launch.pod import program as program_lib
from launch.pod import report as report_lib
from launch.pod import roofline as roofline_lib
from launch.pod import runs as runs_lib
from launch.pod import topology as topology_lib
from launch.pod import work as work_lib
from tv2tv_jax import sharding
from tv2tv_jax.interleave import tokens as tokens_lib
from tv2tv_jax.sample import program as sample_lib
from tv2tv_jax.sample import rollout
from tv2tv_jax.sample import settings as settings_lib

_GIB = 2**30
# Programs that go on for as many tokens, or steps, as it takes.
_GOING_ON = ('write', 'film', 'film, guided')


class _Vocabulary(NamedTuple):
  """So many tokens; which ids have a role makes no difference."""

  vocab_size: int
  special: tokens_lib.SpecialTokens = tokens_lib.SpecialTokens(0, 1, 2, 3, 4)
  silent: frozenset[int] = frozenset(range(5))


def mesh_shape(run: schema.StoryRun, devices: int) -> tuple[int, ...]:
  """Where nothing is said: heads over as many devices as can share them."""
  tensor = math.gcd(devices, run.model.towers.key_heads)
  return devices // tensor, 1, tensor


def lowered(run: schema.StoryRun, mesh: Mesh) -> sample_lib.Parts:
  """The programs of stories by name, for the devices of a mesh.

  Raises:
    ValueError: a mesh that cannot share out heads or weights.
  """
  with jax.set_mesh(mesh):
    born = program_lib.abstract_model(run)
    model = sharding.abstract(sample_lib.prepared, born)
    sample = settings_lib.shared_out(run.sample)
    engine = rollout.Engine(
      model, _Vocabulary(run.model.vocabulary), sample, run.data.layout
    )
    return engine.lowered()


def report(
  run: schema.StoryRun, topology: topology_lib.Topology, mesh: Mesh
) -> dict[str, Any]:
  """Compiles all of them: bytes and seconds of a device, for each program."""
  with jax.set_mesh(mesh):
    sample = settings_lib.shared_out(run.sample)
  parts = {}
  for name, stage in lowered(run, mesh).items():
    made = program_lib.compiled(program_lib.Lowered(stage, 0.0))
    parts[name] = _part(made, topology, mesh, goes_on=name in _GOING_ON)
    print(f'{name}: compiled in {made.seconds:.0f} s', flush=True)
  return {
    'topology': topology.name,
    'devices': mesh.size,
    'mesh': dict(zip(mesh.axis_names, mesh.devices.shape, strict=True)),
    'chip': topology.chip._asdict(),
    'lanes': sample.lanes,
    'steps': sample.steps,
    'words': sample.words_budget,
    'window': sample.window,
    'parts': parts,
    'chunk_seconds': _chunk(parts, run),
  }


def _part(
  made: program_lib.Compiled,
  topology: topology_lib.Topology,
  mesh: Mesh,
  *,
  goes_on: bool,
) -> dict[str, Any]:
  """A program: memory, and how long it takes at least, once and each turn."""
  told = {'memory': report_lib.memory(made, topology)}
  if made.memory is None:
    return told
  program = hlo.parse(made.text)

  def line(turns: int) -> roofline_lib.Roofline:
    runs = runs_lib.runs(program, turns)
    work = work_lib.work(program, runs)
    found = collectives_lib.collectives(program, runs, mesh)
    return roofline_lib.roofline(work, found, topology, mesh)

  if not goes_on:
    return told | {'once': line(1)._asdict()}
  once, turned = line(0), line(1)
  each = roofline_lib.Roofline(
    *(b - a for a, b in zip(once[:-1], turned[:-1], strict=True)),
    turned.bound,
  )
  return told | {'once': once._asdict(), 'each': each._asdict()}


def _chunk(
  parts: Mapping[str, Mapping[str, Any]], run: schema.StoryRun
) -> float | None:
  """Seconds of (1) at least; None where something does not fit."""
  if any('once' not in part for part in parts.values()):
    return None

  def seconds(name: str, turns: int = 0) -> float:
    once, each = (parts[name].get(kind, {}) for kind in ('once', 'each'))
    return once['apart'] + turns * each.get('apart', 0.0)

  film = 'film, guided' if 'film, guided' in parts else 'film'
  return (
    seconds('write', run.sample.words_budget)
    + seconds('read words')
    + seconds(film, run.sample.steps)
    + seconds('read a chunk')
  )


def text(told: Mapping[str, Any]) -> str:
  """The report as a page."""
  lines = [
    f'{told["topology"]}: {told["devices"]} devices, mesh '
    f'{report_lib.named(told["mesh"])}; {told["lanes"]} stories side by side, '
    f'a window of {told["window"]} chunks',
    '',
    f'{"":16}{"memory of a device":>20}{"once, ms":>20}'
    f'{"each token or step, ms":>32}',
    f'{"program":16}{"GiB":>10}{"free":>10}{"busy":>10}{"links":>10}'
    f'{"busy":>10}{"links":>10}  bound by',
  ]
  for name, part in told['parts'].items():
    held = part['memory']
    if 'once' not in part:
      lines.append(f'{name:16}{report_lib.shortage(held)}')
      continue
    line = f'{name:16}{held["total"] / _GIB:10.2f}{held["free"]:10.1%}'
    for kind in ('once', 'each'):
      seconds = part.get(kind)
      line += (
        f'{1e3 * seconds["busy"]:10.2f}{1e3 * seconds["links"]:10.2f}'
        if seconds
        else ' ' * 20
      )
    bound = part.get('each', part['once'])['bound']
    lines.append(f'{line}  {bound}')
  if told['chunk_seconds'] is not None:
    chunk = told['chunk_seconds']
    least = min(part['memory']['free'] for part in told['parts'].values())
    lines += [
      '',
      f'a chunk of each story, {told["words"]} words and {told["steps"]} '
      f'steps: {chunk:.3f} s at least, links alone; '
      f'{told["lanes"] / chunk:.1f} chunks/s in all',
      f'{least:.1%} of the memory is free at least'
      f'{"; LESS THAN A TENTH" if least < plan_lib.ROOM else ""}',
    ]
  return '\n'.join(lines)
