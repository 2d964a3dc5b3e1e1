r"""Trains TV2TV on encoded stories.

  python -m launch.train --config configs/doom.py --workdir DIR \
      --config.sources.latents=LATENTS --config.sources.vae=VAE_WORKDIR \
      --config.sources.tokenizer=TOKENIZER

DIR gets checkpoints, `metrics.jsonl`, `report.json`, copies of the VAE and the
tokenizer, and some starting frames: it can tell stories on its own. Run the
command again to go on after an interruption; a finished run is left as it is.
With `--config.sources.text_tower=CONVERTED`, which `launch.convert` wrote, the
towers begin with its weights.
Any field of the config can be set: `--config.a.b=v`.

Several datasets of one VAE and one tokenizer are mixed row by row:

  --config.sources.latents=A,B --config.sources.weights='(0.7, 0.3)'

A run does not go on with other data than it began with, unless --reset_data is
given: then config.data and config.sources.latents may be others, and the data
begin anew.

With `--config.train.show_every=N`, DIR/pictures gets short stories every so
many steps; with `--profile_steps=10,14`, DIR/profile a trace for xprof; with
`--tensorboard`, DIR/tensorboard curves. SIGTERM saves after the step at hand
and ends with status 0, ctrl-C with 130. A run that stands still writes its
stacks to DIR/stacks-PROCESS.txt and ends with status 75: run the command again.
"""

from collections.abc import Sequence
import dataclasses
import json
import pathlib
import shutil
import tempfile
from typing import Any

from absl import flags
from flax import nnx
import jax

from configs import schema
from data_pipelines import corpus as corpus_lib
from data_pipelines import latents as latents_data
from data_pipelines import stream
from data_pipelines import tokenize
from data_pipelines.prepare import encoding
from launch import lessons
from launch import run as run_lib
from launch import shares
from launch import showing
from launch import storyteller
from launch import training
from launch import weights
from launch.evaluation import judge as judge_lib
from tv2tv_jax import config as config_lib
from tv2tv_jax import sharding
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import feed
from tv2tv_jax.train import flops
from tv2tv_jax.train import leader
from tv2tv_jax.train import loop
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.vae import latents as latents_lib

flags.adopt_module_key_flags(training)


def main(_) -> None:
  """Checks that the sources fit one another, then trains."""
  run = config_lib.from_config_dict(schema.StoryRun, training.CONFIG.value)
  workdir = pathlib.Path(training.WORKDIR.value)
  extras = training.extras()
  _check_layout(run)
  latents = _checked(run.sources)
  tokenizer = tokenize.load(run.sources.tokenizer)
  if tokenizer.vocab_size > run.model.vocabulary:
    raise ValueError(
      f'{run.sources.tokenizer} has {tokenizer.vocab_size} pieces, more than '
      f'config.model.vocabulary = {run.model.vocabulary}'
    )
  fingerprints = _fingerprints(run.sources)
  corpus = corpus_lib.Corpus(
    latents,
    run.data,
    special=tokenizer.special,
    span=run.model.span,
    fingerprints=fingerprints,
    share=stream.Share.of(sharding.rows_here(run.data.batch), run.data.batch),
  )
  batches = corpus.train(seed=run.train.seed, weights=run.sources.weights)
  held_out = corpus.held_out(run.held_out)
  if batches.left_out and sharding.leads():
    print(f'{batches.left_out} clips fit no row and are left out')
  begin = None
  if run.sources.text_tower and not checkpoint.begun(workdir):
    begin = weights.beginning(pathlib.Path(run.sources.text_tower), run.model)
  if training.RESET_DATA.value:
    leader.does(lambda: _reset(run, workdir))
  workdir_lib.claim(workdir, run)
  _keep(run, latents[0], workdir)
  lesson = lessons.lesson(run)
  state = loop.train(
    lambda key: model_lib.Tv2tv(run.model, rngs=nnx.Rngs(key)),
    lesson,
    feed.Data(batches, _recipe(run, latents), training.RESET_DATA.value),
    run.train,
    workdir,
    evaluate=judge_lib.judge(run, lesson, held_out),
    show=showing.stories(workdir) if run.train.show_every else None,
    begin=begin,
    fingerprints={
      **fingerprints._asdict(),
      **training.fields(run.model, 'config.model'),
    },
    cost=flops.cost(
      run.model,
      rows=run.data.batch,
      chunks=run.data.chunks,
      text_length=run.data.text_length,
    ),
    **extras,
  )
  batches.close()
  leader.does(lambda: _report(state, workdir))
  if sharding.leads():
    print(f'{workdir}: trained, {int(state.step)} steps')


