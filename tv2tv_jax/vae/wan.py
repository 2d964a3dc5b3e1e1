"""The family of Wan 2.1's VAE, so that its public weights fit.

A pyramid: each level doubles rows and columns, some double frames. Before a
clip there are zeros, and the first frame, which stands alone, skips whatever
joins or splits frames. Shape after `AutoencoderKLWan` of diffusers (the
referee in tests); technical report: arXiv 2503.20314, section 4.1.
"""

import dataclasses
import functools
from typing import Literal

from flax import nnx
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax.nn import causal_conv
from tv2tv_jax.nn import conv
from tv2tv_jax.nn import norm
from tv2tv_jax.nn import resnet
from tv2tv_jax.vae import attention
from tv2tv_jax.vae import chain
from tv2tv_jax.vae import fold

# The published norm divides by the length of a vector, never below 1e-12.
_EPSILON = 1e-12


@dataclasses.dataclass(frozen=True, kw_only=True)
class WanConfig:
  """A VAE of Wan's family; the defaults are Wan 2.1's.

  Attributes:
    family: tells the families of VAEs apart.
    channels: of a frame.
    latent_channels: of a latent.
    width: channels of the encoder's first level.
    decoder_width: channels of the decoder's last level.
    multiples: of the width, per level of the encoder.
    halves_time: whether a level of the encoder joins frames by twos, for all
      levels but the last.
    blocks: residual blocks of an encoder level; the decoder has one more.
    lowering: how causal convolutions are computed, see nn/causal_conv.py.
  """

  family: Literal['wan'] = 'wan'
  channels: int = 3
  latent_channels: int = 16
  width: int = 96
  decoder_width: int = 96
  multiples: tuple[int, ...] = (1, 2, 4, 4)
  halves_time: tuple[bool, ...] = (False, True, True)
  blocks: int = 2
  lowering: causal_conv.Lowering = 'auto'

  def __post_init__(self):
    if len(self.halves_time) != len(self.multiples) - 1:
      raise ValueError(
        f'vae.halves_time has {len(self.halves_time)} levels, vae.multiples '
        f'has {len(self.multiples)}: the last level halves nothing'
      )

  @property
  def stride(self) -> fold.Size:
    """Frames, rows and columns that one latent pixel stands for."""
    space = 2 ** len(self.halves_time)
    return 2 ** sum(self.halves_time), space, space

  def encoder(self, *, rngs: nnx.Rngs) -> chain.Chain:
    """Frames to means and log-variances side by side."""
    conv3 = self._conv
    widths = [self.width * multiple for multiple in (1, *self.multiples)]
    layers = {'stem': conv3(self.channels, widths[0], rngs=rngs)}
    for level, out in enumerate(widths[1:]):
      layers |= self._level(level, widths[level], out, self.blocks, rngs)
      if level < len(self.halves_time):
        layers[f'down_{level}'] = Down(
          out, self.halves_time[level], self._common, rngs=rngs
        )
    layers |= self._middle(widths[-1], rngs)
    packed = 2 * self.latent_channels
    layers['head'] = chain.Head(
      _norm(widths[-1]), conv3(widths[-1], packed, rngs=rngs)
    )
    layers['last'] = conv3(packed, packed, kernel=(1, 1, 1), rngs=rngs)
    return chain.Chain(**layers)

  def decoder(self, *, rngs: nnx.Rngs) -> chain.Chain:
    """Latents to frames."""
    conv3, size = self._conv, self.latent_channels
    outs = [self.decoder_width * each for each in self.multiples[::-1]]
    layers = {
      'first': conv3(size, size, kernel=(1, 1, 1), rngs=rngs),
      'stem': conv3(size, outs[0], rngs=rngs),
    }
    layers |= self._middle(outs[0], rngs)
    width, doubles_time = outs[0], self.halves_time[::-1]
    for level, out in enumerate(outs):
      layers |= self._level(level, width, out, self.blocks + 1, rngs)
      if level < len(doubles_time):
        layers[f'up_{level}'] = Up(
          out, doubles_time[level], self._common, rngs=rngs
        )
        width = out // 2
    layers['head'] = chain.Head(
      _norm(outs[-1]), conv3(outs[-1], self.channels, rngs=rngs)
    )
    return chain.Chain(**layers)

  @property
  def _common(self) -> causal_conv.ConvConfig:
    """What all the convolutions have in common."""
    return causal_conv.ConvConfig(before='zeros', lowering=self.lowering)

  @property
  def _conv(self):
    """What makes a convolution."""
    return functools.partial(causal_conv.CausalConv3d, config=self._common)

  def _block(self, inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Module:
    """A residual block of two 3 x 3 x 3 convolutions."""
    return resnet.CausalResidualBlock(
      inputs,
      outputs,
      convolutions=(self._conv, self._conv),
      norm=_norm,
      rngs=rngs,
    )

  def _level(
    self, level: int, inputs: int, outputs: int, count: int, rngs: nnx.Rngs
  ) -> dict[str, nnx.Module]:
    """The residual blocks of a level."""
    return {
      f'block_{level}_{number}': self._block(
        outputs if number else inputs, outputs, rngs
      )
      for number in range(count)
    }

  def _middle(self, width: int, rngs: nnx.Rngs) -> dict[str, nnx.Module]:
    """What runs at the latents' resolution."""
    return {
      'middle_0': self._block(width, width, rngs),
      'attention': attention.PictureAttention(width, _norm, rngs=rngs),
      'middle_1': self._block(width, width, rngs),
    }


class Down(nnx.Module):
  """Half the rows and columns, and half the frames where `time` says so."""

  def __init__(
    self,
    width: int,
    time: bool,
    config: causal_conv.ConvConfig,
    *,
    rngs: nnx.Rngs,
  ):
    self.space = conv.Conv2d(width, width, stride=2, rngs=rngs)
    if time:
      self.time = causal_conv.CausalConv3d(
        width, width, (3, 1, 1), stride=2, rngs=rngs, config=config
      )

  def __call__(
    self, x: Float[Array, 'B T Y X D'], past: chain.Past = None
  ) -> tuple[Float[Array, 'B N V U D'], chain.Past]:
    """Runs on a chunk; a clip's first frame is joined with none."""
    x = self.space(x)
    if not hasattr(self, 'time'):
      return x, ()
    if past is not None:
      return self.time(x, past)
    first = x[:, :1]
    if x.shape[1] == 1:
      return first, first
    rest, past = self.time(x[:, 1:], first)
    return jnp.concatenate([first, rest], axis=1), past


class Up(nnx.Module):
  """Twice the rows and columns, twice the frames where `time` says so.

  Half the channels are left.
  """

  def __init__(
    self,
    width: int,
    time: bool,
    config: causal_conv.ConvConfig,
    *,
    rngs: nnx.Rngs,
  ):
    if time:
      self.time = causal_conv.CausalConv3d(
        width, 2 * width, (3, 1, 1), rngs=rngs, config=config
      )
    self.space = conv.Conv2d(width, width // 2, rngs=rngs)

  def __call__(
    self, x: Float[Array, 'B N V U D'], past: chain.Past = None
  ) -> tuple[Float[Array, 'B T Y X E'], chain.Past]:
    """Runs on a chunk; a clip's first frame stays one, and is not seen."""
    if not hasattr(self, 'time'):
      return self.space(fold.nearest(x)), ()
    if past is not None:
      x, past = self._split(x, past)
    else:
      first, rest = x[:, :1], x[:, 1:]
      past = jnp.concatenate([jnp.zeros_like(first)] * 2, axis=1)
      if x.shape[1] > 1:
        rest, past = self._split(rest, past)
        x = jnp.concatenate([first, rest], axis=1)
    return self.space(fold.nearest(x)), past

  def _split(
    self, x: Float[Array, 'B N V U D'], past: Float[Array, 'B _ V U D']
  ) -> tuple[Float[Array, 'B T V U D'], Float[Array, 'B _ V U D']]:
    """Two frames of each."""
    y, past = self.time(x, past)
    return fold.unfold(y, (2, 1, 1), begins=False), past


def _norm(width: int) -> norm.RmsNorm:
  return norm.RmsNorm(width, epsilon=_EPSILON)
