"""Rotary position embedding (Su et al., 2021), in Llama's half-split form."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def frequencies(width: int, theta: float) -> Float[Array, 'half']:
  """Radians per place of each pair of channels: `theta**(-2 i / width)`."""
  return theta ** (-jnp.arange(0, width, 2, dtype=jnp.float32) / width)


def rotated(
  x: Float[Array, 'B S *heads H'],
  index: Int[Array, 'B S'],
  frequency: Float[Array, 'half'],
) -> Float[Array, 'B S *heads H']:
  """Turns channel pairs `(i, i + H/2)` by `index * frequency[i]`, in fp32."""
  angle = index[:, :, None].astype(jnp.float32) * frequency
  angle = angle.reshape(angle.shape[:2] + (1,) * (x.ndim - 3) + (-1,))
  cosine, sine = jnp.cos(angle), jnp.sin(angle)
  a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  turned = jnp.concatenate(
    [a * cosine - b * sine, b * cosine + a * sine], axis=-1
  )
  return turned.astype(x.dtype)
