"""Attention in parts: what each part says, and how sure it is.

A softmax over keys that fall into groups is the mean of the softmaxes over
each group, weighted by their normalisers:

  o = sum_g w_g o_g,   w = softmax_g(logsumexp_g)                     (1)

So a query may attend to a long past and to its own chunk separately, and no
score between two chunks that cannot see each other is ever computed.

Heads stand before tokens: every matrix product is then over contiguous
memory, which is worth a factor of two to five on a CPU (DECISIONS.md).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from tv2tv_jax import sharding

# The score of what is not seen. Finite, so that a query that sees nothing
# (padding) stays free of NaN.
UNSEEN = -1e30


class Part(NamedTuple):
  """Attention over one group of keys.

  Attributes:
    mean: the values' mean by softmax weights, fp32.
    weight: log of the sum of exponentiated scores, fp32.
  """

  mean: Float[Array, '... K G Q H']
  weight: Float[Array, '... K G Q']


def bias(mask: Bool[Array, '... Q S']) -> Float[Array, '... Q S']:
  """What to add to scores so that only keys under `mask` are seen."""
  return jnp.where(mask, 0.0, UNSEEN)


def attended(
  query: Float[Array, '... K G Q H'],
  key: Float[Array, '... K S H'],
  value: Float[Array, '... K S H'],
  bias: Float[Array, '... Q S'] | None = None,
) -> Part:
  """Scaled dot-product attention of `G` query heads per key head.

  Args:
    query: queries; scores are scaled by `H**-0.5`.
    key: keys.
    value: values.
    bias: added to the scores, for all heads alike; fp32.
  """
  # Heads that share a key as more queries: each product has one batch axis
  # less, and XLA no scores to copy. Queries that are split keep their axis.
  shape = query.shape[:-1]
  groups = 'gq' if sharding.splits('length') else 'q'
  if groups == 'q':
    query = query.reshape(*shape[:-2], -1, query.shape[-1])
  scores = jnp.einsum(
    f'...{groups}h,...sh->...{groups}s',
    query * query.shape[-1] ** -0.5,
    key,
    preferred_element_type=jnp.float32,
  )
  if bias is not None:
    apart = scores.reshape(*shape, -1) + bias[..., None, None, :, :]
    scores = apart.reshape(scores.shape)
  largest = jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True))
  exponents = jnp.exp(scores - largest)
  total = exponents.sum(axis=-1)
  mean = jnp.einsum(
    f'...{groups}s,...sh->...{groups}h',
    exponents.astype(value.dtype),
    value,
    preferred_element_type=jnp.float32,
  )
  mean = mean / total[..., None]
  weight = largest[..., 0] + jnp.log(total)
  return Part(mean.reshape(*shape, -1), weight.reshape(shape))


def merged(parts: Sequence[Part]) -> Float[Array, '... K G Q H']:
  """The attention over all groups of keys together, by (1)."""
  if len(parts) == 1:
    return parts[0].mean
  weights = jax.nn.softmax(jnp.stack([p.weight for p in parts]), axis=0)
  return sum(
    weight[..., None] * part.mean
    for weight, part in zip(weights, parts, strict=True)
  )
