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
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import itertools
import json
import pathlib
import shutil

from absl import flags
from flax import nnx
import jax
from ml_collections import config_flags

from configs import schema
from data_pipelines import latents as latents_data
from data_pipelines import pipeline
from data_pipelines import tokenize
from launch import run as run_lib
from launch import storyteller
from launch import weights
from tv2tv_jax import config as config_lib
from tv2tv_jax import sharding
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import loop
from tv2tv_jax.train import objective
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.vae import latents as latents_lib

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'File of the configuration.', lock_config=True
)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the run.')
flags.mark_flags_as_required(['config', 'workdir'])


def main(_) -> None:
  """Checks that the sources fit one another, then trains."""
  run = config_lib.from_config_dict(schema.StoryRun, _CONFIG.value)
  workdir = pathlib.Path(_WORKDIR.value)
  for name in ('latents', 'vae', 'tokenizer'):
    path = getattr(run.sources, name)
    if not path or not pathlib.Path(path).exists():
      raise ValueError(
        f'config.sources.{name} is {path!r}, which is not there: give it by '
        f'--config.sources.{name}=PATH'
      )
  tokenizer = tokenize.load(run.sources.tokenizer)
  if tokenizer.vocab_size > run.model.vocabulary:
    raise ValueError(
      f'{run.sources.tokenizer} has {tokenizer.vocab_size} pieces, more than '
      f'config.model.vocabulary = {run.model.vocabulary}'
    )
  _, fingerprint = latents_lib.load(
    pathlib.Path(run.sources.vae) / 'latents.json'
  )
  stories = functools.partial(
    pipeline.stories,
    run.sources.latents,
    special=tokenizer.special,
    span=run.model.span,
    seed=run.train.seed,
    fingerprints=latents_data.Fingerprints(
      vae=fingerprint, tokenizer=tokenize.fingerprint(run.sources.tokenizer)
    ),
  )
  batches = stories('train', config=run.data)
  begin = None
  if run.sources.text_tower and not checkpoint.begun(workdir):
    begin = weights.beginning(pathlib.Path(run.sources.text_tower), run.model)
  workdir_lib.claim(workdir, run)
  _keep(run, workdir)
  loss = functools.partial(objective.objective, plan=pipeline.plan(run.data))
  state = loop.train(
    lambda key: model_lib.Tv2tv(run.model, rngs=nnx.Rngs(key)),
    functools.partial(loss, config=run.objective),
    batches,
    run.train,
    workdir,
    evaluate=_judge(run, loss, stories('test', config=run.data)),
    begin=begin,
  )
  report = workdir / 'report.json'
  if not report.exists():
    figures = {
      'steps': int(state.step),
      'parameters': sum(leaf.size for leaf in jax.tree.leaves(state.model)),
      'peak_memory_bytes': run_lib.peak_memory(),
    }
    workdir_lib.write_whole(report, json.dumps(figures, indent=2) + '\n')
  print(f'{workdir}: trained, {int(state.step)} steps')


def _keep(run: schema.StoryRun, workdir: pathlib.Path) -> None:
  """Copies into the workdir what telling stories needs beside the model."""
  metadata = pathlib.Path(run.sources.latents) / latents_data.METADATA
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
    storyteller.keep_starts(starts, run.sources.latents, vae)


def _judge(
  run: schema.StoryRun, loss: Callable, batches
) -> Callable[[nnx.Module], Mapping[str, float]]:
  """Losses on held-out stories: always the same ones, with the same noise."""
  count = max(1, run.held_out // run.data.batch)
  held_out = list(itertools.islice(batches, count))
  quiet = dataclasses.replace(run.objective, drop_words=0.0, flip=0.0)
  judge = jax.jit(functools.partial(loss, config=quiet))

  def evaluate(model: nnx.Module) -> dict[str, float]:
    losses = [
      judge(model, sharding.put_batch(batch), jax.random.key(i))[1]
      for i, batch in enumerate(held_out)
    ]
    names = ('text', 'video')
    means = {n: sum(float(each[n]) for each in losses) for n in names}
    return {f'held_out/{n}': total / count for n, total in means.items()}

  return evaluate


if __name__ == '__main__':
  run_lib.app(main)
