"""The U-Net around the transformer.

The way up gets the levels of the way down of the same noisy chunk; the last
convolution starts at zero, so that a new model predicts no velocity. Sizes by
default: MADFormer's, the nearest published relative (open in the paper).
"""

from collections.abc import Sequence
import functools
import itertools

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax.nn import conv
from tv2tv_jax.nn import norm
from tv2tv_jax.nn import resnet
from tv2tv_jax.nn import self_attention
from tv2tv_jax.tv2tv import frames

Levels = list[Float[Array, 'B N _ _ _']]


class UNet(nnx.Module):
  """Down to tokens, and up again to velocities, one chunk at a time."""

  def __init__(
    self, config: frames.FramesConfig, width: int, *, rngs: nnx.Rngs
  ):
    c, condition = config.channels, 2 * config.channels[0]
    convolution = functools.partial(conv.Conv2d, rngs=rngs, axis='embed_in')
    self.config = config
    self.time = frames.FlowTime(config.time_features, condition, rngs=rngs)

    def blocks(level: int, inputs: int) -> nnx.List:
      return nnx.List(
        [
          resnet.ResidualBlock(
            inputs if i == 0 else c[level],
            c[level],
            rngs=rngs,
            condition=condition,
            axis='embed_in',
          )
          for i in range(config.blocks[level])
        ]
      )

    def looks(level: int) -> nnx.List:
      count = config.blocks[level] if level == len(c) - 1 else 0
      heads = config.attention_heads
      return nnx.List(
        [
          self_attention.SelfAttention(
            c[level], heads, rngs=rngs, axis='embed_in'
          )
          for _ in range(count if heads else 0)
        ]
      )

    levels = range(len(c))
    self.first = conv.Conv2d(config.latent, c[0], rngs=rngs)
    self.down = nnx.List([blocks(i, c[i]) for i in levels])
    self.look_down = nnx.List([looks(i) for i in levels])
    self.shrink = nnx.List(
      [convolution(c[i], c[i + 1], (2, 2), stride=2) for i in levels[:-1]]
    )
    self.to_tower = convolution(c[-1], width, (1, 1))
    self.places = frames.Positions(config.grid, width, rngs=rngs)

    self.from_tower = convolution(width, c[-1], (1, 1))
    self.mix = nnx.List([convolution(2 * c[i], c[i], (1, 1)) for i in levels])
    self.up = nnx.List([blocks(i, c[i]) for i in levels])
    self.look_up = nnx.List([looks(i) for i in levels])
    self.grow = nnx.List(
      [convolution(c[i + 1], 4 * c[i], (1, 1)) for i in levels[:-1]]
    )
    self.last_norm = norm.RmsNorm(c[0])
    self.last = convolution(c[0], config.latent, scale=0.0)

  def tokens(
    self, latents: Float[Array, 'B N Y X Z'], t: Float[Array, 'B N']
  ) -> tuple[Float[Array, 'B N V U D'], Levels]:
    """Tokens of chunks at flow time `t`, and the levels for the way up."""
    condition = self.time(t).astype(latents.dtype)
    h = self.first(latents)
    levels = []
    for i, blocks in enumerate(self.down):
      h = self.shrink[i - 1](h) if i else h
      h = self._through(h, condition, blocks, self.look_down[i])
      levels.append(h)
    h = (self.to_tower(h) + self.places()).astype(latents.dtype)
    return h, levels

  def velocity(
    self,
    tokens: Float[Array, 'B M D'],
    levels: Sequence[Float[Array, 'B N _ _ _']],
    t: Float[Array, 'B N'],
  ) -> Float[Array, 'B N Y X Z']:
    """The velocity that the tower's tokens mean, fp32."""
    condition = self.time(t).astype(tokens.dtype)
    h = frames.in_chunks(tokens, t.shape[1], self.config.grid)
    h = self.from_tower(h)
    for i in reversed(range(len(levels))):
      skip = norm.unit_rms(levels[i]).astype(h.dtype)
      h = self.mix[i](jnp.concatenate([h, skip], axis=-1))
      h = self._through(h, condition, self.up[i], self.look_up[i])
      h = _doubled(self.grow[i - 1](h)) if i else h
    return self.last(jax.nn.silu(self.last_norm(h))).astype(jnp.float32)

  def _through(
    self,
    h: Float[Array, 'B N Y X C'],
    condition: Float[Array, 'B N E'],
    blocks: nnx.List,
    looks: nnx.List,
  ) -> Float[Array, 'B N Y X C']:
    """A level: residual blocks, each with a look around if it has any."""

    def through(h, condition, block, look):
      h = block(h, condition)
      return look(h) if look else h

    if self.config.remat == 'block':
      through = jax.checkpoint(through)
    for block, look in itertools.zip_longest(blocks, looks):
      h = through(h, condition, block, look)
    return h


def _doubled(x: Float[Array, 'B N Y X C']) -> Float[Array, 'B N V U E']:
  """Channels become rows and columns: twice as many, a quarter as deep."""
  batch, chunks, rows, columns, depth = x.shape
  # One split or one merge a reshape: an explicit mesh follows no more.
  x = x.reshape(batch, chunks, rows, columns, 2, depth // 2).swapaxes(3, 4)
  x = x.reshape(batch, chunks, 2 * rows, columns, depth // 2)
  x = x.reshape(batch, chunks, 2 * rows, columns, 2, depth // 4)
  return x.reshape(batch, chunks, 2 * rows, 2 * columns, depth // 4)
