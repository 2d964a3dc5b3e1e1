r"""Evaluates the checkpoints of a run of `launch.train`, from another job.

  python -m launch.evaluate --workdir DIR
  python -m launch.evaluate --workdir DIR --watch

The first looks at the newest checkpoint, or that of `--step`, once. The second
follows a run, also one that has not begun: it looks at each checkpoint that
appears (with `--every N`, at those of multiples of N steps), oldest first,
until the run is over, or none came for `--timeout` seconds. What has a table is
not looked at again.

Only the averaged model (or with `--part model` the last one) is read, onto
whatever devices and processes this job has. Nothing is written into the
checkpoints of the run. OUT, DIR/evaluations if not given, gets for each step

  STEP.json, STEP.md  losses of words and video, by kind and by flow time, means
                      over the held-out rows; perplexity; PSNR and SSIM
                      of next chunks (launch/evaluation/continuations.py)
  STEP.png            some of these chunks, below the real ones

and overview.md and curves.png over all steps. The figures do not depend on
`--batch`, devices or processes, and the losses are those that the run itself
writes as `held_out/*`.
"""

from collections.abc import Iterable
import pathlib

from absl import flags

from launch import run as run_lib
from launch.evaluation import job
from launch.evaluation import tables
from launch.evaluation import watch
from tv2tv_jax import sharding
from tv2tv_jax.train import leader

_WORKDIR = flags.DEFINE_string('workdir', None, 'Workdir of launch.train.')
_OUT = flags.DEFINE_string('out', None, 'Folder of the tables.')
_WATCH = flags.DEFINE_bool('watch', False, 'Follow the run to its end.')
_STEP = flags.DEFINE_integer(
  'step', None, 'Which checkpoint; the newest if not given.', lower_bound=1
)
_EVERY = flags.DEFINE_integer(
  'every', 1, 'Steps between those that are watched.', lower_bound=1
)
_TIMEOUT = flags.DEFINE_float(
  'timeout', 3600.0, 'Seconds to wait for a checkpoint.', lower_bound=0
)
_POLL = flags.DEFINE_float(
  'poll', 5.0, 'Seconds between looks.', lower_bound=0.01
)
_PART = flags.DEFINE_enum('part', 'ema', ['ema', 'model'], 'What is restored.')
_LATENTS = flags.DEFINE_string(
  'latents',
  '',
  "Datasets of latents, parted by commas; the run's if not given.",
)
_SPLIT = flags.DEFINE_string('split', 'test', 'Split of them.')
_ROWS = flags.DEFINE_integer(
  'rows', -1, "Rows of the split; 0: all; -1: the run's own.", lower_bound=-1
)
_CLIPS = flags.DEFINE_integer(
  'clips', 16, 'Clips whose chunks are filmed; 0: none.', lower_bound=0
)
_BATCH = flags.DEFINE_integer(
  'batch', None, 'Rows at once, over all devices.', lower_bound=1
)
flags.mark_flag_as_required('workdir')


def main(_) -> None:
  """A table for each checkpoint."""
  if _WATCH.value and _STEP.value:
    raise ValueError(
      f'--step={_STEP.value} is one checkpoint: not with --watch'
    )
  workdir = pathlib.Path(_WORKDIR.value)
  out = pathlib.Path(_OUT.value) if _OUT.value else workdir / 'evaluations'
  settings = job.Settings(
    part=_PART.value,
    latents=_LATENTS.value,
    split=_SPLIT.value,
    rows=_ROWS.value,
    clips=_CLIPS.value,
  )
  job.evaluate(
    workdir,
    out,
    settings,
    _steps(workdir, out),
    batch=_BATCH.value,
    lenient=_WATCH.value,
  )


def _steps(workdir: pathlib.Path, out: pathlib.Path) -> Iterable[int]:
  """The checkpoints to look at."""
  if _WATCH.value:
    patience = watch.Patience(
      every=_EVERY.value, timeout=_TIMEOUT.value, poll=_POLL.value
    )
    return watch.steps(workdir, patience, lambda step: tables.done(out, step))
  step = _STEP.value or watch.newest(workdir)
  if leader.decides(tables.done(out, step)):
    if sharding.leads():
      print(f'step {step} has its table')
    return []
  return [step]


if __name__ == '__main__':
  run_lib.app(main)
