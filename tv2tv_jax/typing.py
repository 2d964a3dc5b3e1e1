"""The key of dimension letters, and names for the arrays they describe.

| letter | dimension |
|---|---|
| B | batch: stories, or clips, side by side |
| L | text tokens of a row |
| N | frame chunks of a row (one chunk = one latent frame) |
| P | tokens of a frame chunk |
| M | video tokens of a row, `N * P` |
| Q, S | query and key tokens of an attention |
| D | width of a tower |
| H | width of an attention head |
| G, K | query heads per key head, and key heads |
| F | width of a feed-forward layer |
| V | vocabulary |
| T, Y, X, C | frames, rows, columns and channels of pictures |
| Z | channels of a latent |

Pictures are `T Y X C`, latents `N Y X Z`; a leading `B` is always the batch.
"""

from collections.abc import Mapping

import jax
from jaxtyping import Array, Key

Metrics = Mapping[str, jax.Array]
PrngKey = Key[Array, '']
