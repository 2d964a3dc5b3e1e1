"""Gradients of a large batch, a part at a time."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax import sharding
from tv2tv_jax.typing import Metrics


class Mean(NamedTuple):
  """A metric that is the mean of many values, told as their sum and number.

  So that parts of a batch add up to what the whole batch would tell.
  """

  total: Float[Array, '']
  count: Float[Array, '']


def finished(metrics: Mapping[str, Any]) -> Metrics:
  """Metrics as numbers; the mean of nothing is NaN."""
  return {
    name: jnp.where(value.count > 0, value.total / value.count, jnp.nan)
    if isinstance(value, Mean)
    else value
    for name, value in metrics.items()
  }


def differentiated(
  loss: Callable[[Any, Any], tuple[jax.Array, Any]],
  parameters: Any,
  batch: Any,
  parts: int,
) -> tuple[tuple[jax.Array, Any], Any]:
  """Value, metrics and gradients of a loss that is a sum over rows.

  Args:
    loss: `(parameters, batch) -> (loss, metrics)`, both sums over rows.
    parameters: what to differentiate by.
    batch: a tree of arrays whose first axis is rows.
    parts: how many, one after another; rows of a part are on all devices.

  Returns:
    What `jax.value_and_grad(loss, has_aux=True)` would, but for rounding.

  Raises:
    ValueError: rows that cannot be shared out evenly.
  """
  differentiate = jax.value_and_grad(loss, has_aux=True)
  if parts == 1:
    return differentiate(parameters, batch)
  batch = jax.tree.map(lambda rows: _in_parts(rows, parts), batch)
  part = jax.tree.map(lambda rows: rows[0], batch)
  zeros = jax.tree.map(
    lambda leaf: jnp.zeros(
      leaf.shape,
      leaf.dtype,
      out_sharding=leaf.sharding if sharding.has_mesh() else None,
    ),
    jax.eval_shape(differentiate, parameters, part),
  )

  def add(sums: Any, part: Any) -> tuple[Any, None]:
    more = differentiate(parameters, part)
    return jax.tree.map(jnp.add, sums, more), None

  sums, _ = jax.lax.scan(add, zeros, batch)
  return sums


def _in_parts(rows: jax.Array, parts: int) -> jax.Array:
  """Rows `[B, ...]` as `[parts, B / parts, ...]`, none of which moves."""
  if rows.shape[0] % parts:
    raise ValueError(
      f'a batch of {rows.shape[0]} rows does not fall into {parts} parts: '
      'config.train.accumulate must divide config.data.batch'
    )
  apart = sharding.unmerged(rows, 0, rows.shape[0] // parts)
  return apart.swapaxes(0, 1)
