"""Cross-entropy over a large vocabulary, in little memory.

Scores of a whole row are never there at once: they are made, used and made
again for the backward pass a block of tokens at a time. They may be split by
vocabulary.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tv2tv_jax import sharding

BLOCK = 128  # Tokens of a row whose scores are there at once.

Head = Callable[[Float[Array, 'B L D']], Float[Array, 'B L V']]


def cross_entropy(
  logits: Float[Array, '... V'], targets: Int[Array, '...']
) -> Float[Array, '...']:
  """`-log softmax(logits)[targets]`, by a sum that a split axis allows."""
  vocabulary = jnp.arange(logits.shape[-1])
  logits = logits.astype(jnp.float32)
  picked = jnp.sum(logits, axis=-1, where=targets[..., None] == vocabulary)
  return jax.nn.logsumexp(logits, axis=-1) - picked


def of_hidden(
  head: Head, hidden: Float[Array, 'B L D'], targets: Int[Array, 'B L']
) -> Float[Array, 'B L']:
  """The cross-entropy of `head(hidden)`, a block at a time.

  Args:
    head: makes scores of some tokens of every row.
    hidden: what it makes them of.
    targets: the tokens that should have been said.
  """

  def surprise(hidden: jax.Array, targets: jax.Array) -> jax.Array:
    return cross_entropy(head(hidden), targets)

  length = targets.shape[1]
  if length <= BLOCK:
    return surprise(hidden, targets)
  blocks = -(-length // BLOCK)
  if sharding.splits('length'):
    # Padding would move tokens between devices; a divisor there always is.
    blocks = next(n for n in range(blocks, length + 1) if length % n == 0)
  spare = -length % blocks

  def cut(x: jax.Array) -> jax.Array:
    """`[B, L, ...]` as `[blocks, B, L / blocks, ...]`."""
    x = jnp.pad(x, ((0, 0), (0, spare)) + ((0, 0),) * (x.ndim - 2))
    return jnp.moveaxis(sharding.unmerged(x, 1, x.shape[1] // blocks), 2, 0)

  surprise = jax.checkpoint(surprise, prevent_cse=False)
  _, out = jax.lax.scan(
    lambda _, block: (None, surprise(*block)), None, (cut(hidden), cut(targets))
  )
  return sharding.merged(jnp.moveaxis(out, 0, 2), 1)[:, :length]
