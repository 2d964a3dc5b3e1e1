"""The linear coder: a patch of a latent is a token, and a token is a patch.

The simpler of the two ways that Transfusion compares (2408.11039, section 4).
"""

from flax import nnx
from jaxtyping import Array, Float

from tv2tv_jax.nn import dense
from tv2tv_jax.nn import norm
from tv2tv_jax.tv2tv import frames


class Patches(nnx.Module):
  """One matrix in, one matrix out, one chunk at a time."""

  def __init__(
    self, config: frames.FramesConfig, width: int, *, rngs: nnx.Rngs
  ):
    size = config.patch**2 * config.latent
    self.config = config
    self.time = frames.FlowTime(config.time_features, width, rngs=rngs)
    self.places = frames.Positions(config.grid, width, rngs=rngs)
    self.to_tower = dense.Dense(
      '...C,CD->...D', (size, width), (None, None), rngs=rngs
    )
    self.last_norm = norm.RmsNorm(width)
    self.last = dense.Dense(
      '...D,DC->...C', (width, size), (None, None), rngs=rngs, scale=0.0
    )

  def tokens(
    self, latents: Float[Array, 'B N Y X Z'], t: Float[Array, 'B N']
  ) -> tuple[Float[Array, 'B M D'], None]:
    """Tokens of chunks at flow time `t`; nothing is kept for the way back."""
    p = self.config.patch
    batch, chunks, rows, columns, depth = latents.shape
    x = latents.reshape(batch, chunks, rows // p, p, columns, depth)
    x = x.reshape(*x.shape[:4], columns // p, p * depth).swapaxes(3, 4)
    x = x.reshape(*x.shape[:4], -1)
    h = self.to_tower(x) + self.time(t)[:, :, None, None] + self.places()
    h = h.astype(latents.dtype)
    return h.reshape(batch, -1, h.shape[-1]), None

  def velocity(
    self, tokens: Float[Array, 'B M D'], kept: None, t: Float[Array, 'B N']
  ) -> Float[Array, 'B N Y X Z']:
    """The velocity that the tower's tokens mean, fp32."""
    del kept
    p = self.config.patch
    rows, columns = self.config.grid
    x = self.last(self.last_norm(tokens)).astype('float32')
    x = x.reshape(x.shape[0], t.shape[1], rows * columns, -1)
    x = x.reshape(*x.shape[:2], rows, columns, -1)
    x = x.reshape(*x.shape[:4], p, x.shape[-1] // p).swapaxes(3, 4)
    x = x.reshape(*x.shape[:2], rows * p, columns, x.shape[-1])
    return x.reshape(*x.shape[:3], columns * p, x.shape[-1] // p)
