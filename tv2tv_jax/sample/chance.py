"""Where the randomness of stories comes from: a seed each, and its uses."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
from jaxtyping import Array, Int, Key, UInt32
import numpy as np


class Source(NamedTuple):
  """One use of the randomness of each lane.

  Attributes:
    seed: of the lane's story.
    use: its number: twice that of a chunk for its words, one more for its
      noise.
  """

  seed: UInt32[np.ndarray, 'B']
  use: Int[np.ndarray, 'B']


def source(uses: Mapping[int, tuple[int, int]], lanes: int) -> Source:
  """The randomness of some lanes, by seed and use; the others need none."""
  made = Source(np.zeros(lanes, np.uint32), np.zeros(lanes, np.int32))
  for lane, (seed, use) in uses.items():
    made.seed[lane], made.use[lane] = seed, use
  return made


def keys(source: Source) -> Key[Array, 'B']:
  """A key for each lane, which depends on nothing else."""
  roots = jax.vmap(jax.random.key)(source.seed)
  return jax.vmap(jax.random.fold_in)(roots, source.use)
