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
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import functools
import json
import math
import pathlib
import shutil
from typing import Any

from absl import flags
from flax import nnx
import jax
import jax.numpy as jnp
from ml_collections import config_flags
import numpy as np

from configs import schema
from data_pipelines import corpus as corpus_lib
from data_pipelines import latents as latents_data
from data_pipelines import stories as stories_lib
from data_pipelines import stream
from data_pipelines import tokenize
from data_pipelines.prepare import encoding
from launch import run as run_lib
from launch import storyteller
from launch import weights
from tv2tv_jax import config as config_lib
from tv2tv_jax import sharding
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import feed
from tv2tv_jax.train import loop
from tv2tv_jax.train import objective
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.vae import latents as latents_lib

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'File of the configuration.', lock_config=True
)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
_RESET_DATA = flags.DEFINE_bool(
  'reset_data', False, 'Go on with other data, from their start.'
)
flags.mark_flags_as_required(['config', 'workdir'])


def main(_) -> None:
  """Checks that the sources fit one another, then trains."""
  run = config_lib.from_config_dict(schema.StoryRun, _CONFIG.value)
  workdir = pathlib.Path(_WORKDIR.value)
  latents = _checked(run.sources)
  tokenizer = tokenize.load(run.sources.tokenizer)
  if tokenizer.vocab_size > run.model.vocabulary:
    raise ValueError(
      f'{run.sources.tokenizer} has {tokenizer.vocab_size} pieces, more than '
      f'config.model.vocabulary = {run.model.vocabulary}'
    )
  _, fingerprint = latents_lib.load(
    pathlib.Path(run.sources.vae) / 'latents.json'
  )
  corpus = corpus_lib.Corpus(
    latents,
    run.data,
    special=tokenizer.special,
    span=run.model.span,
    fingerprints=latents_data.Fingerprints(
      vae=fingerprint, tokenizer=tokenize.fingerprint(run.sources.tokenizer)
    ),
    share=stream.Share.of(sharding.rows_here(run.data.batch), run.data.batch),
  )
  batches = corpus.train(seed=run.train.seed, weights=run.sources.weights)
  held_out = corpus.held_out(run.held_out)
  if batches.left_out:
    print(f'{batches.left_out} clips fit no row and are left out')
  begin = None
  if run.sources.text_tower and not checkpoint.begun(workdir):
    begin = weights.beginning(pathlib.Path(run.sources.text_tower), run.model)
  if _RESET_DATA.value:
    _reset(run, workdir)
  workdir_lib.claim(workdir, run)
  _keep(run, latents[0], workdir)
  loss = functools.partial(objective.objective, plan=stories_lib.plan(run.data))
  state = loop.train(
    lambda key: model_lib.Tv2tv(run.model, rngs=nnx.Rngs(key)),
    functools.partial(loss, config=run.objective),
    feed.Data(batches, _recipe(run, latents), _RESET_DATA.value),
    run.train,
    workdir,
    evaluate=_judge(run, loss, held_out),
    begin=begin,
  )
  batches.close()
  report = workdir / 'report.json'
  if not report.exists():
    figures = {
      'steps': int(state.step),
      'parameters': sum(leaf.size for leaf in jax.tree.leaves(state.model)),
      'peak_memory_bytes': run_lib.peak_memory(),
    }
    workdir_lib.write_whole(report, json.dumps(figures, indent=2) + '\n')
  print(f'{workdir}: trained, {int(state.step)} steps')


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
  metadata = pathlib.Path(latents) / latents_data.METADATA
  tokenizer = tokenize.find(run.sources.tokenizer)
  for name, source in (
    (f'tokenizer{tokenizer.suffix}', tokenizer),
    (latents_data.METADATA, metadata),
  ):
    if not (workdir / name).exists():
      workdir_lib.write_whole(workdir / name, source.read_bytes())
  vae = workdir / 'vae'
  if not vae.exists():
    partial = workdir / '.vae.partial'
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(run.sources.vae, partial)
    partial.rename(vae)
  starts = workdir / storyteller.STARTS
  if not starts.exists():
    storyteller.keep_starts(starts, latents, vae)


def _judge(
  run: schema.StoryRun, loss: Callable, batches: Iterable[Mapping[str, Any]]
) -> Callable[[nnx.Module], Mapping[str, float]]:
  """Losses on held-out stories: always the same ones, with the same noise.

  They are means over all words and all chunks, however these share batches.
  """
  quiet = dataclasses.replace(run.objective, drop_words=0.0, flip=0.0)

  @jax.jit
  def judge(model, batch, key):
    means = loss(model, batch, key, config=quiet)[1]
    counts = _counts(batch, run.objective.film_start)
    return {name: (means[name] * n, n) for name, n in counts.items()}

  def evaluate(model: nnx.Module) -> dict[str, float]:
    sums = {}
    for i, batch in enumerate(batches):
      parts = judge(model, sharding.put_batch(batch), jax.random.key(i))
      for name, part in parts.items():
        sums[name] = sums.get(name, 0.0) + np.array(part, np.float64)
    # Where nothing counts, the mean is no number.
    return {
      f'held_out/{name}': total / count if count else math.nan
      for name, (total, count) in sums.items()
    }

  return evaluate


def _counts(
  batch: Mapping[str, jax.Array], film_start: bool
) -> dict[str, jax.Array]:
  """How many words and how many chunks the losses of a batch are means of."""
  filmed = jnp.sum(batch['chunk_story'] >= 0)
  if not film_start:  # The first chunk of each story is given.
    begins = (batch['kind'] == story_lib.Kind.PROMPT) & (batch['index'] == 0)
    filmed -= jnp.sum(begins)
  return {
    'text': jnp.sum(batch['kind'] > story_lib.Kind.PROMPT),
    'video': filmed,
  }


if __name__ == '__main__':
  run_lib.app(main)
