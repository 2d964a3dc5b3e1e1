r"""Evaluates the checkpoints of a run of `launch.train`, or finished stories.

  python -m launch.evaluate --workdir DIR
  python -m launch.evaluate --workdir DIR --watch
  python -m launch.evaluate --stories FOLDER --out OUT --records RECORDS \
      --witness WITNESS --vae DIR/vae

The first looks at the newest checkpoint, or that of `--step`, once. The second
follows a run, also one that has not begun: it looks at each checkpoint that
appears (with `--every N`, at those of multiples of N steps), oldest first,
until the run is over, or none came for `--timeout` seconds. What has a table is
not looked at again.

Only the averaged model (or with `--part model` the last one) is read, onto
whatever devices and processes this job has. Nothing is written into the
checkpoints of the run. OUT, DIR/evaluations if not given, gets for each step

  STEP.json, STEP.md  losses of words and video, by kind and by flow time, means
                      over the held-out rows; perplexity; PSNR, SSIM and MS-SSIM
                      of next chunks (launch/evaluation/continuations.py)
  STEP.png            some of these chunks, below the real ones
  STEP.html           all of it as a page

and overview.md and curves.png over all steps. The figures do not depend on
`--batch`, devices or processes, and the losses are those that the run itself
writes as `held_out/*`. With `--records`, the checkpoint also films stories of
`--seconds` from `--films` held-out frames, told different things, into
OUT/STEP/stories, and they are evaluated as those of the third command.

That one needs no model: it looks at the films of a folder that
`launch.generate --prompts` has made. OUT gets report.json, report.md,
index.html with curves and pictures, and a file for each story
(launch/evaluation/story_set.py). Each adds to the figures:

  --records RECORDS  real film of `--split`: Fréchet distances, ceilings
  --witness WITNESS  the inverse dynamics model of this workdir: obedience, and
                     features; it is trained there, on RECORDS and the VAE of
                     `--vae`, where there is none
  --i3d FILE         I3D's weights: features of clips of 16 frames
  --against FOLDER   other stories of the same names: PSNR, SSIM, MS-SSIM frame
                     by frame, and Fréchet distances
  --vbench DIR       the films laid out for VBench, which is run if it is there

`--hosts H --host h` looks at every H-th story; the host that finds all of them
looked at writes the report. Stories that failed are named in it, and the exit
status is 2.
"""

from collections.abc import Iterable, Sequence
import pathlib

from absl import flags

from launch import run as run_lib
from launch.evaluation import filmed as filmed_lib
from launch.evaluation import job
from launch.evaluation import story_set
from launch.evaluation import tables
from launch.evaluation import vbench
from launch.evaluation import watch
from launch.evaluation.told import table as told_table
from launch.stories import batch
from tv2tv_jax import sharding
from tv2tv_jax.train import leader

_WORKDIR = flags.DEFINE_string('workdir', None, 'Workdir of launch.train.')
_STORIES = flags.DEFINE_string('stories', None, 'Folder of finished stories.')
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
_SPLIT = flags.DEFINE_string('split', 'test', 'Split of them, and of records.')
_ROWS = flags.DEFINE_integer(
  'rows', -1, "Rows of the split; 0: all; -1: the run's own.", lower_bound=-1
)
_CLIPS = flags.DEFINE_integer(
  'clips', 16, 'Clips whose chunks are filmed; 0: none.', lower_bound=0
)
_BATCH = flags.DEFINE_integer(
  'batch', None, 'Rows at once, over all devices.', lower_bound=1
)
_RECORDS = flags.DEFINE_string('records', '', 'Dataset of takes: real film.')
_WITNESS = flags.DEFINE_string(
  'witness', '', 'Workdir of the inverse dynamics model; trained if missing.'
)
_VAE = flags.DEFINE_string(
  'vae', '', "Folder of a VAE for the witness; that of a workdir's own."
)
_I3D = flags.DEFINE_string('i3d', '', "File of I3D's weights.")
_AGAINST = flags.DEFINE_string(
  'against', '', 'Stories of the same names to compare with.'
)
_VBENCH = flags.DEFINE_string('vbench', None, 'Folder laid out for VBench.')
_FILMS = flags.DEFINE_integer(
  'films', 4, 'Held-out frames from which stories are filmed.', lower_bound=1
)
_SECONDS = flags.DEFINE_float(
  'seconds',
  6.0,
  'Length of these stories.',
  lower_bound=filmed_lib.SHORTEST,
)
_HOSTS = flags.DEFINE_integer(
  'hosts', 1, 'Hosts that share the stories of a folder.', lower_bound=1
)
_HOST = flags.DEFINE_integer('host', 0, 'Which of them this is.')

