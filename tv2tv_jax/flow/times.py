"""Where on the path training looks, and where sampling steps."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from tv2tv_jax.typing import PrngKey


def logit_normal(
  key: PrngKey, shape: tuple[int, ...], *, mean: float, deviation: float
) -> Float[Array, '*S']:
  """`t = sigmoid(mean + deviation * normal)` (paper: mean 0, deviation 1.4)."""
  return jax.nn.sigmoid(mean + deviation * jax.random.normal(key, shape))


def evenly(steps: int) -> Float[Array, 'M']:
  """The `steps + 1` flow times of steps of one length, from 0 to 1."""
  return jnp.arange(steps + 1) / steps


def shifted(steps: int, shift: float) -> Float[np.ndarray, 'M']:
  """The `steps + 1` flow times of steps that are shorter near the noise.

  Even shares of noise `s = 1 - t` become `shift s / (1 + (shift - 1) s)`
  (Esser et al., 2403.03206, equation 23); a shift of 1 leaves them, one below 1
  makes the steps near the data shorter.
  """
  noise = 1 - np.arange(steps + 1) / steps
  return 1 - shift * noise / (1 + (shift - 1) * noise)
