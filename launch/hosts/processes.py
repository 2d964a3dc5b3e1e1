"""Which processes a run has, and how their devices make one mesh: its flags.

  --coordinator=HOST:PORT --processes=N --process=I   told, one by one
  --distributed                                       found: Slurm, GKE, TPU VMs

Without either a run is one process, and nothing is waited for. On CPUs Gloo
carries what devices tell one another, on GPUs NCCL, on TPUs their own network.
"""

from collections.abc import Sequence
import os

from absl import flags
import jax

# Public `initialize` finds and joins in one: too late to say who is missing.
from jax._src import clusters

from launch.hosts import bond as bond_lib
from launch.hosts import meeting
from tv2tv_jax import sharding

_FLAGS = flags.FLAGS
# Environment that changes how programs are compiled (launch/xla_flags.py).
_COMPILER = ('XLA_FLAGS', 'LIBTPU_INIT_ARGS')
# Flags in which processes of one run differ.
_OWN = frozenset(('process', 'coordinator'))


def define_flags(values: flags.FlagValues = _FLAGS) -> None:
  """For a program on all devices of all processes."""
  define_mesh('All on fsdp unless given.', values)
  flags.DEFINE_bool(
    'distributed',
    False,
    'Find the other processes: Slurm, GKE, TPU VMs.',
    flag_values=values,
  )
  flags.DEFINE_string(
    'coordinator', None, 'HOST:PORT of process 0.', flag_values=values
  )
  flags.DEFINE_integer(
    'processes', None, 'How many.', lower_bound=1, flag_values=values
  )
  flags.DEFINE_integer(
    'process', None, 'Which this is.', lower_bound=0, flag_values=values
  )
  for name, seconds, use in (
    ('coordinator_timeout', 300.0, 'for all processes to come.'),
    ('heartbeat_timeout', 100.0, 'after which a silent process is lost.'),
  ):
    flags.DEFINE_float(
      name, seconds, f'Seconds {use}', lower_bound=1.0, flag_values=values
    )


def define_mesh(otherwise: str, values: flags.FlagValues = _FLAGS) -> None:
  """The flag of a mesh, and what is the case without it."""
  axes = ', '.join(sharding.MESH_AXES)
  flags.DEFINE_list(
    'mesh',
    None,
    f'Devices along {axes}; -1: what is left. {otherwise}',
    flag_values=values,
  )


def mesh_shape() -> tuple[int, ...] | None:
  """What `--mesh` says; None where it says nothing."""
  return sizes(_FLAGS.mesh) if _FLAGS.mesh else None


def sizes(words: Sequence[str]) -> tuple[int, ...]:
  """Words of a flag `--mesh`; ValueError if these are no whole numbers."""
  try:
    return tuple(int(word) for word in words)
  except ValueError as error:
    raise ValueError(
      f'--mesh={",".join(words)}: give whole numbers for '
      f'{", ".join(sharding.MESH_AXES)}'
    ) from error


def joined() -> bond_lib.Bond | None:
  """The bond of this process to the others of its run; None if it is alone.

  Raises:
    ValueError: flags that do not fit one another, or processes that do not
      come, or come with others.
  """
  place = _told() or (_found() if _FLAGS.distributed else None)
  if place is None or place.processes == 1:
    return None
  bond = meeting.join(
    place,
    _terms(),
    wait=_FLAGS.coordinator_timeout,
    silence=_FLAGS.heartbeat_timeout,
  )
  if jax.default_backend() == 'cpu':
    # There process 0 alone finds its programs again, and Gloo does not wait
    # half a minute for those who still compile theirs.
    jax.config.update('jax_enable_compilation_cache', False)
  return bond


def described() -> str:
  """The processes, their mesh, and what the compiler is told."""
  sizes = jax.sharding.get_mesh().shape
  axes = ', '.join(f'{name} {size}' for name, size in sizes.items())
  kind = jax.devices()[0].device_kind
  lines = [
    f'{jax.process_count()} processes, {jax.device_count()} devices ({kind}): '
    f'{axes}'
  ]
  lines += [
    f'{name}={os.environ[name]}' for name in _COMPILER if name in os.environ
  ]
  return '\n'.join(lines)


def _told() -> meeting.Place | None:
  """Where this process stands by its flags; None if they say nothing."""
  names = ('coordinator', 'processes', 'process')
  given = {name: _FLAGS[name].value for name in names}
  missing = [f'--{name}' for name, value in given.items() if value is None]
  if len(missing) == len(given):
    return None
  if missing or _FLAGS.distributed:
    raise ValueError(
      'give --coordinator, --processes and --process together, or '
      f'--distributed alone; {missing[0] if missing else "both"} '
      f'{"is missing" if missing else "are given"}'
    )
  place = meeting.Place(**given)
  if place.process >= place.processes:
    raise ValueError(
      f'--process={place.process} is none of --processes={place.processes}, '
      'which count from 0'
    )
  return place


def _found() -> meeting.Place:
  """Where this process stands by what started it.

  Slurm, GKE and TPU VMs say it in the environment or to who asks; JAX knows
  how. On Slurm each process takes one GPU of its node.
  """
  try:
    found = clusters.ClusterEnv.auto_detect_unset_distributed_params(
      None, None, None, None, None, round(_FLAGS.coordinator_timeout)
    )
  except (RuntimeError, OSError) as error:
    raise meeting.LostError(
      f'--distributed finds no other process: {error}'
    ) from error
  coordinator, processes, process, devices = found
  if None in (coordinator, processes, process):
    raise ValueError(
      '--distributed finds no Slurm, GKE or TPU VM here: give --coordinator, '
      '--processes and --process'
    )
  devices = None if devices is None else tuple(devices)
  return meeting.Place(coordinator, processes, process, devices)


def _terms() -> dict[str, str]:
  """What all processes must have alike, or they would wait for one another."""
  given = {
    f'--{name}': str(_FLAGS[name].value)
    for name in _FLAGS
    if _FLAGS[name].present and name not in _OWN
  }
  compiler = {name: os.environ.get(name, '') for name in _COMPILER}
  return {'jax': jax.__version__, **compiler, **given}
