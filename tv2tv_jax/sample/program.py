"""Functions of a model as compiled programs, which its weights are given to."""

from collections.abc import Callable
import functools
from typing import Any

import jax

from tv2tv_jax.tv2tv import model as model_lib


class Programs:
  """Makes programs of one model.

  Where its layers are all written out in a program, each has weights of its
  own: a program that cuts them out of those of all layers copies them whenever
  it runs.

  Attributes:
    config: of the model.
  """

  def __init__(self, model: model_lib.Tv2tv):
    self.config = model.config
    # To take a module apart takes Python longer than some programs run.
    self._weights, self._tree = jax.tree.flatten(model.laid_out())

  def compiled(
    self, function: Callable[..., Any], donated: int | None = None
  ) -> Callable[..., Any]:
    """A function of a model and more as a program, the model left out.

    Args:
      function: its first argument is the model.
      donated: the number of the argument after the model that is given up.
    """

    def run(weights: list[jax.Array], *arguments):
      return function(jax.tree.unflatten(self._tree, weights), *arguments)

    donate = () if donated is None else (1 + donated,)
    program = jax.jit(run, donate_argnums=donate)
    return functools.partial(program, self._weights)
