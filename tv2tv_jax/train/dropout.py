"""What training hides or spoils: words, for guidance; history, for robustness.

A dropped text segment is gone as if it had never been written: no token sees
its tokens, and all that follows moves up. So a sampler gets the untold twin
of a story by simply not writing (choice, see DECISIONS.md).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from tv2tv_jax.flow import path
from tv2tv_jax.interleave import story as story_lib


def dropped_words(
  row: story_lib.Row, drop: Bool[Array, 'B N']
) -> Bool[Array, 'B L']:
  """True for tokens that belong to the words of a dropped chunk."""
  segment = jnp.maximum(row.segment, 0)
  return (row.segment >= 0) & jnp.take_along_axis(drop, segment, axis=1)


def without(row: story_lib.Row, gone: Bool[Array, 'B L']) -> story_lib.Row:
  """The row as if the `gone` tokens had never been written."""
  gone = gone & (row.story >= 0)
  count = gone.astype(jnp.int32)
  so_far = jnp.cumsum(count, axis=1) - count
  begins = (row.index == 0) & (row.story >= 0)
  of_others = jax.lax.cummax(jnp.where(begins, so_far, 0), axis=1)
  before = so_far - of_others
  earlier = row.index[:, None, :] < row.chunk_index[:, :, None]
  earlier &= row.story[:, None, :] == row.chunk_story[:, :, None]
  before_chunk = jnp.sum(count[:, None, :] * earlier, axis=2)
  return row._replace(
    index=row.index - before,
    story=jnp.where(gone, story_lib.NOBODY, row.story),
    chunk_index=row.chunk_index - before_chunk,
  )


def flipped(
  latents: Float[Array, 'B N Y X Z'],
  noise: Float[Array, 'B N Y X Z'],
  t: Float[Array, 'B N'],
  flip: Bool[Array, 'B N'],
) -> tuple[Float[Array, 'B N Y X Z'], Float[Array, 'B N']]:
  """The clean copies, some of them noisy, and the flow time each is told.

  The clean-video flip (paper, training): a model that has seen a spoilt
  history is less thrown by its own mistakes.
  """
  t = jnp.where(flip, t, 1.0)
  return path.noised(latents, noise, t), t


def coin(
  key: Int[Array, ''] | jax.Array, shape: tuple[int, ...], share: float
) -> Bool[Array, '*S']:
  """True with probability `share`."""
  return jax.random.uniform(key, shape) < share
