"""A run so small that training it, and looking at it, takes seconds."""

import dataclasses
import pathlib

from flax import nnx
import numpy as np

from configs import doom
from configs import schema
from data_pipelines import corpus as corpus_lib
from data_pipelines import latents
from data_pipelines import stories
from data_pipelines import tokenize
from data_pipelines.prepare import encoding
from launch.evaluation import judge
from tests import tiny
from tests.data_pipelines import tiny_latents
from tests.vae import small
from tv2tv_jax import config as config_lib
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import loop
from tv2tv_jax.train import objective
from tv2tv_jax.train import optimizer
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import weights
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.vae import folds
from tv2tv_jax.vae import latents as latents_lib

STEPS = 4  # of the run, which keeps every second one
_VAE = folds.FoldsConfig(
  encoder_widths=(8,),
  encoder_depths=(0,),
  decoder_folds=((4, 8, 8),),
  decoder_widths=(8,),
  decoder_depths=(0,),
  latent_channels=3,
)
_TEXTS = ('a film', 'turn left', 'attack')
# Of held-out clips; rows have four chunks, so that there are eight of them.
_LENGTHS = (3, 5, 7, 2, 5)


def sources(folder: pathlib.Path) -> pathlib.Path:
  """Makes latents, their VAE of chance and their tokenizer in a folder."""
  vae = folder / 'vae'
  workdir_lib.claim(vae, train_vae.VaeRun(vae=_VAE))
  numbers = checkpoint.named(small.new(_VAE))
  weights.write_parts(
    vae / vae_folder.WEIGHTS,
    iter([{name: np.asarray(leaf) for name, leaf in numbers.items()}]),
  )
  statistics = latents_lib.LatentStatistics(*np.float32([[0] * 3, [1] * 3]))
  latents_lib.save(vae / vae_folder.LATENTS, statistics, 'chance')
  tokenize.train_tokenizer(_TEXTS, folder / 'tokenizer.model')
  _encode(folder)
  return folder


def run(folder: pathlib.Path) -> schema.StoryRun:
  """What is trained on the sources of a folder."""
  run = config_lib.from_config_dict(schema.StoryRun, doom.get_config())
  model = tiny.config(depth=1, vocabulary=tokenize.VOCABULARY)
  frames = dataclasses.replace(model.frames, channels=(8,), blocks=(1,))
  return dataclasses.replace(
    run,
    sources=schema.Sources(
      latents=str(folder / 'latents'),
      vae=str(folder / 'vae'),
      tokenizer=str(folder / 'tokenizer.model'),
    ),
    data=stories.StoriesConfig(chunks=4, text_length=40, batch=3),
    model=dataclasses.replace(model, frames=frames),
    train=loop.TrainConfig(
      steps=STEPS,
      save_every=2,
      evaluate_every=2,
      log_every=1,
      optimizer=optimizer.OptimizerConfig(warmup=1),
    ),
    sample=dataclasses.replace(run.sample, steps=2),
    held_out=0,
  )


def untrained(folder: pathlib.Path, **sample) -> pathlib.Path:
  """A folder as training leaves a workdir, but for its checkpoints.

  Args:
    folder: gets the sources, too.
    **sample: fields of its `SampleConfig`.
  """
  sources(folder)
  whole = run(folder)
  told = dataclasses.replace(whole.sample, **sample)
  workdir_lib.claim(folder, dataclasses.replace(whole, sample=told))
  metadata = folder / 'latents' / 'latents.json'
  (folder / 'latents.json').write_bytes(metadata.read_bytes())
  return folder


def train(folder: pathlib.Path, workdir: pathlib.Path) -> None:
  """Does with the sources of a folder what `launch.train` would."""
  whole = run(folder)
  tokenizer = tokenize.load(folder)
  corpus = corpus_lib.Corpus(
    [whole.sources.latents],
    whole.data,
    special=tokenizer.special,
    span=whole.model.span,
  )
  lesson = objective.lesson(whole.objective, plan=stories.plan(whole.data))
  workdir_lib.claim(workdir, whole)
  (workdir / 'vae').symlink_to(folder / 'vae')
  (workdir / 'tokenizer.model').symlink_to(folder / 'tokenizer.model')
  batches = corpus.train(seed=0)
  loop.train(
    lambda key: model_lib.Tv2tv(whole.model, rngs=nnx.Rngs(key)),
    lesson,
    batches,
    whole.train,
    workdir,
    evaluate=judge.judge(whole, lesson, corpus.held_out(whole.held_out)),
  )
  batches.close()
  workdir_lib.write_whole(workdir / 'report.json', '{}\n')


def _encode(folder: pathlib.Path) -> None:
  """Clips of noise that say something before some chunks."""
  tokenizer = tokenize.load(folder)
  rng = np.random.default_rng(0)

  def clip(number, length):
    words = ('', *rng.choice(['', *_TEXTS[1:]], length - 1).tolist())
    return latents.Clip(
      latents=rng.standard_normal((length, 4, 4, 3)).astype(np.float32),
      words=words,
      prompt=_TEXTS[0],
      start=0.0,
      ended=number % 2 == 0,
      take=f'take-{number}',
      word_ids=tuple(tuple(tokenizer.encode(text)) for text in words),
      prompt_ids=tuple(tokenizer.encode(_TEXTS[0])),
    )

  clips = [clip(*each) for each in enumerate(_LENGTHS)]
  counts = {'train': len(clips), 'test': len(clips)}
  metadata = tiny_latents.METADATA._replace(
    fingerprint='chance',
    tokenizer=tokenize.fingerprint(folder),
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
    chunks=max(_LENGTHS),
  )
  job = encoding.Job(folder / 'latents', metadata, {}, counts, 1000)
  job.begin()
  for piece in job.pieces:
    job.write(piece, clips)
  job.join()
