"""A folder that holds a VAE: of its training, or of converted weights.

Either has `config.json` and `latents.json`; the first has `checkpoints/`, the
second `weights/`, as `launch.convert` writes it.
"""

import pathlib

from flax import nnx

from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.vae import vae as vae_lib


def restored(folder: pathlib.Path) -> vae_lib.Vae:
  """The VAE of a folder; of a training run, the averaged one.

  Raises:
    ValueError: no folder of a VAE, no checkpoint.
  """
  run = workdir_lib.read(folder, train_vae.VaeRun)
  return checkpoint.restore_model(
    folder, lambda key: train_vae.Trainee(run, rngs=nnx.Rngs(key))
  ).vae
