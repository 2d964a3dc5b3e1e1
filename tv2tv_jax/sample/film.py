"""Chunks as pictures and back, one by one: a past is a value here too."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, UInt8
import numpy as np

from tv2tv_jax import sharding
from tv2tv_jax.vae import latents as latents_lib
from tv2tv_jax.vae import program
from tv2tv_jax.vae import stream as stream_lib
from tv2tv_jax.vae import vae as vae_lib


class Film:
  """A VAE, on the devices that it lies on, and the statistics of its latents.

  Attributes:
    stride: frames, rows and columns of a latent's place.
  """

  def __init__(
    self, vae: vae_lib.Vae, statistics: latents_lib.LatentStatistics
  ):
    self.stride = vae.config.stride
    self._statistics = statistics
    self._stream = stream_lib.Stream(vae)
    self._here = sharding.here()

  def encode(
    self, frames: UInt8[np.ndarray, 'T Y X 3']
  ) -> Float[np.ndarray, 'N V U Z']:
    """Normalised latents of a clip of `1 + 4n` frames."""
    with self._here():
      means = self._stream.means(frames[None])
    return latents_lib.normalise(means, self._statistics)[0]

  def shown(
    self, latent: Float[np.ndarray, 'V U Z'], past: vae_lib.Past = None
  ) -> tuple[UInt8[np.ndarray, 'T Y X 3'], vae_lib.Past]:
    """The frames of the next chunk, and the past of the one after it.

    Args:
      latent: normalised.
      past: of the story, which stays good; None: its first chunk, one frame.
    """
    latent = latents_lib.restore(latent, self._statistics)
    with self._here():
      # The decoder gives up what it is given.
      kept = past and jax.tree.map(jnp.copy, past)
      frames, new = self._stream.decoder(np.float32(latent)[None, None], kept)
      frames = program.to_uint8(frames[0])
    return frames[-1:] if past is None else frames, new
