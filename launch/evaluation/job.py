"""A run of `launch.train`, looked at by its checkpoints, one after another."""

from collections.abc import Callable, Iterable, Mapping
import dataclasses
import functools
import pathlib
import time
from typing import Any, Literal, NamedTuple

from flax import nnx
import tqdm

from configs import schema
from data_pipelines import corpus as corpus_lib
from data_pipelines import latents as latents_data
from data_pipelines import stories as stories_lib
from data_pipelines import stream
from data_pipelines import tokenize
from launch import figures
from launch import lessons
from launch import shares
from launch import sheet
from launch.evaluation import continuations
from launch.evaluation import judge
from launch.evaluation import tables
from tv2tv_jax import sharding
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import leader
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.vae import latents as latents_lib

_ROWS_OF_A_DEVICE = 8  # at once, if nothing else is said


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """All that figures depend on besides the model.

  Attributes:
    part: of a checkpoint: the average or the model itself.
    latents: the datasets, with commas between; '': those of the run.
    split: of them.
    rows: of the split, spread over it; 0: all; -1: as many as the run's own
      evaluations.
    clips: whose chunks are filmed once more; 0: none.
    records: dataset of takes from whose frames stories are filmed; '': none.
    films: of these frames.
    seconds: of each story.
    i3d: file of the weights that look at them, too.
  """

  part: Literal['ema', 'model'] = 'ema'
  latents: str = ''
  split: str = 'test'
  rows: int = -1
  clips: int = 16
  records: str = ''
  films: int = 4
  seconds: float = 6.0
  i3d: str = ''


# Films stories with the model of a step: what is figured of them.
Filmer = Callable[[int, nnx.Module], Mapping[str, float | None]]


class Result(NamedTuple):
  """A table, and some clips for a sheet."""

  table: tables.Table
  rows: list[sheet.Row]


