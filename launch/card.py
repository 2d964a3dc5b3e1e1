"""The card of a released model: what it is, of what it was made, how good."""

from collections.abc import Iterator, Mapping
import dataclasses
import importlib
import json
import math
import pathlib
import shlex
from typing import Any, NamedTuple

import jinja2

from configs import schema
from launch import figures
from launch import page
from tv2tv_jax import config as config_lib
from tv2tv_jax.train import metrics
from tv2tv_jax.train import vae as train_vae

MARKDOWN, FIGURES = 'CARD.md', 'card.json'
_COUNTS = ('instruction', 'obeyed', 'moved', 'apart', 'twins')
_CEILINGS = ('ceiling', 'ceiling_moved', 'ceiling_apart')


class Configs(NamedTuple):
  """The config files that runs began with, `configs/NAME.py`."""

  vae: str
  story: str


def described(workdir: pathlib.Path) -> tuple[str, str]:
  """What a model is called, and what is told of it."""
  try:
    card = (workdir / MARKDOWN).read_text(encoding='utf-8')
  except (OSError, UnicodeDecodeError):
    return workdir.absolute().name, ''
  title = card.lstrip().partition('\n')[0].lstrip('# ').strip()
  return title or workdir.absolute().name, card


def data(records: pathlib.Path) -> dict[str, Any]:
  """What a model has seen: how it was recorded, and how much of it.

  Raises:
    ValueError: no dataset of takes there.
  """
  try:
    recipe = json.loads((records / 'recipe.json').read_text())
    summary = json.loads((records / 'summary.json').read_text())
    return {
      'recipe': recipe,
      'takes': int(summary['takes']),
      'hours': float(summary['seconds']) / 3600,
      'spoken_hours': float(summary['spoken']) / 3600,
    }
  except (OSError, KeyError, TypeError, ValueError) as error:
    raise ValueError(
      f'{records}: no recording of launch.record there ({error}); give it by '
      '--records'
    ) from None


def model(workdir: pathlib.Path) -> dict[str, Any]:
  """Parameters, seconds and last held-out losses of a run of launch.train."""
  held_out, seconds = {}, 0.0
  for record in metrics.read(workdir / metrics.NAME):
    seconds = record.get('seconds', seconds)
    found = {
      name.removeprefix('held_out/'): value
      for name, value in record.items()
      if name.startswith('held_out/')
    }
    held_out = found or held_out
  if 'text/word' in held_out:
    held_out['perplexity of words'] = math.exp(held_out['text/word'])
  shown = ('video', 'text', 'perplexity of words')
  return {
    'parameters': figures.report(workdir)['parameters'],
    'seconds': seconds,
    'held_out': {name: held_out[name] for name in shown if name in held_out},
  }


def vae(folder: pathlib.Path) -> dict[str, Any]:
  """What the report of a VAE says of it; 0 where it says nothing."""
  report = figures.report(folder)
  names = ('steps', 'seconds', 'psnr', 'ssim')
  return {name: report.get(name, 0) for name in names}


def obedience(path: pathlib.Path, step: int) -> dict[str, Any]:
  """The table of a report of launch.obedience.

  Args:
    path: report.json.
    step: of the checkpoint that it must be of.

  Raises:
    ValueError: no report, or of another checkpoint.
  """
  try:
    report = json.loads(path.read_text())
    table = report['obedience']
    rows = [
      {name: row[name] for name in (*_COUNTS, *_CEILINGS)}
      for row in table['rows']
    ]
    of = report['losses']['model']['steps']
  except (OSError, KeyError, TypeError, ValueError) as error:
    raise ValueError(
      f'{path}: no report of launch.obedience ({error!r})'
    ) from None
  if of != step:
    raise ValueError(
      f'{path} is of a run of {of} steps, this one has {step}: give its own'
    )
  return {
    'rows': rows,
    'turns': table['turns'],
    'window_seconds': table['window_seconds'],
  }


def commands(
  recipe: Mapping[str, Any],
  configs: Configs,
  vae_run: train_vae.VaeRun | None,
  run: schema.StoryRun,
) -> list[str]:
  """What to run for another model like it; a converted VAE has no command.

  Raises:
    ValueError: a config file that is not there.
  """
  recorded = [
    f'--{name}={",".join(value) if isinstance(value, list) else value}'
    for name, value in recipe.items()
    if name != 'version' and value is not None
  ]
  lines = [f'launch.record --out RECORDS {shlex.join(recorded)}']
  lines += ['launch.tokenize --records RECORDS --out TOKENIZER']
  if vae_run is not None:
    changed = _changed(configs.vae, vae_run)
    given = f'--config.data.records=RECORDS {changed}'
    lines += [f'launch.train_vae --config {configs.vae} --workdir VAE {given}']
  lines += [
    'launch.encode --vae VAE --records RECORDS --tokenizer TOKENIZER '
    '--out LATENTS'
  ]
  given = (
    '--config.sources.latents=LATENTS --config.sources.vae=VAE '
    f'--config.sources.tokenizer=TOKENIZER {_changed(configs.story, run)}'
  )
  lines += [f'launch.train --config {configs.story} --workdir MODEL {given}']
  return [f'python -m {line}'.rstrip() for line in lines]


def read(release: pathlib.Path) -> dict[str, Any]:
  """The card of a release, to compute with.

  Raises:
    ValueError: it has none.
  """
  path = release / FIGURES
  try:
    return json.loads(path.read_text())
  except (OSError, ValueError) as error:
    raise ValueError(
      f'{path}: no card ({error}); is {release} of launch.release?'
    ) from None


def render(card: Mapping[str, Any]) -> str:
  """The card as Markdown."""
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
  )
  table = page.table(card) if card['obedience'] else ''
  return environment.get_template('card.md').render(card=card, obedience=table)


def _changed(file: str, run: Any) -> str:
  """The flags that make the run out of a config file; its sources are none."""
  module = file.removesuffix('.py').replace('/', '.')
  try:
    values = importlib.import_module(module).get_config()
  except (ImportError, AttributeError) as error:
    raise ValueError(f'{file}: no config ({error})') from None
  before = config_lib.from_config_dict(type(run), values)
  return shlex.join(_flags(run, before, '--config'))


def _flags(now: Any, before: Any, path: str) -> Iterator[str]:
  """A flag for each field that is another; none for where a run reads from."""
  for field in dataclasses.fields(now):
    a, b = getattr(now, field.name), getattr(before, field.name)
    name = f'{path}.{field.name}'
    if name in ('--config.sources', '--config.data.records'):
      continue
    if dataclasses.is_dataclass(a) and type(a) is type(b):
      yield from _flags(a, b, name)
    elif a != b:
      yield f'{name}={a}'
