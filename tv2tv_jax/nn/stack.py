"""Many layers as one module with a leading layer axis."""

from collections.abc import Callable
from typing import TypeVar

from flax import nnx
import jax

Layer = TypeVar('Layer', bound=nnx.Module)


def stacked(
  make: Callable[[nnx.Rngs], Layer], depth: int, *, rngs: nnx.Rngs
) -> Layer:
  """`depth` independent copies of a layer; every parameter is `[depth, ...]`.

  `jax.lax.scan` runs over the result as over any pytree.
  """
  keys = jax.random.split(rngs.params(), depth)
  return jax.vmap(lambda key: make(nnx.Rngs(key)))(keys)


def apart(layers: Layer) -> list[Layer]:
  """The layers of a stack, each a module of its own."""
  depth = jax.tree.leaves(layers)[0].shape[0]
  return [
    jax.tree.map(lambda leaf, at=at: leaf[at], layers) for at in range(depth)
  ]
