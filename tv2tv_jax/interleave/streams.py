"""Text, clean video and noisy video live in separate arrays.

Each tower runs dense matrix products on its own array; attention alone brings
them together. No gather, no scatter, no per-token modality mask; a stream that
is absent costs nothing.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Shaped

from tv2tv_jax import sharding
from tv2tv_jax.interleave import timeline


class Streams(NamedTuple):
  """Something for each stream; None where a stream is absent.

  Attributes:
    text: of the text tokens, `B L ...`.
    clean: of the clean frame tokens, `B M ...`.
    noisy: of the noisy frame tokens, `B M ...`.
  """

  text: Any = None
  clean: Any = None
  noisy: Any = None

  @property
  def present(self) -> list[str]:
    """Names of the streams that are there."""
    return [name for name in self._fields if getattr(self, name) is not None]


def joined(
  *parts: Shaped[Array, 'B ...'] | None, axis: int = 1
) -> Shaped[Array, 'B ...']:
  """The parts that are there, one after another along the tokens' axis."""
  there = [part for part in parts if part is not None]
  return there[0] if len(there) == 1 else jnp.concatenate(there, axis=axis)


def joined_places(*parts: timeline.Timeline | None) -> timeline.Timeline:
  """The places of the streams that are there, one after another."""
  there = [part for part in parts if part is not None]
  return timeline.Timeline(
    *(jnp.concatenate(each, axis=1) for each in zip(*there, strict=True))
  )


def woven(
  parts: Sequence[Shaped[Array, '...']], axis: int = 1
) -> Shaped[Array, '...']:
  """Arrays of one shape as one: the first token of each, then the second.

  So that a tower reads its streams at once, and no token leaves its device
  where tokens are split over devices.
  """
  if len(parts) == 1:
    return parts[0]
  axis = axis % parts[0].ndim
  return sharding.merged(jnp.stack(parts, axis=axis + 1), axis)


def unwoven(
  x: Shaped[Array, '...'], count: int, axis: int = 1
) -> list[Shaped[Array, '...']]:
  """The inverse of `woven`, of so many arrays."""
  if count == 1:
    return [x]
  axis = axis % x.ndim
  apart = sharding.unmerged(x, axis, x.shape[axis] // count)
  return [jnp.take(apart, i, axis=axis + 1) for i in range(count)]
