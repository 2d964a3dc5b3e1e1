"""The linear coder: a patch of a latent is a token, and a token is a patch.

The simpler of the two ways that Transfusion compares (2408.11039, section 4).
"""

from flax import nnx
from jaxtyping import Array, Float

from tv2tv_jax import sharding
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
      '...C,CD->...D', (size, width), (None, 'embed_in'), rngs=rngs
    )
    self.last_norm = norm.RmsNorm(width)
    self.last = dense.Dense(
      '...D,DC->...C', (width, size), ('embed_in', None), rngs=rngs, scale=0.0
    )

  def tokens(
    self, latents: Float[Array, 'B N Y X Z'], t: Float[Array, 'B N']
  ) -> tuple[Float[Array, 'B N V U D'], list]:
    """Tokens of chunks at flow time `t`; nothing is kept for the way back."""
    rows, columns = self.config.grid
    x = sharding.unmerged(latents, 2, rows)
    x = sharding.unmerged(x, 4, columns).swapaxes(3, 4)  # B N Y X P P Z
    x = sharding.merged(sharding.merged(x, 4), 4)
    h = self.to_tower(x) + self.time(t)[:, :, None, None] + self.places()
    h = h.astype(latents.dtype)
    return h, []

  def velocity(
    self, tokens: Float[Array, 'B M D'], kept: list, t: Float[Array, 'B N']
  ) -> Float[Array, 'B N Y X Z']:
    """The velocity that the tower's tokens mean, fp32."""
    del kept
    p = self.config.patch
    x = self.last(self.last_norm(tokens)).astype('float32')
    x = frames.in_chunks(x, t.shape[1], self.config.grid)
    x = sharding.unmerged(sharding.unmerged(x, 4, p), 5, p)
    return sharding.merged(sharding.merged(x.swapaxes(3, 4), 2), 3)
