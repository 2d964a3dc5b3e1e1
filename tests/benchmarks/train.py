r"""A run of `configs/doom.py` on this machine: its pace, and how it begins.

  python -m tests.benchmarks.train [--steps 300]

Three sessions, each a process of its own, on made-up stories: with nothing
compiled before, with what the first one compiled, and going on from a
checkpoint of the second. Step time is the median of means over 10 steps, the
compiler's time not counted. The share of checkpoints is what one of them holds
up, by the steps between two at the default interval.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from flax import nnx
import jax
import numpy as np

from configs import doom
from configs import schema
from data_pipelines import stories as stories_lib
from launch import figures
from tests import tiny
from tv2tv_jax import config as config_lib
from tv2tv_jax import sharding
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.train import flops
from tv2tv_jax.train import loop
from tv2tv_jax.train import metrics as metrics_lib
from tv2tv_jax.train import objective
from tv2tv_jax.tv2tv import model as model_lib

_SAVES = 3  # of a session


class _Stories:
  """The same batch of made-up stories again and again."""

  def __init__(self, run: schema.StoryRun):
    data, frames = run.data, run.model.frames
    rng = np.random.default_rng(0)
    words = ((), *[tuple(rng.integers(6, 300, 5))] * (data.chunks - 1))
    story = story_lib.Story(tuple(rng.integers(6, 300, 2)), words, ended=True)
    row = tiny.row(
      *[story] * data.batch,
      text_length=data.text_length,
      chunks=data.chunks,
      span=run.model.span,
    )
    shape = (data.batch, data.chunks, frames.rows, frames.columns)
    latents = rng.normal(size=(*shape, frames.latent)).astype('f4')
    self._batch = {
      **{name: np.asarray(part) for name, part in row._asdict().items()},
      'latents': latents,
    }

  def __next__(self):
    return self._batch

  def get_state(self):
    return {}

  def set_state(self, state):
    del state


def _session(workdir: pathlib.Path, steps: int, ends: bool) -> None:
  """Trains for so many steps, and says when the first of them was over.

  Args:
    workdir: of the run.
    steps: half of the run.
    ends: whether to go on to its end.
  """
  run = config_lib.from_config_dict(schema.StoryRun, doom.get_config())
  data = run.data
  fields = dict(
    optimizer=run.train.optimizer, ema=run.train.ema, seed=run.train.seed
  )
  config = loop.TrainConfig(
    steps=2 * steps,
    log_every=10,
    save_every=steps // _SAVES,
    evaluate_every=steps,
    **fields,
  )

  def board(workdir, step):
    def tell(step, numbers):
      if 'session/first_step_seconds' in numbers:
        print(time.time(), flush=True)

    return tell

  def evaluate(model):
    if not ends:
      sys.exit()
    return {}

  with jax.set_mesh(sharding.make_mesh()):
    loop.train(
      lambda key: model_lib.Tv2tv(run.model, rngs=nnx.Rngs(key)),
      objective.lesson(run.objective, run.rates, plan=stories_lib.plan(data)),
      _Stories(run),
      config,
      workdir,
      cost=flops.cost(
        run.model,
        rows=data.batch,
        chunks=data.chunks,
        text_length=data.text_length,
      ),
      board=board,
      evaluate=evaluate,
    )


def _measured(workdir, cache, steps, ends) -> dict[str, float]:
  """What a session took, in seconds."""
  began = time.time()
  done = subprocess.run(
    [sys.executable, '-m', 'tests.benchmarks.train', f'--workdir={workdir}']
    + [f'--steps={steps}', *['--ends'] * ends],
    env={**os.environ, 'JAX_COMPILATION_CACHE_DIR': str(cache)},
    stdout=subprocess.PIPE,
    text=True,
    check=True,
  )
  records = metrics_lib.read(workdir / metrics_lib.NAME)
  starts = [i for i, r in enumerate(records) if metrics_lib.BEGAN in r]
  records = records[starts[-1] :]

  def all_of(name):
    return [r[name] for r in records if name in r]

  stalls = [s for s in all_of('pace/save_stall_seconds') if s]
  (compiling,) = all_of('session/compile_seconds')
  (restoring,) = all_of('session/restore_seconds')
  return {
    'first step': float(done.stdout) - began,
    'compile': compiling,
    'restore': restoring,
    'step': float(np.median(all_of('pace/step_seconds'))),
    'tokens': float(np.median(all_of('pace/tokens_per_second'))),
    'stall': float(np.median(stalls)),
  }


def _table(sessions: dict[str, dict[str, float]]) -> str:
  """A row a session."""
  interval = doom.get_config().train.save_every
  lines = [
    '| session | process start to first step | compile | restore | step '
    '| tokens/s | a checkpoint holds up | its share |',
    '|---|---|---|---|---|---|---|---|',
  ]
  for name, each in sessions.items():
    share = each['stall'] / (interval * each['step'])
    lines.append(
      f'| {name} | {each["first step"]:.1f} s | {each["compile"]:.1f} s '
      f'| {each["restore"]:.2f} s | {1000 * each["step"]:.1f} ms '
      f'| {each["tokens"]:,.0f} | {1000 * each["stall"]:.0f} ms '
      f'| {100 * share:.2f} % |'
    )
  return '\n'.join(lines)


def _main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--steps', type=int, default=300)
  parser.add_argument('--workdir', type=pathlib.Path, help=argparse.SUPPRESS)
  parser.add_argument('--ends', action='store_true', help=argparse.SUPPRESS)
  values = parser.parse_args()
  if values.workdir:
    _session(values.workdir, values.steps, values.ends)
    return
  with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    plan = {
      'nothing compiled': ('one', False),
      'compiled before': ('two', False),
      'going on': ('two', True),
    }
    sessions = {
      name: _measured(folder / workdir, folder / 'cache', values.steps, ends)
      for name, (workdir, ends) in plan.items()
    }
  cores = f'{os.cpu_count()} cores of {figures.machine()["cpu"]}'
  print(f'{cores}, jax {jax.__version__}')
  print(_table(sessions))


if __name__ == '__main__':
  _main()
