"""SwiGLU, the feed-forward layer of Llama (Shazeer, 2020)."""

from flax import nnx
import jax
from jaxtyping import Array, Float

from tv2tv_jax.nn import dense


class FeedForward(nnx.Module):
  """`down(silu(gate(x)) * up(x))`."""

  def __init__(
    self, width: int, hidden: int, *, rngs: nnx.Rngs, last: float = 1.0
  ):
    shape, axes = (width, hidden), ('embed_in', 'mlp')
    self.gate = dense.Dense('BLD,DF->BLF', shape, axes, rngs=rngs)
    self.up = dense.Dense('BLD,DF->BLF', shape, axes, rngs=rngs)
    self.down = dense.Dense(
      'BLF,FD->BLD', shape[::-1], axes[::-1], rngs=rngs, scale=last
    )

  def __call__(self, x: Float[Array, 'B L D']) -> Float[Array, 'B L D']:
    """Every token on its own."""
    inner = ('batch', 'length', 'mlp')
    hidden = jax.nn.silu(self.gate(x, *inner)) * self.up(x, *inner)
    return self.down(hidden, 'batch', 'length', 'embed')
