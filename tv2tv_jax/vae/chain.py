"""Causal layers one after the other: the past goes in, the past comes out."""

from typing import Any, TypeAlias

from flax import nnx
import jax
from jaxtyping import Array, Float

# What a layer must remember of a clip: a pytree of arrays, () for nothing.
# `None` stands for no clip yet.
Past: TypeAlias = Any


class Chain(nnx.Module):
  """Named layers, run in the order in which they are given.

  A layer is called with a chunk of a clip and its own past, `None` where the
  clip begins, and gives a chunk and its new past. So does a chain.
  """

  def __init__(self, **layers: nnx.Module):
    self.names = tuple(layers)
    for name, layer in layers.items():
      setattr(self, name, layer)

  def __call__(
    self, x: Float[Array, 'B T Y X I'], past: Past = None
  ) -> tuple[Float[Array, 'B N V U O'], Past]:
    """Runs all layers on a chunk."""
    new = {}
    for name in self.names:
      layer = getattr(self, name)
      x, new[name] = layer(x, None if past is None else past[name])
    return x, new


class Head(nnx.Module):
  """A norm, SiLU, and a causal convolution."""

  def __init__(self, norm: nnx.Module, conv: nnx.Module):
    self.norm, self.conv = norm, conv

  def __call__(
    self, x: Float[Array, 'B T Y X I'], past: Past = None
  ) -> tuple[Float[Array, 'B T Y X O'], Past]:
    """Runs on a chunk."""
    return self.conv(jax.nn.silu(self.norm(x)), past)
