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
    self.equation = equation
    self.kernel = nnx.Param(sharding.place(kernel, *axes))

  def __call__(
    self, x: Float[Array, '...'], *axes: str | None
  ) -> Float[Array, '...']:
    """Maps `x`; `axes` are the logical axes of the result."""
    return jnp.einsum(
      self.equation,
      x,
      self.kernel[...].astype(x.dtype),
      out_sharding=sharding.spec(*axes) if axes else None,
    )
