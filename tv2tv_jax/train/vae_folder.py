"""A folder that holds a VAE: of its training, or of converted weights.

Either has `config.json` and `latents.json`; the first has `checkpoints/`, the
second `weights/`, as `launch.convert` writes it.
"""

import pathlib

from flax import nnx
import jax
import numpy as np

from tv2tv_jax import sharding
from tv2tv_jax.nn import stack
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import weights
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.typing import PrngKey
from tv2tv_jax.vae import vae as vae_lib

WEIGHTS, LATENTS = 'weights', 'latents.json'


def restored(folder: pathlib.Path) -> vae_lib.Vae:
  """The VAE of a folder; of a training run, the averaged one.

  Raises:
    ValueError: no folder of a VAE, no checkpoint, or one of another VAE.
  """
  run = workdir_lib.read(folder, train_vae.VaeRun)
  if (folder / WEIGHTS).is_dir():
    return _filled(folder / WEIGHTS, run.vae)
  return checkpoint.restore_model(
    folder, lambda key: train_vae.Trainee(run, rngs=nnx.Rngs(key))
  ).vae


def _filled(folder: pathlib.Path, config: vae_lib.VaeConfig) -> vae_lib.Vae:
  """A VAE with converted weights, which have the names of its own.

  It is filled as a stack of one: a layer of a stack is read at once, other
  leaves one by one, which takes many times as long for hundreds of small ones.
  """

  def init(key: PrngKey) -> vae_lib.Vae:
    return stack.stacked(
      lambda rngs: vae_lib.Vae(config, rngs=rngs), 1, rngs=nnx.Rngs(key)
    )

  empty = jax.tree.map(
    lambda leaf: jax.device_put(
      np.zeros(leaf.shape, leaf.dtype), leaf.sharding
    ),
    sharding.abstract(init, jax.random.key(0)),
  )
  names = {name: (name,) for name in checkpoint.named(empty)}
  full = weights.filled(empty, folder, names)
  return jax.jit(lambda full: jax.tree.map(lambda leaf: leaf[0], full))(full)