_READER = 'inverse_dynamics'  # folder of the witness of a run
_OF_RUNS = (
  _WATCH,
  _STEP,
  _EVERY,
  _TIMEOUT,
  _POLL,
  _PART,
  _LATENTS,
  _ROWS,
  _CLIPS,
  _BATCH,
  _FILMS,
  _SECONDS,
)
_OF_STORIES = (_AGAINST, _VBENCH, _HOSTS, _HOST)
_OF_FILMS = (_WITNESS, _VAE, _I3D, _FILMS, _SECONDS)


def main(_) -> None:
  """A table for each checkpoint, or one for a folder of stories."""
  if (_WORKDIR.value is None) == (_STORIES.value is None):
    raise ValueError('give one of --workdir, a run, and --stories, a folder')
  if _STORIES.value is not None:
    _refuse('--stories', _OF_RUNS)
    _look_at_stories(pathlib.Path(_STORIES.value))
    return
  _refuse('--workdir', _OF_STORIES)
  if not _RECORDS.value:
    _refuse('--workdir without --records', _OF_FILMS)
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
    records=_RECORDS.value,
    films=_FILMS.value,
    seconds=_SECONDS.value,
    i3d=_I3D.value,
  )
  filmer = None
  if _RECORDS.value:
    held = _held_against(
      witness=_WITNESS.value or str(out / _READER),
      vae=_VAE.value or str(workdir / 'vae'),
    )
    filming = filmed_lib.Filming(films=_FILMS.value, seconds=_SECONDS.value)
    filmer = filmed_lib.Filmer(workdir, out, filming, held)
  job.evaluate(
    workdir,
    out,
    settings,
    _steps(workdir, out),
    batch=_BATCH.value,
    lenient=_WATCH.value,
    filmer=filmer,
  )


def _look_at_stories(folder: pathlib.Path) -> None:
  """The figures of finished stories."""
  if not _OUT.value:
    raise ValueError('--out is missing: the folder that gets the report')
  out = pathlib.Path(_OUT.value)
  if out.resolve() == folder.resolve():
    raise ValueError(f'--out={out} is the folder of the stories: name another')
  share = batch.Share(host=_HOST.value, hosts=_HOSTS.value)
  settings = _held_against(witness=_WITNESS.value, vae=_VAE.value)
  done = story_set.evaluated(folder, out, settings, share)
  if done is None:
    print(
      f'{out}: this share is done; the host that looks at the last story '
      'writes the report'
    )
    return
  print(told_table.markdown(done.report))
  print(f'page: {out / story_set.PAGE}')
  if _VBENCH.value:
    place = pathlib.Path(_VBENCH.value)
    print(vbench.export(folder, place))
    vbench.run(place)
  failed = [*done.failed, *done.report.get('against_failed', [])]
  if failed:
    named = '; '.join(f'{each["id"]}: {each["error"]}' for each in failed)
    raise ValueError(f'{folder}: {len(failed)} stories failed: {named}')


def _held_against(*, witness: str, vae: str) -> story_set.Settings:
  """What stories are held against."""
  return story_set.Settings(
    records=_RECORDS.value,
    split=_SPLIT.value,
    against=_AGAINST.value,
    witness=witness,
    vae=vae,
    i3d=_I3D.value,
  )


def _refuse(mode: str, others: Sequence[flags.FlagHolder]) -> None:
  """ValueError if a flag is given that a mode has no use for."""
  for flag in others:
    if flags.FLAGS[flag.name].present:
      raise ValueError(f'{mode} has no use for --{flag.name}: leave it out')


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
