"""Latent chunks to tokens and tokens to velocities: what both coders share.

Flow time enters here and nowhere else (paper, architecture). A coder sees one
chunk at a time: `tokens(latents, t)` gives its tokens and what its own way
back needs; `velocity(tokens, kept, t)` gives the velocity that they mean.
"""

import dataclasses
import math
from typing import Literal

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax import sharding
from tv2tv_jax.nn import dense


@dataclasses.dataclass(frozen=True, kw_only=True)
class FramesConfig:
  """The shape of the frame coder (open in the paper but for its kind).

  Attributes:
    rows: of a latent.
    columns: of a latent.
    coder: the U-Net of the paper, or one `linear` map of patches, which is
      simpler and filmed less well in Transfusion's comparison.
    latent: channels of a latent.
    channels: of each level; a level has half the rows and columns of the one
      before, and the last has one token per place. Of the linear coder only
      their number counts.
    blocks: residual blocks of each level, each way.
    attention_heads: of the attention after each block of the last level; 0
      for none.
    time_features: sines and cosines that flow time becomes.
    remat: what the backward pass of the U-Net computes again: `none`, or each
      `block`.
  """

  rows: int
  columns: int
  coder: Literal['unet', 'linear'] = 'unet'
  latent: int = 16
  channels: tuple[int, ...] = (512, 1024)
  blocks: tuple[int, ...] = (2, 2)
  attention_heads: int = 16
  time_features: int = 256
  remat: Literal['none', 'block'] = 'block'

  @property
  def patch(self) -> int:
    """Rows and columns of a latent that become one token."""
    return 2 ** (len(self.channels) - 1)

  @property
  def grid(self) -> tuple[int, int]:
    """Rows and columns of a chunk's tokens."""
    if self.rows % self.patch or self.columns % self.patch:
      raise ValueError(
        f'latents of {self.rows} x {self.columns} cannot be halved '
        f'{len(self.channels) - 1} times: config.model.frames.channels'
      )
    return self.rows // self.patch, self.columns // self.patch

  @property
  def tokens(self) -> int:
    """Tokens of a chunk."""
    return math.prod(self.grid)


class FlowTime(nnx.Module):
  """Flow time as features: sines and cosines, then two layers."""

  def __init__(self, features: int, width: int, *, rngs: nnx.Rngs):
    self.features = features
    self.first = dense.Dense(
      'BNF,FD->BND', (features, width), ('embed_in', None), rngs=rngs
    )
    self.last = dense.Dense(
      'BNF,FD->BND', (width, width), ('embed_in', None), rngs=rngs
    )

  def __call__(self, t: Float[Array, 'B N']) -> Float[Array, 'B N E']:
    """What a coder is told of the flow time of each chunk, fp32."""
    half = self.features // 2
    frequency = 1000.0 ** (-jnp.arange(half) / half) * 1000.0
    angle = t[..., None].astype(jnp.float32) * frequency
    waves = jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
    return self.last(jax.nn.silu(self.first(waves)))


class Positions(nnx.Module):
  """A learned embedding of each row plus one of each column (paper)."""

  def __init__(self, grid: tuple[int, int], width: int, *, rngs: nnx.Rngs):
    self.row, self.column = (
      nnx.Param(
        sharding.place(0.3 * jax.random.normal(rngs.params(), (count, width)))
      )
      for count in grid
    )

  def __call__(self) -> Float[Array, 'Y X D']:
    """Of every place of a chunk, fp32."""
    return self.row[...][:, None] + self.column[...][None]


def of_chunks(x: Float[Array, 'B N Y X D']) -> Float[Array, 'B M D']:
  """Places of chunks as a stream of tokens."""
  return sharding.merged(sharding.merged(x, 2), 1)


def in_chunks(
  tokens: Float[Array, 'B M D'], chunks: int, grid: tuple[int, int]
) -> Float[Array, 'B N Y X D']:
  """The inverse of `of_chunks`."""
  return sharding.unmerged(sharding.unmerged(tokens, 1, chunks), 2, grid[0])