class Evaluation:
  """Held-out rows and clips, and what looks at them with a model."""

  def __init__(
    self, workdir: pathlib.Path, settings: Settings, batch: int | None = None
  ):
    """Checks that all fits; reads no checkpoint.

    Args:
      workdir: of `launch.train`.
      settings: what to look at.
      batch: rows at once, over all processes; a multiple is taken that the
        devices divide. None: those of training, or less.

    Raises:
      ValueError: no such workdir, latents that are not there, or of another
        VAE or tokenizer, or a mesh that splits rows unevenly.
    """
    run = _run(workdir)
    self._workdir, self._run, self._settings = workdir, run, settings
    for name in ('text_length', 'chunks'):
      shares.check(f'config.data.{name}', getattr(run.data, name), 'length')
    latents = _datasets(workdir, run, settings)
    tokenizer = tokenize.load(workdir)
    _, vae = latents_lib.load(workdir / 'vae' / vae_folder.LATENTS)
    fingerprints = latents_data.Fingerprints(vae, tokenize.fingerprint(workdir))
    data = dataclasses.replace(run.data, batch=_batch(run, batch))
    corpus = corpus_lib.Corpus(
      latents,
      data,
      special=tokenizer.special,
      span=run.model.span,
      fingerprints=fingerprints,
      share=stream.Share.of(sharding.rows_here(data.batch), data.batch),
    )
    rows = run.held_out if settings.rows < 0 else settings.rows
    batches = corpus.held_out(rows, settings.split)
    clips = [
      latents_data.Clips(each, settings.split, *fingerprints)
      for each in latents
    ]
    self._bar = tqdm.tqdm(disable=True)
    self._of_rows = sum(len(stories_lib.rows(each, data)) for each in clips)
    self._rows = min(rows, self._of_rows) or self._of_rows
    self._total = -(-self._rows // data.batch)
    self._totals = judge.judged(
      run,
      lessons.lesson(run),
      batches,
      watch=lambda: self._bar.update(),
    )
    self._continuations = None
    if settings.clips:
      self._continuations = continuations.Continuations(
        run,
        workdir / 'vae',
        clips,
        special=tokenizer.special,
        batch=data.batch,
        count=settings.clips,
      )
      self._total += len(self._continuations)

  def of(self, step: int, filmer: Filmer | None = None) -> Result:
    """What the checkpoint of a step is like.

    Args:
      step: of the checkpoint.
      filmer: films stories with its model; None: nobody does.

    Raises:
      checkpoint.NoCheckpointError: it is gone, or damaged.
      ValueError: it is of another model.
    """
    began = time.monotonic()
    model = checkpoint.restore_model(
      self._workdir,
      lambda key: model_lib.Tv2tv(self._run.model, rngs=nnx.Rngs(key)),
      part=self._settings.part,
      step=step,
    )
    seconds = {'restore': time.monotonic() - began}
    with tqdm.tqdm(
      total=self._total,
      desc=f'step {step}',
      unit='batch',
      disable=not sharding.leads(),
      dynamic_ncols=True,
      leave=False,
    ) as self._bar:
      began = time.monotonic()
      totals = self._totals(model)
      seconds['losses'] = time.monotonic() - began
      filmed = continuations.Filmed({}, {}, [])
      if self._continuations:
        began = time.monotonic()
        filmed = self._continuations(model, lambda: self._bar.update())
        seconds['pictures'] = time.monotonic() - began
    stories = None
    if filmer:
      began = time.monotonic()
      stories = filmer(step, model)
      seconds['stories'] = time.monotonic() - began
    table = self._table(step, totals, filmed, seconds)
    table |= {} if stories is None else {'stories': stories}
    return Result(table, filmed.rows)

  def _table(
    self,
    step: int,
    totals: judge.Totals,
    filmed: continuations.Filmed,
    seconds: dict[str, float],
  ) -> dict[str, Any]:
    """All figures; what is a mean over nothing is left out."""
    counted = {name: total for name, total in totals.items() if total.count}
    losses = {name: judge.mean(total) for name, total in counted.items()}
    shown = dict(filmed.figures)
    ceiling = figures.report(self._workdir / 'vae').get('psnr')
    if shown and ceiling is not None:
      shown['vae/psnr'] = ceiling
    settings = self._settings
    return {
      'step': step,
      'workdir': self._workdir.name,
      'part': settings.part,
      'latents': settings.latents or self._run.sources.latents,
      'split': settings.split,
      'rows': self._rows,
      'of_rows': self._of_rows,
      'losses': losses,
      'counts': {name: int(total.count) for name, total in counted.items()},
      'perplexity': {
        name: tables.perplexity(loss)
        for name, loss in losses.items()
        if name.startswith('text')
      },
      'pictures': shown,
      'curves': dict(filmed.curves),
      'seconds': {name: round(value, 3) for name, value in seconds.items()},
    }


def evaluate(
  workdir: pathlib.Path,
  out: pathlib.Path,
  settings: Settings,
  steps: Iterable[int],
  *,
  batch: int | None = None,
  lenient: bool = False,
  filmer: Filmer | None = None,
) -> None:
  """Writes a table for each step, one after another.

  Args:
    workdir: of `launch.train`; it must be there when the first step is.
    out: folder of the tables, all of these settings.
    settings: what to look at.
    steps: of checkpoints.
    batch: rows at once.
    lenient: whether a checkpoint that is gone, or damaged, is left out.
    filmer: films stories with each.

  Raises:
    checkpoint.NoCheckpointError: a checkpoint cannot be read.
    ValueError: as of `Evaluation`, or `out` has tables of other settings.
  """
  evaluation = None
  for step in steps:
    if evaluation is None:
      evaluation = Evaluation(workdir, settings, batch)
      workdir_lib.claim(out, settings)
    try:
      result = evaluation.of(step, filmer)
    except checkpoint.NoCheckpointError as error:
      if not lenient:
        raise
      there = leader.decides(step in checkpoint.finished(workdir))
      why = error if there else 'the run deleted it before it was read'
      _say(f'step {step} is left out: {why}')
      continue
    leader.does(functools.partial(tables.write, out, *result))
    _say(tables.line(result.table))
  _say(f'{out}: {len(tables.read(out))} checkpoints')


def _say(line: str) -> None:
  """Prints a line, on one process."""
  if sharding.leads():
    print(line, flush=True)


def _run(workdir: pathlib.Path) -> schema.StoryRun:
  """What the workdir was trained by."""
  try:
    return workdir_lib.read(workdir, schema.StoryRun)
  except ValueError as error:
    raise ValueError(f'{workdir} is none of launch.train: {error}') from error


def _datasets(
  workdir: pathlib.Path, run: schema.StoryRun, settings: Settings
) -> list[str]:
  """The datasets of latents; ValueError names one that is not there."""
  found = (settings.latents or run.sources.latents).split(',')
  for path in found:
    if not pathlib.Path(path).exists():
      raise ValueError(
        f'{workdir}: its latents {path!r} are not there: say where they are by '
        '--latents'
      )
  return found


def _batch(run: schema.StoryRun, batch: int | None) -> int:
  """Rows at once, which the devices that rows are split over divide."""
  devices = sharding.devices_along('batch')
  wanted = batch or min(run.data.batch, _ROWS_OF_A_DEVICE * devices)
  return -(-wanted // devices) * devices
