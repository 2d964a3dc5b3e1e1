"""The causal video VAE: the past goes in, the past comes out.

A clip of `1 + 4n` frames becomes `1 + n` latents: its first frame alone, then
one latent for every four frames (for a time stride of four). `past=None`
begins a clip, whose first chunk has `1 + 4k` frames or `1 + k` latents; later
chunks have `4k` frames or `k` latents and take the past of the call before.
The past has one structure and one shape from the first call on, however a clip
is cut, so a program is compiled once per chunk shape: the first, and the rest.
Any way to cut a clip gives the same latents and the same frames.

Shape of the VAE after Wan 2.1 and Cosmos (4 x 8 x 8, 16 channels); its small
form for laptops is a choice, see DECISIONS.md.
"""

from typing import NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax.typing import PrngKey
from tv2tv_jax.vae import config as config_lib
from tv2tv_jax.vae import decoder
from tv2tv_jax.vae import encoder
from tv2tv_jax.vae import linear

VaeConfig = config_lib.VaeConfig
components = linear.components
Past = encoder.Past

# Log-variances start here, near certainty, and stay in these bounds.
_LOG_VARIANCE = -5.0
_BOUNDS = (-12.0, 4.0)


class Gaussian(NamedTuple):
  """What the encoder believes: independent normals over latent values."""

  mean: Float[Array, 'B N V U Z']
  log_variance: Float[Array, 'B N V U Z']

  def sample(self, key: PrngKey) -> Float[Array, 'B N V U Z']:
    """A draw from the normals."""
    noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
    return self.mean + jnp.exp(0.5 * self.log_variance) * noise


class Vae(nnx.Module):
  """Encoder, decoder and, if configured, the linear path beside them."""

  def __init__(self, config: config_lib.VaeConfig, *, rngs: nnx.Rngs):
    self.config = config
    self.encoder = encoder.Encoder(config, rngs=rngs)
    self.decoder = decoder.Decoder(config, rngs=rngs)
    if config.linear_path:
      self.linear = linear.LinearPath(config, rngs=rngs)

  def encode(
    self, frames: Float[Array, 'B T Y X C'], past: Past | None = None
  ) -> tuple[Gaussian, Past]:
    """Frames in [-1, 1] to latents.

    Raises:
      ValueError: a chunk length or frame size that the strides do not divide.
    """
    packed, new = self.encoder(frames, past)
    mean, log_variance = jnp.split(packed, 2, axis=-1)
    if self.config.linear_path:
      mean = mean + self.linear.encode(frames, begins=past is None)
    log_variance = jnp.clip(log_variance + _LOG_VARIANCE, *_BOUNDS)
    return Gaussian(mean, log_variance), new

  def decode(
    self, latents: Float[Array, 'B N V U Z'], past: Past | None = None
  ) -> tuple[Float[Array, 'B T Y X C'], Past]:
    """Latents to frames, about in [-1, 1]."""
    frames, new = self.decoder(latents, past)
    if self.config.linear_path:
      frames = frames + self.linear.decode(latents, begins=past is None)
    return frames, new

  def reconstruct(
    self, frames: Float[Array, 'B T Y X C']
  ) -> Float[Array, 'B T Y X C']:
    """A whole clip encoded, without noise, and decoded, within [-1, 1]."""
    gaussian, _ = self.encode(frames)
    return jnp.clip(self.decode(gaussian.mean)[0], -1.0, 1.0)


def start_from_components(vae: Vae, start: linear.Components) -> Vae:
  """The VAE whose linear path is the principal components of real blocks.

  A choice (see linear.py): `start` is `components(vae.config, frames)`. May be
  traced, so that it can be part of the `init` of a training run.
  """
  linear.start_from_components(vae.linear, start)
  return vae
