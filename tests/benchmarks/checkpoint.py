r"""What saving and restoring the state of a run takes, in time and memory.

  python -m tests.benchmarks.checkpoint [--preset tiny] [--saves 5] [--out DIR]

Of a model of `tv2tv/presets.py`, with its average and AdamW's moments: `tiny`
is the one of `configs/doom.py`. A save holds up its caller, and goes on in the
background while the state is given up to something that changes all of it, as a
step does. Restoring is a process of its own, as it is in a run. Memory is the
most that a process held above what it held before.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from flax import nnx
import jax

from tests.train import small_state
from tv2tv_jax import sharding
from tv2tv_jax.train import bundle
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import digest
from tv2tv_jax.train import optimizer as optimizer_lib
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.train import step as step_lib
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.tv2tv import presets

_MIB = 1 << 20


class _Memory:
  """What this process holds, MiB."""

  def __init__(self):
    pathlib.Path('/proc/self/clear_refs').write_text('5')  # Forgets the most.
    self._before = self._field('VmRSS')

  def grown(self) -> int:
    """The most that it held since, above what it held then."""
    return self._field('VmHWM') - self._before

  def _field(self, name: str) -> int:
    lines = pathlib.Path('/proc/self/status').read_text().splitlines()
    line = next(line for line in lines if line.startswith(name))
    return int(line.split()[1]) // 1024


def _born(preset: str) -> state_lib.TrainState:
  """The state of a run before its first step."""
  model = model_lib.Tv2tv(presets.preset(preset), rngs=nnx.Rngs(0))
  return step_lib.born(model, lambda *_: None, optimizer_lib.OptimizerConfig())


def _save(workdir: pathlib.Path, preset: str, saves: int) -> None:
  """Saves time and again, each time another state."""
  state = jax.block_until_ready(jax.jit(_born, static_argnums=0)(preset))
  advance = jax.jit(
    lambda state: jax.tree.map(lambda leaf: leaf + 1, state), donate_argnums=0
  )
  state = jax.block_until_ready(advance(state))
  size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
  held, whole, digests = [], [], []
  feed, memory = small_state.feed(), _Memory()
  with checkpoint.Checkpoints(workdir, every=1, keep=1) as checkpoints:
    for step in range(1, saves + 2):
      began = time.monotonic()
      held.append(checkpoints.save(state, feed, step=step))
      state = jax.block_until_ready(advance(state))
      checkpoints.save(state, feed, step=step, last=True)  # Waits.
      whole.append(time.monotonic() - began)
      began = time.monotonic()
      digest.digests(checkpoint.named(state))
      digests.append(time.monotonic() - began)
  folder = workdir / 'checkpoints' / str(step)
  files = [path.stat().st_size for path in folder.rglob('*') if path.is_file()]
  # The first of each waits for the compiler.
  middle = {
    name: statistics.median(times[1:])
    for name, times in dict(held=held, whole=whole, digests=digests).items()
  }
  print(
    f'{preset}, {size / _MIB:.0f} MiB of state: a save holds up '
    f'{middle["held"]:.3f} s (the first {held[0]:.2f}; digests '
    f'{middle["digests"]:.3f}), is whole after {middle["whole"]:.2f} s, has '
    f'{sum(files) / _MIB:.0f} MiB in {len(files)} files; {memory.grown()} MiB '
    'of memory above the state'
  )


def _restore(workdir: pathlib.Path, preset: str) -> None:
  """Restores once."""
  abstract = sharding.abstract(lambda: _born(preset))
  size = sum(
    leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(abstract)
  )
  memory = _Memory()
  with checkpoint.Checkpoints(workdir, every=1, keep=1) as checkpoints:
    state = checkpoints.restore(abstract, small_state.feed())
    jax.block_until_ready(state)
    seconds = checkpoints.restore_seconds
  began = time.monotonic()
  parts = {'ema': checkpoint.named(abstract.ema)}
  folder = workdir / 'checkpoints' / str(checkpoint.finished(workdir)[-1])
  grown = memory.grown()
  del state
  bundle.read(folder, parts, bundle.read_contents(folder))
  print(
    f'{preset}: restored in {seconds:.2f} s, {grown} MiB of memory for '
    f'{size / _MIB:.0f} MiB of state; the average alone in '
    f'{time.monotonic() - began:.2f} s'
  )


def main() -> None:
  """Measures both; `--side` is one of them, in a process of its own."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--preset', default='tiny')
  parser.add_argument('--saves', type=int, default=5)
  parser.add_argument('--out', type=pathlib.Path, help='on the disk to measure')
  parser.add_argument('--side', choices=['save', 'restore'])
  flags = parser.parse_args()
  if flags.side == 'save':
    _save(flags.out, flags.preset, flags.saves)
    return
  if flags.side == 'restore':
    _restore(flags.out, flags.preset)
    return
  with tempfile.TemporaryDirectory(dir=flags.out) as folder:
    for side in ('save', 'restore'):
      command = [sys.executable, '-m', 'tests.benchmarks.checkpoint']
      command += [f'--side={side}', f'--preset={flags.preset}']
      command += [f'--saves={flags.saves}', f'--out={folder}']
      subprocess.run(command, check=True)


if __name__ == '__main__':
  main()
