"""Workdirs of models that nobody trained: every number is drawn."""

import json

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from configs import schema
from data_pipelines import stories
from data_pipelines import tokenize
from tests.interop import shapes
from tv2tv_jax import config as config_lib
from tv2tv_jax.sample import settings
from tv2tv_jax.train import bundle
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import loop
from tv2tv_jax.train import objective
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import weights
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.vae import latents as latents_lib
from tv2tv_jax.vae import vae as vae_lib

STEP = 7
VOCABULARY = shapes.VOCABULARY
VAES = shapes.VAES
model_config = shapes.model_config


def run(model):
  """The run of a model."""
  return schema.StoryRun(
    sources=schema.Sources(latents='somewhere'),
    data=stories.StoriesConfig(chunks=5, text_length=24, batch=2),
    model=model,
    objective=objective.ObjectiveConfig(),
    train=loop.TrainConfig(steps=STEP),
    sample=settings.SampleConfig(window=5, kept=2, prompt_budget=8),
  )


def drawn(seed, init):
  """A module of drawn numbers, zeros of both signs among them."""
  rng = np.random.default_rng(seed)

  def draw(leaf):
    numbers = 0.2 * rng.normal(size=leaf.shape).astype('f4')
    flat = numbers.reshape(-1)
    flat[:1], flat[1:2] = 0.0, -0.0
    return jnp.asarray(numbers)

  return jax.tree.map(draw, jax.eval_shape(init))


def leaves(seed, run):
  """The parameters of the model of a run by their names."""
  return checkpoint.named(
    drawn(seed, lambda: model_lib.Tv2tv(run.model, rngs=nnx.Rngs(0)))
  )


def write(folder, *, family='folds', parts=('model', 'ema'), **changes):
  """A workdir as `launch.train` leaves it; the VAE is a converted one."""
  folder.mkdir(parents=True)
  own = run(model_config(**changes))
  (folder / 'config.json').write_text(config_lib.to_json(own))
  found = {name: leaves(seed, own) for seed, name in enumerate(parts)}
  contents = bundle.contents(found, data={}, fingerprints={})
  bundle.write(folder / 'checkpoints' / str(STEP), found, contents)
  tokenize.train_tokenizer(
    ['turn left, then right', 'attack now'], folder / 'tokenizer.model'
  )
  fingerprint = _write_vae(folder / 'vae', VAES[family])
  metadata = {
    'fingerprint': fingerprint,
    'tokenizer': tokenize.fingerprint(folder),
    'dtype': 'float16',
    'mean': [0.25, -1.5, 0.1, 0.0],
    'std': [1.0, 0.5, 2.0, 0.1],
    'rate': 8.0,
    'chunk_frames': VAES[family].stride[0],
    'chunks': 5,
    'version': '2.0.0',
  }
  (folder / 'latents.json').write_text(json.dumps(metadata, indent=2) + '\n')
  return folder


def _write_vae(folder, config):
  """The folder of a VAE; its fingerprint."""
  folder.mkdir()
  text = config_lib.to_json(train_vae.VaeRun(vae=config))
  (folder / 'config.json').write_text(text)
  vae = drawn(5, lambda: vae_lib.Vae(config, rngs=nnx.Rngs(0)))
  named = {n: np.asarray(v) for n, v in checkpoint.named(vae).items()}
  weights.write_parts(folder / vae_folder.WEIGHTS, iter([named]))
  fingerprint = latents_lib.fingerprint(
    vae_folder.restored(folder), config_lib.to_json(config)
  )
  statistics = latents_lib.LatentStatistics(
    np.float32([0.25, -1.5, 0.1, 0.0]), np.float32([1.0, 0.5, 2.0, 0.1])
  )
  latents_lib.save(folder / vae_folder.LATENTS, statistics, fingerprint)
  return fingerprint
