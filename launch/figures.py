"""Figures that runs leave behind: losses, seconds, memory, versions."""

from collections.abc import Mapping
import importlib.metadata
import json
import os
import pathlib
import platform
import re
from typing import Any

from launch import run as run_lib
from tv2tv_jax.train import metrics

_PACKAGES = (
  'jax',
  'flax',
  'optax',
  'orbax-checkpoint',
  'grain',
  'tensorflow-datasets',
  'sentencepiece',
  'ml-collections',
  'av',
  'vizdoom',
  'numpy',
)
# Metrics that tell of pace, schedule, shares or decibels; and the parts of what
# was held out, of which `launch.evaluate` has the curves.
_NO_LOSS = re.compile(
  r'(steps?|seconds|rate|skipped|steps_skipped)$|(session|pace)/|psnr|'
  r'(gradient|update)_norm|.*_accuracy$|held_out/.*/'
)
_POINTS = 120  # of a curve; more cannot be told apart on a page


def losses(title: str, workdir: pathlib.Path) -> dict[str, Any]:
  """Curves of a run's losses, thinned out, and how it ended."""
  path = workdir / 'metrics.jsonl'
  records = metrics.read(path) if path.exists() else []
  curves = {}
  for record in records:
    for name, value in record.items():
      if not _NO_LOSS.match(name):
        curves.setdefault(name, []).append((record['step'], value))
  curves = {name: _thinned(curve) for name, curve in curves.items()}
  return {
    'title': title,
    'steps': max((record['step'] for record in records), default=0),
    'seconds': max((r.get('seconds', 0.0) for r in records), default=0.0),
    'last': {name: curve[-1][1] for name, curve in curves.items()},
    'curves': curves,
  }


def stages(path: pathlib.Path) -> list[dict[str, Any]]:
  """Seconds per stage, as launch/demo.sh writes them; none where it did not.

  Raises:
    ValueError: a file that is neither {stage: seconds} nor a list of
      {"stage", "seconds"}.
  """
  if not path.exists():
    return []
  try:
    values = json.loads(path.read_text())
    if isinstance(values, Mapping):
      values = [{'stage': k, 'seconds': v} for k, v in values.items()]
    return [
      {'stage': str(each['stage']), 'seconds': float(each['seconds'])}
      for each in values
    ]
  except (KeyError, TypeError, ValueError) as error:
    raise ValueError(
      f'{path}: no seconds per stage ({error}); remove it'
    ) from error


def peak_memory(**workdirs: pathlib.Path) -> dict[str, int]:
  """Peak bytes of this process, and of runs whose report.json says theirs."""
  peaks = {}
  for name, workdir in workdirs.items():
    peak = report(workdir).get('peak_memory_bytes')
    if peak:
      peaks[name] = int(peak)
  return peaks | {'obedience': run_lib.peak_memory()}


def report(workdir: pathlib.Path) -> dict[str, Any]:
  """The report.json of a workdir; empty where there is none."""
  path = workdir / 'report.json'
  return json.loads(path.read_text()) if path.exists() else {}


def machine() -> dict[str, Any]:
  """What the figures were measured on."""
  cores = (
    len(os.sched_getaffinity(0))
    if hasattr(os, 'sched_getaffinity')
    else os.cpu_count()
  )
  memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  return {
    'cpu': _processor(),
    'cores': cores,
    'memory_bytes': memory,
    'platform': f'{platform.system()} {platform.machine()}',
  }


def versions() -> dict[str, str]:
  """Versions of Python and of the packages that matter."""
  found = {'python': platform.python_version()}
  for name in _PACKAGES:
    try:
      found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      continue
  return found


def _processor() -> str:
  """The processor's own name, where the system tells it."""
  info = pathlib.Path('/proc/cpuinfo')
  if info.exists():
    for line in info.read_text().splitlines():
      if line.startswith('model name'):
        return line.partition(':')[2].strip()
  return platform.processor() or platform.machine()


def _thinned(curve: list[tuple[int, float]]) -> list[list[float]]:
  """At most some points of a curve, its last among them."""
  step = -(-len(curve) // _POINTS)
  kept = curve[::-1][::step][::-1]
  return [[x, float(f'{y:.5g}')] for x, y in kept]
