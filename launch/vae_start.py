"""How the training of a VAE begins: from its data, or from weights."""

from collections.abc import Callable, Iterable
import dataclasses
import pathlib

from flax import nnx
import jax
import numpy as np

from tv2tv_jax import config as config_lib
from tv2tv_jax import sharding
from tv2tv_jax.train import birth
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import vae_folder
from tv2tv_jax.vae import vae as vae_lib


def init(
  run: train_vae.VaeRun, clips: Iterable[np.ndarray]
) -> Callable[[jax.Array], train_vae.Trainee]:
  """Makes what is trained from a key.

  A linear path, where the VAE has one and no weights are to come, starts from
  the principal components of `clips`, batches of uint8 [B, T, Y, X, 3].
  """
  start = None
  if getattr(run.vae, 'linear_path', False) and not run.weights:
    stride = run.vae.stride[0]
    blocks = np.concatenate([batch[:, 1 : 1 + stride] for batch in clips])
    start = vae_lib.components(run.vae, train_vae.pixels(blocks))

  def make(key: jax.Array) -> train_vae.Trainee:
    trainee = train_vae.Trainee(run, rngs=nnx.Rngs(key))
    if start:
      vae_lib.start_from_components(trainee.vae, start)
    return trainee

  return make


def beginning(folder: pathlib.Path, config: vae_lib.VaeConfig) -> birth.Begin:
  """Gives what is trained the VAE of a folder.

  Raises:
    ValueError: it is of another configuration; names every difference. How
      convolutions are computed may differ.
  """
  # By each process for itself, as constants: they are laid out with the run's.
  with sharding.alone():
    found = jax.device_get(vae_folder.restored(folder))
  theirs = dataclasses.replace(found.config, lowering=config.lowering)
  if type(theirs) is not type(config):
    lines = [f'config.vae.family is {config.family!r}, was {theirs.family!r}']
  else:
    lines = config_lib.differences(config, theirs, 'config.vae')
  if lines:
    raise ValueError(
      f'config.weights: {folder} holds another VAE: {"; ".join(lines)}'
    )

  def begin(trainee: train_vae.Trainee) -> train_vae.Trainee:
    # In the structure of the run's own VAE, which says how it is computed.
    structure = jax.tree.structure(trainee.vae)
    trainee.vae = jax.tree.unflatten(structure, jax.tree.leaves(found))
    return trainee

  return begin
