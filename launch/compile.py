r"""What a train step takes of a slice of chips, without the slice.

  python -m launch.compile --config configs/sports_8b.py --topology v5p:4x4x8
  python -m launch.compile --config configs/sports_8b.py --topology v5p:4x4x8 \
      --mesh 1,32,4,1 --config.model.towers.remat=attention
  python -m launch.compile --config configs/csgo_3b.py --topology v5e:16x16 \
      --sweep --out DIR
  python -m launch.compile --config configs/csgo_3b.py --topology h200

Compiles the step that `launch.train` runs, for the chips themselves, by their
own compiler on any x86 CPU (`pip install -e '.[tpu]'`), and says what it takes:
HBM of a chip, collectives by kind and axes, operations needed and computed, and
how long a step takes at least and what holds it up. --out gets the same as
JSON, and the compiled program's text. With --sweep, meshes, rematerialisation
policies and parts of a batch are tried, what was tried before is not tried
again, and the fastest that leaves a tenth of the HBM free is recommended, with
all that is to be said of it.

With --film it compiles the programs that tell stories instead, as
`launch.generate` runs them under the same --mesh, and says what a token and a
step from noise take; heads are shared by all devices that can, unless told:

  python -m launch.compile --config configs/sports_8b.py --topology v5e:2x4 \
      --film

No compiler of a GPU runs without one: of h100 and h200 it gives a plan of the
memory by formula.
"""

import gzip
import json
import pathlib

from absl import flags
import jax
from ml_collections import config_flags

from configs import schema
from launch import run as run_lib
from launch.hosts import processes
from launch.pod import filming as filming_lib
from launch.pod import plan as plan_lib
from launch.pod import program as program_lib
from launch.pod import report as report_lib
from launch.pod import sweep as sweep_lib
from launch.pod import topology as topology_lib
from tv2tv_jax import config as config_lib
from tv2tv_jax.train import workdir as workdir_lib

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'File of the configuration.', lock_config=True
)
_TOPOLOGY = flags.DEFINE_string(
  'topology', None, 'Kind and shape of a slice: v5p:4x4x8; or h200.'
)
_SLICES = flags.DEFINE_integer(
  'slices', 1, 'Slices, which the slow network joins.', lower_bound=1
)
_MESH = flags.DEFINE_list(
  'mesh', None, 'Devices along data, fsdp, tensor and context; -1: the rest.'
)
_SWEEP = flags.DEFINE_bool('sweep', False, 'Tries settings, recommends one.')
_FILM = flags.DEFINE_bool(
  'film', False, 'The programs that tell stories, not the train step.'
)
_TRIES = flags.DEFINE_integer(
  'tries', 12, 'Settings that a sweep compiles at most.', lower_bound=1
)
_OUT = flags.DEFINE_string('out', None, 'Folder of the JSON.')
flags.mark_flags_as_required(['config', 'topology'])


def main(_) -> None:
  """Compiles, or plans, and says so."""
  # Not even on a machine that has chips are they asked.
  jax.config.update('jax_platforms', 'cpu')
  # What is kept of a compiled program does not tell all of this.
  jax.config.update('jax_enable_compilation_cache', False)
  run = config_lib.from_config_dict(schema.StoryRun, _CONFIG.value)
  out = pathlib.Path(_OUT.value) if _OUT.value else None
  topology = topology_lib.described(_TOPOLOGY.value, _SLICES.value)
  if _FILM.value and _SWEEP.value:
    raise ValueError('--film and --sweep contradict one another: give one')
  if _FILM.value and not topology.devices:
    raise ValueError(
      f'--film needs a compiler, and there is none here of {topology.name}: '
      'name a slice of TPUs in --topology'
    )
  if not topology.devices:
    told = plan_lib.report(run, topology)
    print(plan_lib.text(told))
    _keep(told, out, 'plan')
    return
  if _SWEEP.value:
    told = sweep_lib.sweep(run, topology, tries=_TRIES.value, out=out)
    print(sweep_lib.text(told))
    if told['recommended']:
      print(f'\n{report_lib.text(told["tried"][0])}')
    _keep(told, out, 'sweep')
    return
  shape = None if _MESH.value is None else processes.sizes(_MESH.value)
  if _FILM.value:
    shape = shape or filming_lib.mesh_shape(run, len(topology.devices))
    mesh = topology_lib.mesh(topology, shape)
    told = filming_lib.report(run, topology, mesh)
    print(f'\n{filming_lib.text(told)}')
    _keep(told, out, 'film')
    return
  mesh = topology_lib.mesh(topology, shape)
  made = program_lib.compiled(program_lib.lowered(run, mesh))
  if out and made.text:
    out.mkdir(parents=True, exist_ok=True)
    path = out / f'{_name("step")}.hlo.gz'
    workdir_lib.write_whole(path, gzip.compress(made.text.encode()))
  told = report_lib.report(run, topology, mesh, made)
  print(report_lib.text(told))
  _keep(told, out, 'step')


def _keep(told: dict, out: pathlib.Path | None, kind: str) -> None:
  """Writes the JSON."""
  if out is None:
    return
  out.mkdir(parents=True, exist_ok=True)
  path = out / f'{_name(kind)}.json'
  workdir_lib.write_whole(path, json.dumps(told, indent=1) + '\n')
  print(path)


def _name(kind: str) -> str:
  """Of a file about this topology."""
  slices = f'{_SLICES.value}x-' if _SLICES.value > 1 else ''
  return f'{kind}-{slices}{_TOPOLOGY.value.replace(":", "-")}'


if __name__ == '__main__':
  run_lib.app(main, mesh='none')
