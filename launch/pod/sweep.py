"""Tries settings one by one, and recommends one.

The next one is the fastest by guess that should fit, by what was learned from
those before; no mesh is tried too often. Of what is compiled the fastest is
recommended that leaves room: the time of a step is the middle between links
that run beside everything else and links that run alone.
"""

from collections.abc import Mapping, Sequence
import json
import pathlib
import sys
import time
from typing import Any, NamedTuple

import jax

from configs import schema
from launch.pod import guess as guess_lib
from launch.pod import plan as plan_lib
from launch.pod import program as program_lib
from launch.pod import report as report_lib
from launch.pod import topology as topology_lib
from tv2tv_jax.train import workdir as workdir_lib

_OF_A_MESH = 4  # settings at most.
_GIB = 2**30


class Try(NamedTuple):
  """A setting, what was guessed of it, and its report."""

  guess: guess_lib.Guess
  told: Mapping[str, Any]

  @property
  def held(self) -> int | None:
    """Bytes of HBM that it needs, if that is known."""
    return self.told.get('memory', {}).get('total')

  @property
  def fits(self) -> bool:
    """Whether it leaves room."""
    return self.told.get('memory', {}).get('free', 0.0) >= plan_lib.ROOM

  @property
  def seconds(self) -> float:
    """Of a step, links half beside everything else; endless if unknown."""
    if 'seconds' not in self.told:
      return float('inf')
    return (self.told['seconds']['step'] + self.told['seconds']['apart']) / 2


def sweep(
  run: schema.StoryRun,
  topology: topology_lib.Topology,
  *,
  tries: int,
  out: pathlib.Path | None = None,
) -> dict[str, Any]:
  """Reports of what was tried, the fastest first, and which is recommended.

  Args:
    run: the run.
    topology: where it should run.
    tries: settings that are compiled at most.
    out: keeps the report of every setting; one that is there, of the same
      program, is not compiled again.

  Raises:
    ValueError: nothing would fit.
  """
  left = guess_lib.guesses(run, topology)
  tried, began = [], time.monotonic()
  room = (1 - plan_lib.ROOM) * topology.chip.memory
  while len(tried) < tries and (following := _next(left, tried, room)):
    left.remove(following)
    told = _tried(following.setting, run, topology, out)
    tried.append(Try(following, told))
    _say(tried, tries, time.monotonic() - began)
  tried.sort(key=lambda each: (not each.fits, each.seconds))
  best = tried[0] if tried and tried[0].fits else None
  return {
    'topology': topology.name,
    'slices': topology.slices,
    'recommended': best and best.guess.setting._asdict(),
    'tried': [each.told for each in tried],
  }


def _next(
  left: Sequence[guess_lib.Guess], tried: Sequence[Try], room: float
) -> guess_lib.Guess | None:
  """The fastest by guess that should fit; None if there is none.

  Memory is guessed as far off as it was of the last of the same policy.
  """
  meshes = [each.guess.setting.mesh for each in tried]
  off = {
    each.guess.setting.remat: each.held / each.guess.memory
    for each in tried
    if each.held
  }
  for each in left:
    few = meshes.count(each.setting.mesh) < _OF_A_MESH
    if few and off.get(each.setting.remat, 1.0) * each.memory <= room:
      return each
  return None


def _tried(
  setting: guess_lib.Setting,
  run: schema.StoryRun,
  topology: topology_lib.Topology,
  out: pathlib.Path | None,
) -> dict[str, Any]:
  """The report of a setting, from before if it is there."""
  run = setting.applied(run)
  told = {'setting': setting._asdict()}
  try:
    mesh = topology_lib.mesh(topology, setting.mesh)
    step = program_lib.lowered(run, mesh)
    told['fingerprint'] = step.fingerprint
    path = out and out / 'tried' / f'{topology.name}-{setting.name}.json'
    if path and path.exists():
      before = json.loads(path.read_text())
      if before['fingerprint'] == step.fingerprint:
        return before
    made = program_lib.compiled(step)
    told |= report_lib.report(run, topology, mesh, made)
  except (ValueError, TypeError, jax.errors.JaxRuntimeError) as error:
    # Some meshes suit no layout of the model; the others may.
    return told | {'error': str(error).splitlines()[0]}
  if path:
    path.parent.mkdir(parents=True, exist_ok=True)
    workdir_lib.write_whole(path, json.dumps(told, indent=1) + '\n')
  return told


def _say(tried: Sequence[Try], tries: int, seconds: float) -> None:
  """A line about the last one, with the time that is left at most."""
  last = tried[-1]
  left = seconds / len(tried) * (tries - len(tried))
  print(
    f'{len(tried)} of {tries}: {_line(last)}; {left / 60:.0f} min left',
    file=sys.stderr,
    flush=True,
  )


def _line(each: Try) -> str:
  """A setting, and how it went."""
  setting = each.guess.setting
  mesh = 'x'.join(map(str, setting.mesh))
  head = f'{mesh:>12}{setting.remat:>13}{setting.accumulate:7}'
  if 'error' in each.told:
    return f'{head}  {each.told["error"]}'
  held = each.held / _GIB if each.held else float('nan')
  line = f'{head}{held:9.2f}'
  if 'seconds' not in each.told:
    return f'{line}  does not fit'
  told = each.told
  return (
    f'{line}{told["memory"]["free"]:7.0%}{told["seconds"]["step"]:9.2f}'
    f'{told["seconds"]["apart"]:9.2f}{told["mfu"]:7.1%} {told["bound"]}'
  )


def text(told: Mapping[str, Any]) -> str:
  """The table, and what is recommended."""
  guesses = [
    guess_lib.Guess(guess_lib.Setting(**each['setting']), 0.0, 0.0)
    for each in told['tried']
  ]
  lines = [
    f'{told["topology"]}: HBM of a device in GiB, seconds of a step with links '
    'beside and apart',
    f'{"mesh":>12}{"remat":>13}{"parts":>7}{"HBM":>9}{"free":>7}{"step":>9}'
    f'{"apart":>9}{"MFU":>7} bound',
  ]
  for guess, each in zip(guesses, told['tried'], strict=True):
    lines.append(_line(Try(guess, each)))
  best = told['recommended']
  if best is None:
    lines.append(f'none leaves {plan_lib.ROOM:.0%} of the HBM: larger slice')
  else:
    mesh = ','.join(map(str, best['mesh']))
    lines.append(
      f'recommended: --mesh={mesh} '
      f'--config.model.towers.remat={best["remat"]} '
      f'--config.train.accumulate={best["accumulate"]}'
    )
  return '\n'.join(lines)
