"""Residual blocks: pictures plus what two convolutions add to them."""

from collections.abc import Callable
from typing import Any

from flax import nnx
import jax
from jaxtyping import Array, Float

from tv2tv_jax.nn import conv
from tv2tv_jax.nn import dense
from tv2tv_jax.nn import norm

# The second convolution starts small, so that a deep stack starts near the
# identity (choice; zero would leave the first one without gradients).
_LAST = 0.1

# Makes a causal convolution: `(inputs, outputs, rngs=..., scale=...)`.
Convolution = Callable[..., nnx.Module]


class ResidualBlock(nnx.Module):
  """`x + f(x)`, each picture on its own, steered by a vector if it has one.

  With `condition` features, `f` scales and shifts its inner features by a
  linear map of the condition that starts at zero (FiLM, as in ADM). `axis` is
  the logical axis by which weights may be shared out.
  """

  def __init__(
    self,
    inputs: int,
    outputs: int,
    *,
    rngs: nnx.Rngs,
    condition: int = 0,
    axis: str | None = None,
  ):
    self.norm_in = norm.RmsNorm(inputs)
    self.conv_in = conv.Conv2d(inputs, outputs, rngs=rngs, axis=axis)
    self.norm_out = norm.RmsNorm(outputs)
    self.conv_out = conv.Conv2d(
      outputs, outputs, rngs=rngs, scale=_LAST, axis=axis
    )
    if condition:
      self.steer = dense.Dense(
        '...D,DC->...C',
        (condition, 2 * outputs),
        (axis, None),
        rngs=rngs,
        scale=0.0,
      )
    if inputs != outputs:
      self.skip = conv.Conv2d(inputs, outputs, (1, 1), rngs=rngs, axis=axis)

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
  """`x + f(x)` over a clip; `f` sees frames before, never after."""

  def __init__(
    self,
    inputs: int,
    outputs: int,
    *,
    convolutions: tuple[Convolution, Convolution],
    norm: Callable[[int], nnx.Module],
    rngs: nnx.Rngs,
    last: float = _LAST,
  ):
    """Makes the block; where the width changes, `x` goes through a matrix.

    Args:
      inputs: channels.
      outputs: channels.
      convolutions: what makes the first and the second, from inputs and
        outputs.
      norm: what makes a norm, from its width.
      rngs: of the kernels.
      last: scale of the second convolution.
    """
    first, second = convolutions
    self.norm_in = norm(inputs)
    self.conv_in = first(inputs, outputs, rngs=rngs)
    self.norm_out = norm(outputs)
    self.conv_out = second(outputs, outputs, rngs=rngs, scale=last)
    if inputs != outputs:
      self.skip = conv.Conv2d(inputs, outputs, (1, 1), rngs=rngs)

  def __call__(
    self, x: Float[Array, 'B T Y X I'], past: Any = None
  ) -> tuple[Float[Array, 'B T Y X O'], Any]:
    """The block's frames and its new past; `past=None` begins a clip."""
    before, after = (None, None) if past is None else past
    y, before = self.conv_in(jax.nn.silu(self.norm_in(x)), before)
    y, after = self.conv_out(jax.nn.silu(self.norm_out(y)), after)
    x = self.skip(x) if x.shape[-1] != y.shape[-1] else x
    return x + y, (before, after)
