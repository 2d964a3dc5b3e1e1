"""What every device of the mesh computes alone, of what it has of arrays.

Layouts are trees of logical axes (`tv2tv_jax.sharding`): a tuple of names for
each array, one for each of its axes; those behind the last are whole.
"""

from collections.abc import Callable
from typing import Any

import jax

from tv2tv_jax import sharding


def laid_out(layout: Any, trees: Any) -> Any:
  """The arrays in that layout, wherever they were.

  Raises:
    ValueError: the mesh does not divide an axis that it splits.
  """
  return map_axes(lambda axes, x: sharding.place(x, *axes), layout, trees)


def computed(function: Callable, taken: Any, made: Any) -> Callable:
  """`function` of what each device has of its arguments.

  Args:
    function: of arrays or trees of them; devices tell one another nothing.
    taken: layouts of its arguments, which they come in.
    made: layouts of what it returns.
  """
  if not sharding.has_mesh():
    return function

  def specs(layout):
    return map_axes(lambda axes: sharding.spec(*axes), layout)

  return jax.shard_map(
    function, in_specs=specs(taken), out_specs=specs(made), check_vma=False
  )


def map_axes(function: Callable, layout: Any, *trees: Any) -> Any:
  """`function` of the logical axes of each array, and of what is there."""

  def is_axes(x):
    return type(x) is tuple and all(isinstance(y, str | None) for y in x)

  return jax.tree.map(function, layout, *trees, is_leaf=is_axes)
