"""The causal video VAE: the past goes in, the past comes out.

A clip of `1 + 4n` frames becomes `1 + n` latents: its first frame alone, then
one latent for every four frames (for a time stride of four). `past=None`
begins a clip, whose first chunk has `1 + 4k` frames or `1 + k` latents; later
chunks have `4k` frames or `k` latents and take the past of the call before.
The past has one structure and one shape from the first call on, however a clip
is cut, so a program is compiled once per chunk shape: the first, and the rest.
Any way to cut a clip gives the same latents and the same frames. `stream.py`
cuts clips of any length.

Three families share their layers: our own (folds.py), Wan 2.1's (wan.py) and
Cosmos' (cosmos.py), both 4 x 8 x 8 with 16 channels. A family is a config that
makes an encoder and a decoder.
"""

from typing import NamedTuple, TypeAlias

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax.typing import PrngKey
from tv2tv_jax.vae import chain
from tv2tv_jax.vae import cosmos
from tv2tv_jax.vae import folds
from tv2tv_jax.vae import linear
from tv2tv_jax.vae import wan

VaeConfig: TypeAlias = folds.FoldsConfig | wan.WanConfig | cosmos.CosmosConfig
Past: TypeAlias = chain.Past

# Log-variances stay in these bounds, as in diffusers.
_BOUNDS = (-30.0, 20.0)


class Gaussian(NamedTuple):
  """What the encoder believes: independent normals over latent values.

  A log-variance of None is certainty: an autoencoder without noise.
  """

  mean: Float[Array, 'B N V U Z']
  log_variance: Float[Array, 'B N V U Z'] | None

  def sample(self, key: PrngKey) -> Float[Array, 'B N V U Z']:
    """A draw from the normals."""
    if self.log_variance is None:
      return self.mean
    noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
    return self.mean + jnp.exp(0.5 * self.log_variance) * noise


class Vae(nnx.Module):
  """An encoder and a decoder of one family."""

  def __init__(self, config: VaeConfig, *, rngs: nnx.Rngs):
    self.config = config
    self.encoder = config.encoder(rngs=rngs)
    self.decoder = config.decoder(rngs=rngs)

  def encode(
    self, frames: Float[Array, 'B T Y X C'], past: Past = None
  ) -> tuple[Gaussian, Past]:
    """Frames in [-1, 1] to latents.

    Raises:
      ValueError: a chunk length, frame size or number of channels that is not
        the VAE's.
    """
    check_frames(self.config, frames.shape, begins=past is None)
    packed, new = self.encoder(frames, past)
    if packed.shape[-1] == self.config.latent_channels:
      return Gaussian(packed, None), new
    mean, log_variance = jnp.split(packed, 2, axis=-1)
    return Gaussian(mean, jnp.clip(log_variance, *_BOUNDS)), new

  def decode(
    self, latents: Float[Array, 'B N V U Z'], past: Past = None
  ) -> tuple[Float[Array, 'B T Y X C'], Past]:
    """Latents to frames, about in [-1, 1].

    Raises:
      ValueError: no latents, or a number of channels that is not the VAE's.
    """
    if not latents.shape[1] or latents.shape[-1] != self.config.latent_channels:
      raise ValueError(
        f'latents are {latents.shape}: give [B, N, Y, X, '
        f'{self.config.latent_channels}] with N >= 1'
      )
    return self.decoder(latents, past)

  def reconstruct(
    self, frames: Float[Array, 'B T Y X C']
  ) -> Float[Array, 'B T Y X C']:
    """A whole clip encoded, without noise, and decoded, within [-1, 1]."""
    gaussian, _ = self.encode(frames)
    return jnp.clip(self.decode(gaussian.mean)[0], -1.0, 1.0)


def check_frames(
  config: VaeConfig, shape: tuple[int, ...], *, begins: bool
) -> None:
  """Raises ValueError if frames of `shape` [B, T, Y, X, C] do not fit."""
  _, frames, rows, columns, channels = shape
  time, y, x = config.stride
  if frames < 1 or (frames - begins) % time:
    count = f'1 + {time}n' if begins else f'{time}n'
    chunk = 'the first chunk of a clip' if begins else 'a later chunk'
    raise ValueError(f'{chunk} has {frames} frames: give {count} frames')
  if not rows or not columns or rows % y or columns % x:
    raise ValueError(
      f'frames of {columns} x {rows} (width x height): give multiples of '
      f'{x} x {y}'
    )
  if channels != config.channels:
    raise ValueError(f'frames have {channels} channels: give {config.channels}')


def components(
  config: folds.FoldsConfig, frames: Float[Array, 'B T Y X C']
) -> linear.Components:
  """What a linear path may start from: `T` a multiple of the time stride."""
  return linear.components(config.stride, config.latent_channels, frames)


def start_from_components(vae: Vae, start: linear.Components) -> Vae:
  """The VAE whose linear path is the principal components of real blocks.

  A choice (see linear.py): `start` is `components(vae.config, frames)`. May be
  traced, so that it can be part of the `init` of a training run.
  """
  linear.begin(vae.encoder.linear, vae.decoder.linear, start)
  return vae