def _check_layout(run: schema.StoryRun) -> None:
  """ValueError unless devices can share out rows and what is in them."""
  data, rows = run.data, run.train.accumulate
  shares.check('config.data.batch', data.batch, 'batch', rows)
  for name in ('text_length', 'chunks'):
    shares.check(f'config.data.{name}', getattr(data, name), 'length')


def _fingerprints(sources: schema.Sources) -> latents_data.Fingerprints:
  """The VAE and the tokenizer that the latents must be of."""
  _, vae = latents_lib.load(pathlib.Path(sources.vae) / 'latents.json')
  return latents_data.Fingerprints(
    vae=vae, tokenizer=tokenize.fingerprint(sources.tokenizer)
  )


def _checked(sources: schema.Sources) -> list[str]:
  """The datasets of latents; ValueError if anything is not there."""
  latents = sources.latents.split(',')
  given = {'vae': sources.vae, 'tokenizer': sources.tokenizer}
  for name, path in (*(('latents', path) for path in latents), *given.items()):
    if not path or not pathlib.Path(path).exists():
      raise ValueError(
        f'config.sources.{name} is {path!r}, which is not there: give it by '
        f'--config.sources.{name}=PATH'
      )
  return latents


def _recipe(run: schema.StoryRun, latents: Sequence[str]) -> dict[str, Any]:
  """All that the batches depend on."""
  fields = dataclasses.asdict(run.data)
  del fields['workers']  # They change no batch.
  return {
    'latents': [encoding.fingerprint(path) for path in latents],
    'weights': run.sources.weights,
    'tokenizer': tokenize.fingerprint(run.sources.tokenizer),
    'seed': run.train.seed,
    'span': run.model.span,
    **{f'config.data.{name}': value for name, value in fields.items()},
  }


def _reset(run: schema.StoryRun, workdir: pathlib.Path) -> None:
  """Lets the data of a workdir be other data, where all else is the same."""
  path = workdir / 'config.json'
  if path.exists():
    before = workdir_lib.read(workdir, schema.StoryRun)
    sources = dataclasses.replace(
      before.sources, latents=run.sources.latents, weights=run.sources.weights
    )
    after = dataclasses.replace(before, data=run.data, sources=sources)
    if after == run:
      workdir_lib.write_whole(path, config_lib.to_json(run))


def _keep(run: schema.StoryRun, latents: str, workdir: pathlib.Path) -> None:
  """Copies into the workdir what telling stories needs beside the model."""
  leader.does(lambda: _copy(run.sources, latents, workdir))
  starts = workdir / storyteller.STARTS
  if leader.decides(starts.exists()):
    return
  # All read the VAE, for Orbax waits for all; one keeps what it shows.
  with tempfile.TemporaryDirectory() as aside:
    path = starts if sharding.leads() else pathlib.Path(aside) / starts.name
    storyteller.keep_starts(path, latents, workdir / 'vae')


def _copy(sources: schema.Sources, latents: str, workdir: pathlib.Path) -> None:
  """Keeps the tokenizer, the metadata of the latents, and their VAE."""
  tokenizer = tokenize.find(sources.tokenizer)
  for name, source in (
    (f'tokenizer{tokenizer.suffix}', tokenizer),
    (latents_data.METADATA, pathlib.Path(latents) / latents_data.METADATA),
  ):
    if not (workdir / name).exists():
      workdir_lib.write_whole(workdir / name, source.read_bytes())
  vae = workdir / 'vae'
  if not vae.exists():
    partial = workdir / '.vae.partial'
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(sources.vae, partial)
    partial.rename(vae)


def _report(state: state_lib.TrainState, workdir: pathlib.Path) -> None:
  """Writes how the run ended, once."""
  path = workdir / 'report.json'
  if not path.exists():
    figures = {
      'steps': int(state.step),
      'parameters': sum(leaf.size for leaf in jax.tree.leaves(state.model)),
      'peak_memory_bytes': run_lib.peak_memory(),
    }
    workdir_lib.write_whole(path, json.dumps(figures, indent=2) + '\n')


if __name__ == '__main__':
  run_lib.app(main)
