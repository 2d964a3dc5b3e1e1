"""A run as others need it: smaller, told about, and of no machine."""

import dataclasses
import json
import os
import pathlib
import shutil
import time
from typing import Any, NamedTuple

from configs import schema
from data_pipelines import latents as latents_data
from data_pipelines import tokenize
from launch import card as card_lib
from launch import figures
from launch import storyteller as storyteller_lib
from tv2tv_jax import config as config_lib
from tv2tv_jax.train import averaged
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import metrics
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import workdir as workdir_lib

_POINTS = 120  # of the curves; more cannot be told apart on a page
# Of a record of metrics, what tells of the machine or of single parts.
_LEFT_OUT = ('pace/', 'session/', 'gradient_norm', 'update_norm')


class Terms(NamedTuple):
  """What a run does not know of its release.

  Attributes:
    title: of the card.
    license: the file of the film's license.
    configs: what the runs began with.
    records: the recording; None: the one that the VAE was trained on.
    report: the report.json of launch.obedience; None if there is none.
    megabytes: the most that it may take.
  """

  title: str
  license: pathlib.Path
  configs: card_lib.Configs
  records: pathlib.Path | None = None
  report: pathlib.Path | None = None
  megabytes: float = 25.0


def pack(workdir: pathlib.Path, out: pathlib.Path, terms: Terms) -> int:
  """Writes the release of a run; it appears when it is whole.

  Returns:
    Its bytes.

  Raises:
    ValueError: the run is not finished, something that is no release is there,
      no recording, a report of another run, too large (names what is).
    OSError: it cannot be written, or no license is there.
  """
  run = workdir_lib.read(workdir, schema.StoryRun)
  vae_run = workdir_lib.read(workdir / 'vae', train_vae.VaeRun)
  step = _finished(workdir)
  _check_place(out)
  card = _card(workdir, run, vae_run, terms)
  if terms.report is not None:
    card['obedience'] = card_lib.obedience(terms.report, step)
  card['place'] = 'DIR' if out.is_absolute() else out.as_posix()
  out.parent.mkdir(parents=True, exist_ok=True)
  partial = out.with_name(f'.{out.name}.{os.getpid()}.partial')
  shutil.rmtree(partial, ignore_errors=True)
  try:
    _copy(workdir, run, step, partial)
    _copy_vae(workdir / 'vae', vae_run, partial / 'vae')
    shutil.copyfile(terms.license, partial / 'LICENSE')
    card['checkpoint'] = _told_by(partial, workdir)
    card['bytes'] = _size(partial)  # Without the card itself.
    _write_card(card, partial)
    size = _size(partial)
    if size > 1e6 * terms.megabytes:
      raise ValueError(_too_large(out, partial, terms.megabytes))
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
  finally:
    shutil.rmtree(partial, ignore_errors=True)
  return size


def _check_place(out: pathlib.Path) -> None:
  """ValueError if a folder holds something that is no release."""
  if not out.exists() or (out / card_lib.FIGURES).exists():
    return
  if not out.is_dir() or any(out.iterdir()):
    raise ValueError(f'--out {out}: there is something else; name another')


def _finished(workdir: pathlib.Path) -> int:
  """The step of the newest checkpoint; ValueError before the end of the run."""
  step = checkpoint.newest(workdir)
  if step is None or step != figures.report(workdir).get('steps'):
    raise ValueError(
      f'{workdir}: not finished (newest checkpoint: {step}); run the same '
      'launch.train to its end'
    )
  return step


def _card(
  workdir: pathlib.Path,
  run: schema.StoryRun,
  vae_run: train_vae.VaeRun,
  terms: Terms,
) -> dict[str, Any]:
  """What is known before anything is written."""
  license_text = terms.license.read_text(encoding='utf-8')
  data = card_lib.data(terms.records or pathlib.Path(vae_run.data.records))
  metadata = latents_data.read_metadata(workdir)
  converted = (workdir / 'vae' / vae_folder.WEIGHTS).is_dir()
  rows, columns = storyteller_lib.kept_start(workdir, 0).frames.shape[1:3]
  return {
    'title': terms.title,
    'made': time.strftime('%Y-%m-%d'),
    'film': {
      'width': columns,
      'height': rows,
      'rate': metadata.rate,
      'chunk_frames': metadata.chunk_frames,
    },
    'data': data,
    'model': card_lib.model(workdir),
    'vae': card_lib.vae(workdir / 'vae'),
    'obedience': None,
    'commands': card_lib.commands(
      data['recipe'], terms.configs, None if converted else vae_run, run
    ),
    'license': license_text.strip().partition('\n')[0],
    'versions': figures.versions(),
  }


