"""Residual blocks: pictures plus what two convolutions add to them."""

from flax import nnx
import jax
from jaxtyping import Array, Float

from tv2tv_jax.nn import causal_conv
from tv2tv_jax.nn import conv
from tv2tv_jax.nn import dense
from tv2tv_jax.nn import norm

# The second convolution starts small, so that a deep stack starts near the
# identity (choice; zero would leave the first one without gradients).
_LAST = 0.1


class ResidualBlock(nnx.Module):
  """`x + f(x)`, each picture on its own, steered by a vector if it has one.

  With `condition` features, `f` scales and shifts its inner features by a
  linear map of the condition that starts at zero (FiLM, as in ADM).
  """

  def __init__(
    self,
    inputs: int,
    outputs: int,
    *,
    rngs: nnx.Rngs,
    condition: int = 0,
    last: float = _LAST,
  ):
    self.norm_in = norm.RmsNorm(inputs)
    self.conv_in = conv.Conv2d(inputs, outputs, rngs=rngs)
    self.norm_out = norm.RmsNorm(outputs)
    self.conv_out = conv.Conv2d(outputs, outputs, rngs=rngs, scale=last)
    if condition:
      self.steer = dense.Dense(
        '...D,DC->...C',
        (condition, 2 * outputs),
        (None, None),
        rngs=rngs,
        scale=0.0,
      )
    if inputs != outputs:
      self.skip = conv.Conv2d(inputs, outputs, (1, 1), rngs=rngs)

  def __call__(
    self,
    x: Float[Array, '... Y X I'],
    condition: Float[Array, '... D'] | None = None,
  ) -> Float[Array, '... Y X O']:
    """The block's pictures; `condition` has the leading axes of `x`."""
    y = self.norm_out(self.conv_in(jax.nn.silu(self.norm_in(x))))
    if condition is not None:
      steer = self.steer(condition)[..., None, None, :].astype(y.dtype)
      scale, shift = steer[..., : y.shape[-1]], steer[..., y.shape[-1] :]
      y = y * (1 + scale) + shift
    y = self.conv_out(jax.nn.silu(y))
    return (self.skip(x) if x.shape[-1] != y.shape[-1] else x) + y


class CausalResidualBlock(nnx.Module):
  """`x + f(x)` over a clip; `f` sees frames before, never after.

  The first convolution reaches `taps - 1` frames back, the second stays
  inside a frame.
  """

  def __init__(
    self,
    width: int,
    taps: int = 3,
    *,
    rngs: nnx.Rngs,
    lowering: causal_conv.Lowering = 'planes',
    last: float = _LAST,
  ):
    self.norm_in = norm.RmsNorm(width)
    self.conv_in = causal_conv.CausalConv3d(
      width, width, (taps, 3, 3), rngs=rngs, lowering=lowering
    )
    self.norm_out = norm.RmsNorm(width)
    self.conv_out = conv.Conv2d(width, width, rngs=rngs, scale=last)

  def __call__(
    self,
    x: Float[Array, 'B T Y X D'],
    past: Float[Array, 'B memory Y X D'] | None = None,
  ) -> tuple[Float[Array, 'B T Y X D'], Float[Array, 'B memory Y X D']]:
    """The block's frames and its new past; `past=None` begins a clip."""
    y, past = self.conv_in(jax.nn.silu(self.norm_in(x)), past)
    y = self.conv_out(jax.nn.silu(self.norm_out(y)))
    return x + y, past
