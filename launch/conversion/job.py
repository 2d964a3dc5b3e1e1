"""A conversion from its kind to its report."""

import functools
import json
import pathlib

import tqdm

from launch import run as run_lib
from launch import weights
from launch.conversion import from_pytorch
from launch.conversion import others
from launch.conversion import plan as plan_lib
from launch.conversion import to_pytorch
from launch.conversion import whole

KINDS = {
  **{
    kind: functools.partial(others.plan, kind)
    for kind in ('llama', 'wan-vae', 'cosmos-vae')
  },
  'to-pytorch': to_pytorch.plan,
  'from-pytorch': from_pytorch.plan,
}


def convert(
  kind: str,
  folder: pathlib.Path,
  out: pathlib.Path,
  asked: plan_lib.Asked,
) -> str:
  """Checks all names and shapes, then makes `out` of a folder; says so.

  Raises:
    ValueError: the folder is not of this kind, or not whole, or `out` is there.
    OSError: there is no room.
  """
  out = out.absolute()
  plan = KINDS[kind](folder, asked)
  if whole.is_there(out, plan.head):
    return f'{out}: is there already'
  with whole.folder(out) as partial:
    with _bar(plan, out) as bar:
      report = plan.head | plan.write(partial, bar.update)
    report |= {'peak_memory_bytes': run_lib.peak_memory()}
    text = json.dumps(report, indent=2) + '\n'
    (partial / weights.REPORT).write_text(text)
  done = f'{out}: {plan.tensors} tensors of {folder}'
  return '; '.join([done, *report['remarks']])


def _bar(plan: plan_lib.Plan, out: pathlib.Path) -> tqdm.tqdm:
  """Bytes that have become others."""
  return tqdm.tqdm(
    total=plan.size,
    desc=f'convert {out.name}',
    unit='B',
    unit_scale=True,
    mininterval=1.0,
    dynamic_ncols=True,
  )