def _copy(
  workdir: pathlib.Path, run: schema.StoryRun, step: int, place: pathlib.Path
) -> None:
  """What telling stories needs beside the VAE."""
  place.mkdir()
  bare = dataclasses.replace(run, sources=schema.Sources())
  workdir_lib.write_whole(place / 'config.json', config_lib.to_json(bare))
  tokenizer = tokenize.find(workdir)
  names = (tokenizer.name, latents_data.METADATA, storyteller_lib.STARTS)
  for name in names:
    shutil.copyfile(workdir / name, place / name)
  _copy_figures(workdir, place)
  averaged.write(workdir, step, place)


def _copy_vae(
  folder: pathlib.Path, run: train_vae.VaeRun, place: pathlib.Path
) -> None:
  """The VAE, of its training or converted."""
  place.mkdir()
  data = dataclasses.replace(run.data, records='', image_records='')
  bare = dataclasses.replace(run, data=data, weights='')
  workdir_lib.write_whole(place / 'config.json', config_lib.to_json(bare))
  shutil.copyfile(folder / vae_folder.LATENTS, place / vae_folder.LATENTS)
  _copy_figures(folder, place)
  if (folder / vae_folder.WEIGHTS).is_dir():
    shutil.copytree(folder / vae_folder.WEIGHTS, place / vae_folder.WEIGHTS)
    return
  step = checkpoint.newest(folder)
  if step is None:
    raise ValueError(f'{folder}: no checkpoint there')
  averaged.write(folder, step, place)


def _copy_figures(folder: pathlib.Path, place: pathlib.Path) -> None:
  """How a run ended, and the curves of its losses, thinned out."""
  if (folder / 'report.json').exists():
    shutil.copyfile(folder / 'report.json', place / 'report.json')
  path = folder / metrics.NAME
  if not path.exists():
    return
  records = [
    {k: v for k, v in record.items() if not k.startswith(_LEFT_OUT)}
    for record in metrics.read(path)
  ]
  records = [record for record in records if len(record) > 1]
  apart = -(-len(records) // _POINTS) or 1
  kept = [
    record
    for number, record in enumerate(records, 1 - len(records))
    if number % apart == 0 or any(k.startswith('held_out/') for k in record)
  ]
  text = ''.join(json.dumps(record) + '\n' for record in kept)
  workdir_lib.write_whole(place / metrics.NAME, text)


def _told_by(place: pathlib.Path, workdir: pathlib.Path) -> dict[str, Any]:
  """The checkpoint of a release, which tells what the run would tell.

  Raises:
    ValueError: it cannot, or has other weights.
  """
  run = storyteller_lib.Storyteller(workdir)
  own = storyteller_lib.Storyteller(place)
  if own.checkpoint != run.checkpoint:
    raise ValueError(
      f'{workdir} changed meanwhile: {run.checkpoint} is not '
      f'{own.checkpoint}; run this again'
    )
  return dict(own.checkpoint)


def _write_card(card: dict[str, Any], place: pathlib.Path) -> None:
  """The card, to read and to compute with."""
  text = json.dumps(card, indent=1) + '\n'
  workdir_lib.write_whole(place / card_lib.MARKDOWN, card_lib.render(card))
  workdir_lib.write_whole(place / card_lib.FIGURES, text)


def _size(place: pathlib.Path) -> int:
  """Bytes of a file, or of all files in a folder."""
  files = [place] if place.is_file() else place.rglob('*')
  return sum(path.stat().st_size for path in files if path.is_file())


def _too_large(out: pathlib.Path, place: pathlib.Path, most: float) -> str:
  """Which parts make a release too large."""
  parts = [*place.iterdir(), *(place / 'vae').iterdir()]
  sizes = {
    path.relative_to(place).as_posix(): _size(path)
    for path in parts
    if path.name != 'vae'
  }
  largest = sorted(sizes, key=sizes.get, reverse=True)[:3]
  said = ', '.join(f'{name} {sizes[name] / 1e6:.1f} MB' for name in largest)
  return (
    f'--out {out}: would take {_size(place) / 1e6:.1f} MB, more than '
    f'--megabytes={most:g}; the largest parts: {said}'
  )
