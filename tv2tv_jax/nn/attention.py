"""Attention in parts: what each part says, and how sure it is.

A softmax over keys that fall into groups is the mean of the softmaxes over
each group, weighted by their normalisers:

  o = sum_g w_g o_g,   w = softmax_g(logsumexp_g)                     (1)

So a query may attend to a long past and to its own chunk separately, and no
score between two chunks that cannot see each other is ever computed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# Finite, so that a query that sees nothing (padding) stays free of NaN.
_UNSEEN = -1e30


class Part(NamedTuple):
  """Attention over one group of keys.

  Attributes:
    mean: the values' mean by softmax weights, fp32.
    weight: log of the sum of exponentiated scores, fp32.
  """

  mean: Float[Array, '... Q K G H']
  weight: Float[Array, '... K G Q']


def attended(
  query: Float[Array, '... Q K G H'],
  key: Float[Array, '... S K H'],
  value: Float[Array, '... S K H'],
  mask: Bool[Array, '... Q S'] | None = None,
) -> Part:
  """Scaled dot-product attention of `G` query heads per key head.

  Args:
    query: queries; scores are scaled by `H**-0.5`.
    key: keys.
    value: values.
    mask: True where a query sees a key; None: everywhere.
  """
  scores = jnp.einsum(
    '...qkgh,...skh->...kgqs',
    query * query.shape[-1] ** -0.5,
    key,
    preferred_element_type=jnp.float32,
  )
  if mask is not None:
    scores = jnp.where(mask[..., None, None, :, :], scores, _UNSEEN)
  largest = jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True))
  exponents = jnp.exp(scores - largest)
  total = exponents.sum(axis=-1)
  mean = jnp.einsum(
    '...kgqs,...skh->...qkgh',
    exponents.astype(value.dtype),
    value,
    preferred_element_type=jnp.float32,
  )
  mean = mean / _beside_queries(total)
  return Part(mean, largest[..., 0] + jnp.log(total))


def merged(parts: Sequence[Part]) -> Float[Array, '... Q K G H']:
  """The attention over all groups of keys together, by (1)."""
  if len(parts) == 1:
    return parts[0].mean
  weights = jax.nn.softmax(jnp.stack([p.weight for p in parts]), axis=0)
  return sum(
    _beside_queries(weight) * part.mean
    for weight, part in zip(weights, parts, strict=True)
  )


def _beside_queries(
  weight: Float[Array, '... K G Q'],
) -> Float[Array, '... Q K G 1']:
  """Per-query numbers laid out like the means they multiply."""
  return jnp.moveaxis(weight, -1, -3)[..., None]
