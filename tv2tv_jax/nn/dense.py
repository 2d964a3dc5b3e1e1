"""An einsum equation is a layer."""

import math

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax import sharding


class Dense(nnx.Module):
  """A linear map named by its equation: `'BLD,DNH->BLNH'`.

  The kernel is drawn from a normal of variance `scale**2 / fan_in`, where
  fan_in is the product of the contracted dimensions.
  """

  def __init__(
    self,
    equation: str,
    shape: tuple[int, ...],
    axes: tuple[str | None, ...],
    *,
    rngs: nnx.Rngs,
    scale: float = 1.0,
  ):
    inputs, output = equation.split('->')
    contracted = [
      size
      for letter, size in zip(inputs.split(',')[1], shape, strict=True)
      if letter not in output
    ]
    deviation = scale * math.prod(contracted) ** -0.5
    kernel = deviation * jax.random.normal(rngs.params(), shape)
    self.equation, self.axes = equation, axes
    self.kernel = nnx.Param(sharding.place(kernel, *axes))

  def __call__(
    self, x: Float[Array, '...'], *axes: str | None
  ) -> Float[Array, '...']:
    """Maps `x`; `axes` are the logical axes of the result.

    Without them its layout follows from the operands.
    """
    kernel = sharding.gathered(self.kernel[...].astype(x.dtype), *self.axes)
    kept = _shared_prefix(self.equation)
    if not axes or kept < 2 or sharding.splits('length'):
      layout = sharding.spec(*axes) if axes else None
      return jnp.einsum(self.equation, x, kernel, out_sharding=layout)
    # As one axis: XLA's CPU compiler takes three times as long over two, and
    # computes what feeds the product again (DECISIONS.md).
    equation = self.equation.replace(self.equation[: kept - 1], '')
    folded = jnp.einsum(
      equation,
      x.reshape(-1, *x.shape[kept:]),
      kernel,
      out_sharding=sharding.spec(axes[0], *axes[kept:]),
    )
    shape = (*x.shape[:kept], *folded.shape[1:])
    return jax.lax.reshape(folded, shape, out_sharding=sharding.spec(*axes))


def _shared_prefix(equation: str) -> int:
  """How many leading axes of the input lead the output too."""
  inputs, output = equation.split('->')
  count = 0
  for a, b in zip(inputs.split(',')[0], output, strict=False):
    if a != b or a == '.':
      break
    count += 1
  return count
