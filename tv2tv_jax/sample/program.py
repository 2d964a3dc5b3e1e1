"""Functions of a model as compiled programs, which its weights are given to."""

from collections.abc import Callable
from typing import Any, TypeAlias

from flax import nnx
import jax
import jax.numpy as jnp

from tv2tv_jax import sharding
from tv2tv_jax.nn import stack
from tv2tv_jax.tv2tv import model as model_lib

# Programs by name, as their compiler gets them.
Parts: TypeAlias = dict[str, jax.stages.Lowered]


class Program:
  """A compiled function, under the mesh that was set when it was made."""

  def __init__(
    self,
    function: Callable[..., Any],
    *donated: int,
    given: tuple[Any, ...] = (),
  ):
    """Compiles nothing yet.

    Args:
      function: of arrays.
      *donated: numbers of the arguments that are given up.
      given: its first arguments, which callers leave out.
    """
    self._run = jax.jit(function, donate_argnums=donated)
    self._here, self._given = sharding.here(), given

  def __call__(self, *arguments: Any) -> Any:
    """Runs it."""
    with self._here():
      return self._run(*self._given, *arguments)

  def lowered(self, *arguments: Any) -> jax.stages.Lowered:
    """What its compiler gets for arguments like these; nothing is run."""
    with self._here():
      return self._run.lower(*self._given, *arguments)


def prepared(model: model_lib.Tv2tv) -> model_lib.Tv2tv:
  """The model as its programs take it; what is prepared stays as it is.

  Its large matrices are in the dtype that products cast them to: in bfloat16
  half the memory, and half the time to read it. Where its layers are all
  written out in a program, each has weights of its own: a program that cuts
  them out of those of all layers copies them whenever it runs.
  """
  dtype = jnp.dtype(model.config.dtype)

  def cast(path, leaf):
    name = jax.tree_util.keystr(path, simple=True, separator='.')
    product = name.startswith('transformer') and 'kernel' in name
    large = product or name.startswith(('embedding', 'head'))
    return leaf.astype(dtype) if large and leaf.dtype != dtype else leaf

  out = jax.tree_util.tree_map_with_path(cast, model)
  layers = out.transformer
  if model.config.towers.apart and not isinstance(layers.blocks, nnx.List):
    layers.blocks = nnx.List(stack.apart(layers.blocks))
  return out


class Programs:
  """Makes programs of one model, for the devices that it lies on.

  Attributes:
    config: of the model.
  """

  def __init__(self, model: model_lib.Tv2tv):
    self.config = model.config
    # To take a module apart takes Python longer than some programs run.
    self._weights, self._tree = jax.tree.flatten(prepared(model))

  def compiled(
    self, function: Callable[..., Any], donated: int | None = None
  ) -> Program:
    """A function of a model and more as a program, the model left out.

    Args:
      function: its first argument is the model.
      donated: the number of the argument after the model that is given up.
    """

    def run(weights: list[jax.Array], *arguments):
      return function(jax.tree.unflatten(self._tree, weights), *arguments)

    donate = () if donated is None else (1 + donated,)
    return Program(run, *donate, given=(self._weights,))
