"""A run that looks finished, though nothing was trained."""

import dataclasses
import json
import pathlib

from flax import nnx
import jax.numpy as jnp
import numpy as np

from launch import storyteller
from tests import tiny
from tests.launch import watched
from tests.vae import small
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import feed
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import workdir as workdir_lib

STEPS = 7


class _Vae(nnx.Module):
  """What a run of a VAE trains."""

  def __init__(self, run: train_vae.VaeRun):
    self.vae = small.new(run.vae, 1)


class _Data:
  """Batches that nobody draws."""

  def __next__(self):
    raise StopIteration

  def get_state(self):
    return {}

  def set_state(self, state):
    pass


def make(folder: pathlib.Path) -> pathlib.Path:
  """Sources, a recording's figures, and a workdir in a folder: the workdir."""
  watched.sources(folder)
  records = folder / 'records'
  records.mkdir()
  recipe = {'source': 'vizdoom', 'minutes': 0.5, 'maps': ['duel', 'hall']}
  summary = {'takes': 3, 'seconds': 360.0, 'spoken': 90.0}
  for name, values in (('recipe', recipe), ('summary', summary)):
    (records / f'{name}.json').write_text(json.dumps(values))
  _vae(folder, folder / 'run/vae', records)
  return _model(folder, folder / 'run')


def _vae(
  folder: pathlib.Path, vae: pathlib.Path, records: pathlib.Path
) -> None:
  """A VAE of chance, saved as training does."""
  run = workdir_lib.read(folder / 'vae', train_vae.VaeRun)
  data = dataclasses.replace(run.data, records=str(records))
  run = dataclasses.replace(run, data=data)
  workdir_lib.claim(vae, run)
  _save(vae, _Vae(run))
  (vae / 'latents.json').write_bytes((folder / 'vae/latents.json').read_bytes())
  report = {'steps': STEPS, 'seconds': 60.0, 'psnr': 12.34}
  (vae / 'report.json').write_text(json.dumps(report))


def _model(folder: pathlib.Path, workdir: pathlib.Path) -> pathlib.Path:
  """A model of chance, as training leaves it."""
  run = watched.run(folder)
  sample = dataclasses.replace(run.sample, steps=2, lanes=1)
  run = dataclasses.replace(run, sample=sample)
  workdir_lib.claim(workdir, run)
  _save(workdir, tiny.drawn(run.model))
  for name in ('tokenizer.model', 'latents/latents.json'):
    source = folder / name
    (workdir / source.name).write_bytes(source.read_bytes())
  frames = np.random.default_rng(0).integers(
    0, 256, (2, 32, 32, 3), dtype=np.uint8
  )
  np.savez(workdir / storyteller.STARTS, frames=frames, prompts=['a film', ''])
  losses = [
    {'step': step, 'loss': 1 / step, 'pace/goodput': 0.5}
    for step in range(1, 500)
  ]
  losses += [{'step': 500, 'held_out/text/word': 0.0, 'held_out/video': 0.75}]
  text = ''.join(json.dumps(record) + '\n' for record in losses)
  (workdir / 'metrics.jsonl').write_text(text)
  report = {'steps': STEPS, 'parameters': 1234}
  (workdir / 'report.json').write_text(json.dumps(report))
  return workdir


def _save(workdir: pathlib.Path, model: nnx.Module) -> None:
  """A checkpoint whose average is this model."""
  state = state_lib.TrainState(
    step=jnp.int32(STEPS),
    progress=jnp.float32(1),
    skipped=jnp.int32(0),
    model=model,
    ema=model,
    optimizer=(jnp.int32(0),),
  )
  with checkpoint.Checkpoints(workdir, every=1, keep=1) as checkpoints:
    checkpoints.save(
      state, feed.Feed(feed.data(_Data())), step=STEPS, last=True
    )
