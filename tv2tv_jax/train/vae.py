"""What the VAE is trained on: pictures, their edges, and calm latents."""

import dataclasses

from flax import nnx
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8
import numpy as np

from tv2tv_jax.train import loop
from tv2tv_jax.typing import Metrics
from tv2tv_jax.typing import PrngKey
from tv2tv_jax.vae import folds
from tv2tv_jax.vae import vae as vae_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeData:
  """What a VAE is trained and judged on.

  Attributes:
    records: the dataset of takes, as `launch.record` writes it.
    chunks: groups of frames after the first frame of a clip.
    batch: clips of a step.
    components: clips whose blocks the linear path starts from.
    statistics: clips of the train split that latents are normalised by.
    held_out: clips of the test split that every evaluation sees.
  """

  records: str = ''
  chunks: int = 3
  batch: int = 4
  components: int = 1024
  statistics: int = 768
  held_out: int = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeLossConfig:
  """Weights of the parts of the loss (choices, see configs/).

  Attributes:
    absolute: of the mean absolute error of pixels in [-1, 1].
    squared: of their mean squared error.
    edges: of the mean absolute error of differences of neighbours.
    kl: of the divergence of the latents from the unit normal, per value.
  """

  absolute: float = 1.0
  squared: float = 0.0
  edges: float = 0.5
  kl: float = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeRun:
  """A training run of a VAE: what `configs/*_vae.py` fill in."""

  data: VaeData = VaeData()
  vae: vae_lib.VaeConfig = folds.FoldsConfig()
  loss: VaeLossConfig = VaeLossConfig()
  train: loop.TrainConfig = loop.TrainConfig()


class Trainee(nnx.Module):
  """What a run trains: the VAE, and whatever trains it."""

  def __init__(self, run: VaeRun, *, rngs: nnx.Rngs):
    self.vae = vae_lib.Vae(run.vae, rngs=rngs)


def loss(
  model: vae_lib.Vae,
  frames: Float[Array, 'B T Y X C'],
  key: PrngKey,
  config: VaeLossConfig,
) -> tuple[Float[Array, ''], Metrics]:
  """The weighted loss of clips in [-1, 1], and its parts."""
  gaussian, _ = model.encode(frames)
  pictures, _ = model.decode(gaussian.sample(key))
  error = pictures - frames
  absolute = jnp.mean(jnp.abs(error))
  squared = jnp.mean(jnp.square(error))
  edges = sum(jnp.mean(jnp.abs(jnp.diff(error, axis=a))) for a in (2, 3))
  kl = divergence(gaussian)
  total = (
    config.absolute * absolute
    + config.squared * squared
    + config.edges * edges
    + config.kl * kl
  )
  return total, {
    'absolute': absolute,
    'squared': squared,
    'edges': edges,
    'kl': kl,
  }


def divergence(gaussian: vae_lib.Gaussian) -> Float[Array, '']:
  """The mean KL divergence from the unit normal, in nats per latent value."""
  mean, log_variance = gaussian
  return 0.5 * jnp.mean(
    jnp.square(mean) + jnp.exp(log_variance) - 1.0 - log_variance
  )


def pixels(frames: UInt8[Array | np.ndarray, '...']) -> Float[Array, '...']:
  """Frames of uint8 as floats in [-1, 1]."""
  return jnp.asarray(frames, jnp.float32) / 127.5 - 1.0


def decibels(
  pictures: Float[Array, 'B T Y X C'], frames: Float[Array, 'B T Y X C']
) -> Float[Array, 'B T']:
  """Peak signal-to-noise ratio of each frame; values in [-1, 1]."""
  error = jnp.mean(jnp.square(pictures - frames), axis=(2, 3, 4))
  return -10.0 * jnp.log10(jnp.maximum(error / 4.0, 1e-10))


def pictures_of(frames: Float[Array, '...']) -> UInt8[Array, '...']:
  """The inverse of `pixels`, rounded."""
  return jnp.round((jnp.clip(frames, -1.0, 1.0) + 1.0) * 127.5).astype(
    jnp.uint8
  )
