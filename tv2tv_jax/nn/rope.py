"""Rotary position embedding (Su et al., 2021), in Llama's half-split form.

Llama 3.1 and later turn slow channels more slowly still, so that a model
pretrained on `original_length` places reads longer texts: wavelengths above
`original_length / low` are stretched by `factor`, those below
`original_length / high` stay, and between the two the change is gradual
(Llama 3 herd of models; rope type `llama3` of Hugging Face).
"""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class RopeConfig:
  """How fast channels turn.

  Attributes:
    theta: base of the frequencies.
    factor: how much slower the slowest channels turn; 1 for no scaling.
    low: turns within `original_length` below which a channel is slowed.
    high: turns within `original_length` above which a channel is left alone.
    original_length: places of the texts that the model was pretrained on.
  """

  theta: float = 5e5
  factor: float = 1.0
  low: float = 1.0
  high: float = 4.0
  original_length: int = 8192


def frequencies(width: int, config: RopeConfig) -> Float[Array, 'half']:
  """Radians per place of each pair of channels: `theta**(-2 i / width)`."""
  plain = config.theta ** (-np.arange(0, width, 2) / width)
  if config.factor == 1:
    return jnp.asarray(plain, jnp.float32)
  turns = config.original_length * plain / (2 * np.pi)
  kept = np.clip((turns - config.low) / (config.high - config.low), 0, 1)
  scaled = kept * plain + (1 - kept) * plain / config.factor
  return jnp.asarray(scaled, jnp.float32)


class Turn(NamedTuple):
  """Where each pair of channels points at the places of tokens, fp32."""

  cosine: Float[Array, 'B S half']
  sine: Float[Array, 'B S half']


def turn(index: Int[Array, 'B S'], frequency: Float[Array, 'half']) -> Turn:
  """The turn by `index * frequency[i]`, once for all layers."""
  angle = index[:, :, None].astype(jnp.float32) * frequency
  return Turn(jnp.cos(angle), jnp.sin(angle))


def rotated(
  x: Float[Array, 'B S *heads H'], turn: Turn
) -> Float[Array, 'B S *heads H']:
  """Turns channel pairs `(i, i + H/2)`, in fp32."""
  heads = (1,) * (x.ndim - 3)
  cosine, sine = (t.reshape(*t.shape[:2], *heads, -1) for t in turn)
  a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  turned = jnp.concatenate(
    [a * cosine - b * sine, b * cosine + a * sine], axis=-1
  )
  return turned.astype(x.dtype)
