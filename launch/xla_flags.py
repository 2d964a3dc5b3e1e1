"""What the compiler and the run time are told, by the kind of chip.

  eval "$(python -m launch.xla_flags v5p)"

prints and sets them for programs that are started after it. What was set before
stays, and counts more. Flags of one kind of chip may hang another or be unknown
there, so each list is its chip's own; all are known to the pinned jax and
libtpu (tests/launch/test_xla_flags.py).
"""

from collections.abc import Mapping, Sequence
import os
import shlex
import sys
from typing import NamedTuple


class Settings(NamedTuple):
  """Environment of programs on a kind of chip.

  Attributes:
    tpu: flags of libtpu.
    xla: flags of XLA.
    environment: other variables.
  """

  tpu: tuple[str, ...] = ()
  xla: tuple[str, ...] = ()
  environment: Mapping[str, str] = {}


# Gradients that cross from slice to slice are summed while the backward pass
# goes on, rather than after it, whatever their sizes (MaxText,
# benchmarks/xla_flags_library.py: DATA_PARALLEL_OVERLAP, used there on v5e, v5p
# and v6e). Without a second slice they do nothing.
_SLICES = (
  '--xla_tpu_enable_data_parallel_all_reduce_opt=true',
  '--xla_tpu_data_parallel_opt_different_sized_ops=true',
)


def _scratch(kib: int) -> str:
  """Fast memory that one fusion may take; the default is a small part of it."""
  return f'--xla_tpu_scoped_vmem_limit_kib={kib}'


# Copies to and from the network run beside products, not between them (JAX's
# and NVIDIA's guides to performance on GPUs; JAX-Toolbox's images set the
# first). The other three let the gathering of a layer's weights, and the sum of
# its gradients, begin in the iteration of the loop over layers before.
_NVIDIA = Settings(
  xla=(
    '--xla_gpu_enable_latency_hiding_scheduler=true',
    '--xla_gpu_enable_pipelined_all_gather=true',
    '--xla_gpu_enable_pipelined_reduce_scatter=true',
    '--xla_gpu_enable_pipelined_all_reduce=true',
  ),
  # The default is three quarters of the memory (NVIDIA's guide: 0.8 to 0.9).
  environment={'XLA_PYTHON_CLIENT_MEM_FRACTION': '0.9'},
)

CHIPS: Mapping[str, Settings] = {
  # Scratch of v5: Levanter's default for v5e and v5p; of v6e: MaxText's for
  # dense models (DENSE_VMEM_LIMIT_FLAG).
  'v5e': Settings(tpu=(_scratch(50000), *_SLICES)),
  'v5p': Settings(tpu=(_scratch(50000), *_SLICES)),
  'v6e': Settings(tpu=(_scratch(98304), *_SLICES)),
  'h100': _NVIDIA,
  'h200': _NVIDIA,
}


def environment(chip: str, before: Mapping[str, str]) -> dict[str, str]:
  """Variables for programs on `chip`, where those of `before` are set.

  Raises:
    ValueError: a chip of which nothing is known here.
  """
  if chip not in CHIPS:
    raise ValueError(f'no flags for the chip {chip!r}: give {", ".join(CHIPS)}')
  settings = CHIPS[chip]
  found = {}
  for name, ours in (
    ('LIBTPU_INIT_ARGS', settings.tpu),
    ('XLA_FLAGS', settings.xla),
  ):
    theirs = before.get(name, '').split()
    names = {flag.partition('=')[0] for flag in theirs}
    ours = [flag for flag in ours if flag.partition('=')[0] not in names]
    if ours:
      found[name] = ' '.join([*ours, *theirs])
  for name, value in settings.environment.items():
    if name not in before:
      found[name] = value
  return found


def main(words: Sequence[str]) -> int:
  """Prints lines for a shell; returns the exit status."""
  try:
    found = environment(' '.join(words), os.environ)
  except ValueError as error:
    print(f'error: {error}', file=sys.stderr)
    return 2
  for name, value in found.items():
    print(f'export {name}={shlex.quote(value)}')
  return 0


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
