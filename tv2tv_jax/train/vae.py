"""What the VAE is trained on: pictures, their edges, and calm latents."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax.typing import Metrics, PrngKey
from tv2tv_jax.vae import vae as vae_lib


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
  parts = {
    'absolute': jnp.mean(jnp.abs(error)),
    'squared': jnp.mean(jnp.square(error)),
    'edges': sum(jnp.mean(jnp.abs(jnp.diff(error, axis=a))) for a in (2, 3)),
    'kl': divergence(gaussian),
  }
  total = sum(getattr(config, name) * part for name, part in parts.items())
  return total, parts


def divergence(gaussian: vae_lib.Gaussian) -> Float[Array, '']:
  """The mean KL divergence from the unit normal, in nats per latent value."""
  mean, log_variance = gaussian
  return 0.5 * jnp.mean(
    jnp.square(mean) + jnp.exp(log_variance) - 1.0 - log_variance
  )


def pixels(frames: Array) -> Float[Array, '...']:
  """Frames of uint8 as floats in [-1, 1]."""
  return jnp.asarray(frames, jnp.float32) / 127.5 - 1.0


def decibels(
  pictures: Float[Array, 'B T Y X C'], frames: Float[Array, 'B T Y X C']
) -> Float[Array, 'B T']:
  """Peak signal-to-noise ratio of each frame; values in [-1, 1]."""
  error = jnp.mean(jnp.square(pictures - frames), axis=(2, 3, 4))
  return -10.0 * jnp.log10(jnp.maximum(error / 4.0, 1e-10))
