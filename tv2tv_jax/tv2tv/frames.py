"""Latent chunks to tokens and tokens to velocities: a small U-Net.

Flow time enters here and nowhere else (paper, architecture). The way up gets
the levels of the way down of the same noisy chunk.
"""

from collections.abc import Sequence
import dataclasses
import math

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax import sharding
from tv2tv_jax.nn import conv
from tv2tv_jax.nn import dense
from tv2tv_jax.nn import norm
from tv2tv_jax.nn import resnet

Levels = list[Float[Array, 'B N _ _ _']]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FramesConfig:
  """The shape of the frame coder.

  Attributes:
    rows: of a latent.
    columns: of a latent.
    latent: channels of a latent.
    channels: of each level; a level has half the rows and columns of the one
      before, and the last has one token per place.
    blocks: residual blocks of each level, each way.
    time_features: sines and cosines that flow time becomes.
  """

  rows: int
  columns: int
  latent: int = 16
  channels: tuple[int, ...] = (512, 1024)
  blocks: tuple[int, ...] = (2, 2)
  time_features: int = 256

  @property
  def grid(self) -> tuple[int, int]:
    """Rows and columns of a chunk's tokens."""
    stride = 2 ** (len(self.channels) - 1)
    if self.rows % stride or self.columns % stride:
      raise ValueError(
        f'latents of {self.rows} x {self.columns} cannot be halved '
        f'{len(self.channels) - 1} times: config.model.frames.channels'
      )
    return self.rows // stride, self.columns // stride

  @property
  def tokens(self) -> int:
    """Tokens of a chunk."""
    return math.prod(self.grid)


class FrameCoder(nnx.Module):
  """The U-Net around the transformer, one chunk at a time."""

  def __init__(self, config: FramesConfig, width: int, *, rngs: nnx.Rngs):
    c, condition = config.channels, 2 * config.channels[0]
    self.config = config
    self.time_in = dense.Dense(
      'BNF,FD->BND', (config.time_features, condition), (None, None), rngs=rngs
    )
    self.time_out = dense.Dense(
      'BNF,FD->BND', (condition, condition), (None, None), rngs=rngs
    )

    def blocks(level: int, inputs: int) -> nnx.List:
      return nnx.List(
        [
          resnet.ResidualBlock(
            inputs if i == 0 else c[level],
            c[level],
            rngs=rngs,
            condition=condition,
          )
          for i in range(config.blocks[level])
        ]
      )

    levels = range(len(c))
    self.first = conv.Conv2d(config.latent, c[0], rngs=rngs)
    self.down = nnx.List([blocks(i, c[i]) for i in levels])
    self.shrink = nnx.List(
      [
        conv.Conv2d(c[i], c[i + 1], (2, 2), rngs=rngs, stride=2)
        for i in levels[:-1]
      ]
    )
    self.to_tower = conv.Conv2d(c[-1], width, (1, 1), rngs=rngs)
    rows, columns = config.grid
    self.row = nnx.Param(_positions(rngs, rows, width))
    self.column = nnx.Param(_positions(rngs, columns, width))

    self.from_tower = conv.Conv2d(width, c[-1], (1, 1), rngs=rngs)
    self.mix = nnx.List(
      [conv.Conv2d(2 * c[i], c[i], (1, 1), rngs=rngs) for i in levels]
    )
    self.up = nnx.List([blocks(i, c[i]) for i in levels])
    self.grow = nnx.List(
      [conv.Conv2d(c[i + 1], 4 * c[i], (1, 1), rngs=rngs) for i in levels[:-1]]
    )
    self.last_norm = norm.RmsNorm(c[0])
    self.last = conv.Conv2d(c[0], config.latent, rngs=rngs, scale=0.0)

  def time(self, t: Float[Array, 'B N']) -> Float[Array, 'B N E']:
    """What every residual block is told of the flow time."""
    half = self.config.time_features // 2
    frequency = 1000.0 ** (-jnp.arange(half) / half) * 1000.0
    angle = t[..., None].astype(jnp.float32) * frequency
    waves = jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
    return self.time_out(jax.nn.silu(self.time_in(waves)))

  def tokens(
    self, latents: Float[Array, 'B N Y X Z'], t: Float[Array, 'B N']
  ) -> tuple[Float[Array, 'B M D'], Levels]:
    """Tokens of chunks at flow time `t`, and the levels for the way up."""
    condition = self.time(t).astype(latents.dtype)
    h = self.first(latents)
    levels = []
    for i, blocks in enumerate(self.down):
      h = self.shrink[i - 1](h) if i else h
      for block in blocks:
        h = block(h, condition)
      levels.append(h)
    h = self.to_tower(h) + self.row[...][:, None] + self.column[...][None]
    h = h.astype(latents.dtype)
    batch, chunks, rows, columns, width = h.shape
    return h.reshape(batch, chunks * rows * columns, width), levels

  def velocity(
    self,
    tokens: Float[Array, 'B M D'],
    levels: Sequence[Float[Array, 'B N _ _ _']],
    t: Float[Array, 'B N'],
  ) -> Float[Array, 'B N Y X Z']:
    """The velocity that the tower's tokens mean, fp32."""
    condition = self.time(t).astype(tokens.dtype)
    batch, chunks = t.shape
    h = tokens.reshape(batch, chunks, *self.config.grid, -1)
    h = self.from_tower(h)
    for i in reversed(range(len(levels))):
      skip = norm.unit_rms(levels[i]).astype(h.dtype)
      h = self.mix[i](jnp.concatenate([h, skip], axis=-1))
      for block in self.up[i]:
        h = block(h, condition)
      h = _doubled(self.grow[i - 1](h)) if i else h
    return self.last(jax.nn.silu(self.last_norm(h))).astype(jnp.float32)


def _positions(rngs: nnx.Rngs, count: int, width: int) -> jax.Array:
  """A learned embedding of rows or columns."""
  return sharding.place(0.3 * jax.random.normal(rngs.params(), (count, width)))


def _doubled(x: Float[Array, 'B N Y X C']) -> Float[Array, 'B N V U E']:
  """Channels become rows and columns: twice as many, a quarter as deep."""
  batch, chunks, rows, columns, depth = x.shape
  # One split or one merge a reshape: an explicit mesh follows no more.
  x = x.reshape(batch, chunks, rows, columns, 2, depth // 2).swapaxes(3, 4)
  x = x.reshape(batch, chunks, 2 * rows, columns, depth // 2)
  x = x.reshape(batch, chunks, 2 * rows, columns, 2, depth // 4)
  return x.reshape(batch, chunks, 2 * rows, 2 * columns, depth // 4)
