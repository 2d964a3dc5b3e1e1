"""Where on the path training looks."""

import jax
from jaxtyping import Array, Float

from tv2tv_jax.typing import PrngKey


def logit_normal(
  key: PrngKey, shape: tuple[int, ...], *, mean: float, deviation: float
) -> Float[Array, '*S']:
  """`t = sigmoid(mean + deviation * normal)` (paper: mean 0, deviation 1.4)."""
  return jax.nn.sigmoid(mean + deviation * jax.random.normal(key, shape))
