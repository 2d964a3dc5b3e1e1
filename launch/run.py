"""Every program starts here: one line for an error a person can mend."""

from collections.abc import Callable, Sequence
import contextlib
import hashlib
import os
import platform
import resource
import sys
import warnings

from absl import app as absl_app
from absl import flags
from absl import logging
import jax

from tv2tv_jax import sharding

_CACHE = '~/.cache/tv2tv_jax'


def app(
  main: Callable[[Sequence[str]], None],
  *,
  mesh: bool = True,
  arguments: int = 0,
) -> None:
  """Runs `main`, under a mesh of all devices unless it films on one.

  It gets as many words of the command line that are no flags as `arguments`
  says, or fewer; one more is an error.

  An error in values or files, or a loss that is not finite, becomes one line
  on standard error and exit status 2; an interrupt exit status 130. Anything
  else is our defect and keeps its traceback; so does everything with
  `TV2TV_TRACEBACK=1`.
  """

  def guarded(argv: Sequence[str]) -> None:
    if not os.environ.get('JAX_COMPILATION_CACHE_DIR'):
      jax.config.update('jax_compilation_cache_dir', _compilation_cache())
    if len(argv) > 1 + arguments:
      raise absl_app.UsageError(f'unexpected argument {argv[1 + arguments]!r}')
    if not flags.FLAGS['verbosity'].present:
      # Libraries tell of every file they open; progress bars tell enough.
      logging.set_verbosity(logging.ERROR)
      warnings.simplefilter('ignore', UserWarning)
    try:
      with _mesh() if mesh else contextlib.nullcontext():
        main(argv)
    except KeyboardInterrupt:
      print('\ninterrupted: run the same command to go on', file=sys.stderr)
      sys.exit(130)
    except (ValueError, OSError, FloatingPointError) as error:
      if os.environ.get('TV2TV_TRACEBACK'):
        raise
      print(f'error: {error}', file=sys.stderr)
      sys.exit(2)

  absl_app.run(guarded, flags_parser=_parsed)


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
  # Linux counts in KiB, macOS in bytes.
  unit = 1 if sys.platform == 'darwin' else 1024
  return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _mesh() -> contextlib.AbstractContextManager:
  """All devices."""
  return jax.set_mesh(sharding.make_mesh())


def _parsed(argv: Sequence[str]) -> list[str]:
  """Flags of `argv`; what is unknown or of a wrong type ends in one line."""
  try:
    return flags.FLAGS(argv)
  except (flags.Error, AttributeError, TypeError, ValueError) as error:
    print(f'error: {error} (see --help)', file=sys.stderr)
    sys.exit(2)
