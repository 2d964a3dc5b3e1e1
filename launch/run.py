"""Every program starts here: one line for an error a person can mend."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import glob
import hashlib
import importlib.util
import os
import platform
import resource
import sys
import traceback
from typing import Literal, NoReturn
import warnings

from absl import app as absl_app
from absl import flags
from absl import logging
import jax

from launch.hosts import bond as bond_lib
from launch.hosts import meeting
from launch.hosts import processes
from tv2tv_jax import sharding

_CACHE = '~/.cache/tv2tv_jax'
# Devices of TPUs, of NVIDIA's GPUs, also under Windows, and of AMD's.
_ACCELERATORS = (
  '/dev/accel*',
  '/dev/vfio/[0-9]*',
  '/dev/nvidia[0-9]*',
  '/dev/dxg',
  '/dev/kfd',
)


def app(
  main: Callable[[Sequence[str]], None],
  *,
  mesh: Literal['all', 'here', 'none'] = 'all',
  arguments: int = 0,
) -> None:
  """Runs `main` under a mesh.

  It is of all devices of all processes of its run; or of those that are `here`,
  where its flag gives one, for a program whose processes go on alone; or there
  is none. Its flags are those of `launch/hosts/processes.py`.

  `main` gets as many words of the command line that are no flags as `arguments`
  says, or fewer; one more is an error.

  An error in values or files, or a loss that is not finite, becomes one line
  on standard error and exit status 2; an interrupt exit status 130. Anything
  else is our defect and keeps its traceback; so does everything with
  `TV2TV_TRACEBACK=1`. Of several processes all end with the same line and
  status, whichever of them it was; where one died or never came, that is 75.
  """

  def guarded(argv: Sequence[str]) -> None:
    if _has_only_cpus():
      jax.config.update('jax_platforms', 'cpu')
    if not os.environ.get('JAX_COMPILATION_CACHE_DIR'):
      jax.config.update('jax_compilation_cache_dir', _compilation_cache())
    if len(argv) > 1 + arguments:
      raise absl_app.UsageError(f'unexpected argument {argv[1 + arguments]!r}')
    if not flags.FLAGS['verbosity'].present:
      # Libraries tell of every file they open; progress bars tell enough.
      logging.set_verbosity(logging.ERROR)
      warnings.simplefilter('ignore', UserWarning)
    try:
      with _MESHES[mesh]():
        main(argv)
    except BaseException as error:
      said = _said(error)
      if said is None:
        raise
      line, status = said
      print(line, file=sys.stderr)
      sys.exit(status)

  if mesh == 'all':
    processes.define_flags()
  elif mesh == 'here':
    processes.define_mesh('One device unless given.')
  absl_app.run(guarded, flags_parser=_parsed)


def _has_only_cpus() -> bool:
  """Whether libtpu is here, to compile for TPUs, and no accelerator is.

  It would look for a TPU for seconds, and tell of its troubles.
  """
  if os.environ.get('JAX_PLATFORMS') or not importlib.util.find_spec('libtpu'):
    return False
  return not any(glob.glob(pattern) for pattern in _ACCELERATORS)


def _said(error: BaseException) -> tuple[str, int] | None:
  """The line and the exit status for an error; None if it is our defect."""
  if isinstance(error, KeyboardInterrupt):
    return '\ninterrupted: run the same command to go on', 130
  if os.environ.get('TV2TV_TRACEBACK'):
    return None
  if isinstance(error, (ValueError, OSError, FloatingPointError)):
    lost = isinstance(error, meeting.LostError)
    return f'error: {error}', bond_lib.LOST if lost else 2
  return None


def _compilation_cache() -> str:
  """Where compiled programs are kept from one run to the next.

  A folder for each kind of processor: what was compiled for one need not run
  on another that has the same home.
  """
  try:
    with open('/proc/cpuinfo', encoding='utf-8') as file:
      kind = next(line for line in file if line.startswith('flags'))
  except (OSError, StopIteration):
    kind = platform.machine() + platform.processor()
  name = hashlib.sha256(kind.encode()).hexdigest()[:12]
  return os.path.expanduser(os.path.join(_CACHE, f'xla-{name}'))


def peak_memory() -> int:
  """The most bytes of memory that this process has held so far."""
  try:
    # What getrusage says begins, after exec, where the parent's was.
    with open('/proc/self/status', encoding='utf-8') as file:
      line = next(line for line in file if line.startswith('VmHWM:'))
    return int(line.split()[1]) * 1024
  except (OSError, StopIteration):
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == 'darwin' else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _here() -> contextlib.AbstractContextManager:
  """The devices of this process, where a flag says how they share."""
  shape = processes.mesh_shape()
  if shape is None:
    return contextlib.nullcontext()
  return jax.set_mesh(sharding.make_mesh(shape, devices=jax.local_devices()))


@contextlib.contextmanager
def _all() -> Iterator[None]:
  """All devices of all processes, which go on or end together."""
  shape = processes.mesh_shape()
  bond = processes.joined()
  if bond is None:
    with jax.set_mesh(sharding.make_mesh(shape)):
      yield
    return
  try:
    with jax.set_mesh(sharding.make_mesh(shape)):
      if sharding.leads():
        print(processes.described(), flush=True)
      yield
  except SystemExit as end:
    if end.code:
      bond.fail(f'ended with exit status {end.code}', 1)
    bond.leave(early=True)
    raise
  except BaseException as error:
    _fail(bond, error)
  bond.leave()


_MESHES = {'all': _all, 'here': _here, 'none': contextlib.nullcontext}


def _fail(bond: bond_lib.Bond, error: BaseException) -> NoReturn:
  """Ends all processes with the line that one would have said alone."""
  said = _said(error)
  if said is None:
    # It may be another that died, and this one whose collective failed.
    bond.aftermath()
    traceback.print_exception(error)
    said = f'error: {type(error).__name__}: {error}', 1
  line, status = said
  bond.fail(line.strip().removeprefix('error: '), status)


def _parsed(argv: Sequence[str]) -> list[str]:
  """Flags of `argv`; what is unknown or of a wrong type ends in one line."""
  try:
    return flags.FLAGS(argv)
  except (flags.Error, AttributeError, TypeError, ValueError) as error:
    print(f'error: {error} (see --help)', file=sys.stderr)
    sys.exit(2)
