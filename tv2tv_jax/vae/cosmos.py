"""The family of Cosmos' video VAEs, so that their public weights fit.

Wavelets first, then a pyramid of convolutions factored into space and time,
with attention over space and over time in the middle. Before a clip its first
frame has always been there. Shape after `AutoencoderKLCosmos` of diffusers (the
referee in tests); paper: arXiv 2501.03575, section 3.
"""

import dataclasses
import functools
import math
from typing import Literal

from flax import nnx
from jaxtyping import Array, Float

from tv2tv_jax.nn import causal_conv
from tv2tv_jax.nn import conv
from tv2tv_jax.nn import norm
from tv2tv_jax.nn import resnet
from tv2tv_jax.vae import attention
from tv2tv_jax.vae import chain
from tv2tv_jax.vae import fold
from tv2tv_jax.vae import patches


@dataclasses.dataclass(frozen=True, kw_only=True)
class CosmosConfig:
  """A VAE of Cosmos' family; the defaults are those of CV4x8x8.

  It has no variance: `Vae.encode` gives `log_variance=None`.

  Attributes:
    family: tells the families of VAEs apart.
    channels: of a frame.
    latent_channels: of a latent.
    patch: frames, rows and columns that are packed first: a power of two.
    patching: 'haar' wavelets, or pixels as they are.
    encoder_widths: channels of the stem and of each level.
    decoder_widths: the same of the decoder, in the encoder's order.
    blocks: residual blocks of an encoder level; the decoder has one more.
    time_stride: frames that become one latent.
    space_stride: rows, and columns, that become one latent pixel.
    resolution: rows of the pictures that the VAE was made for; says which
      levels attend, together with:
    attention_resolutions: rows of the levels with attention. The middle always
      attends.
    memory: latents that attention over time remembers (choice: training saw
      fewer). As long as a clip has no more, streaming sees all of it.
    lowering: how causal convolutions are computed, see nn/causal_conv.py.
  """

  family: Literal['cosmos'] = 'cosmos'
  channels: int = 3
  latent_channels: int = 16
  patch: int = 2
  patching: patches.Patching = 'haar'
  encoder_widths: tuple[int, ...] = (128, 256, 512, 512)
  decoder_widths: tuple[int, ...] = (256, 512, 512, 512)
  blocks: int = 2
  time_stride: int = 4
  space_stride: int = 8
  resolution: int = 1024
  attention_resolutions: tuple[int, ...] = (32,)
  memory: int = 32
  lowering: causal_conv.Lowering = 'auto'

  def __post_init__(self):
    for name in ('patch', 'time_stride', 'space_stride'):
      value = getattr(self, name)
      if value < 1 or value & (value - 1):
        raise ValueError(f'vae.{name} is {value}: give a power of two')
      if value < self.patch:
        raise ValueError(f'vae.{name} is {value}, vae.patch {self.patch}: more')
    for name in ('encoder_widths', 'decoder_widths'):
      steps = len(getattr(self, name)) - 2
      if steps < max(self._halvings):
        raise ValueError(
          f'vae.{name} has {steps + 2} widths, which makes {steps} steps of '
          f'resolution; the strides need {max(self._halvings)}'
        )
    if self._ups != self._halvings:
      raise ValueError(
        f'vae.decoder_widths gives {self._ups} doublings of (time, space), '
        f'the strides need {self._halvings}: the published rule leaves no '
        'place for them'
      )

  @property
  def stride(self) -> fold.Size:
    """Frames, rows and columns that one latent pixel stands for."""
    return self.time_stride, self.space_stride, self.space_stride

  def encoder(self, *, rngs: nnx.Rngs) -> chain.Chain:
    """Frames to latents."""
    conv3 = self._conv
    first, *outs = self.encoder_widths
    layers = {
      'patches': patches.Patches(self.patch, self.patching),
      'stem': conv3(self.channels * self.patch**3, first, rngs=rngs),
    }
    width, rows, behind = first, self.resolution // self.patch, self.patch
    times, spaces = self._halvings
    for level, out in enumerate(outs):
      layers |= self._level(
        level, width, out, self.blocks, rows, self._frames(behind), rngs
      )
      width = out
      if level < len(outs) - 1:
        time, space = level < times, level < spaces
        if time or space:
          layers[f'down_{level}'] = Down(out, time, space, rngs=rngs)
        rows, behind = rows // 2, behind * (1 + time)
    layers |= self._middle(width, rngs)
    layers['head'] = chain.Head(
      norm.PictureNorm(width), conv3(width, self.latent_channels, rngs=rngs)
    )
    layers['last'] = self._last(rngs)
    return chain.Chain(**layers)

  def decoder(self, *, rngs: nnx.Rngs) -> chain.Chain:
    """Latents to frames."""
    conv3 = self._conv
    first, *outs = self.decoder_widths[::-1]
    layers = {
      'first': self._last(rngs),
      'stem': conv3(self.latent_channels, first, rngs=rngs),
    }
    layers |= self._middle(first, rngs)
    width, behind = first, self.time_stride
    rows = (self.resolution // self.patch) >> (len(outs) - 1)
    for level, out in enumerate(outs):
      layers |= self._level(
        level, width, out, self.blocks + 1, rows, self._frames(behind), rngs
      )
      width = out
      time, space = self._up(level)
      if time or space:
        layers[f'up_{level}'] = Up(out, time, space, rngs=rngs)
      rows, behind = rows * 2, behind // (1 + time)
    layers['head'] = chain.Head(
      norm.PictureNorm(width),
      conv3(width, self.channels * self.patch**3, rngs=rngs),
    )
    layers['pixels'] = patches.Pixels(self.patch, self.patching)
    return chain.Chain(**layers)

  @property
  def _halvings(self) -> tuple[int, int]:
    """How often (time, space) is halved after the patches."""
    return tuple(
      int(math.log2(stride // self.patch))
      for stride in (self.time_stride, self.space_stride)
    )

  @property
  def _ups(self) -> tuple[int, int]:
    """How often the decoder doubles (time, space)."""
    levels = range(len(self.decoder_widths) - 1)
    return tuple(
      sum(self._up(level)[axis] for level in levels) for axis in (0, 1)
    )

  def _up(self, level: int) -> tuple[bool, bool]:
    """Whether a decoder level doubles time, and space: the published rule."""
    times, spaces = self._halvings
    if level >= len(self.decoder_widths) - 2:
      return False, False
    time = 0 < level < times + 1
    return time, time or (level < spaces and spaces > times)

  def _frames(self, behind: int) -> int:
    """Frames to remember where a latent is `time_stride / behind` of them."""
    return self.memory * self.time_stride // behind

  @property
  def _conv(self):
    """What makes a convolution."""
    config = causal_conv.ConvConfig(lowering=self.lowering)
    return functools.partial(causal_conv.FactoredConv3d, config=config)

  def _last(self, rngs: nnx.Rngs) -> nnx.Module:
    """A matrix for latents."""
    size = self.latent_channels
    return causal_conv.CausalConv3d(size, size, (1, 1, 1), rngs=rngs)

  def _block(self, inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Module:
    """A residual block of two factored convolutions."""
    return resnet.CausalResidualBlock(
      inputs,
      outputs,
      convolutions=(self._conv, self._conv),
      norm=norm.PictureNorm,
      rngs=rngs,
    )

  def _attention(
    self, width: int, frames: int, name: str, rngs: nnx.Rngs
  ) -> dict[str, nnx.Module]:
    """Attention over space, then over time."""
    return {
      f'space_{name}': attention.PictureAttention(
        width, norm.PictureNorm, rngs=rngs
      ),
      f'time_{name}': attention.TimeAttention(
        width, norm.PictureNorm, frames, rngs=rngs
      ),
    }

  def _level(
    self,
    level: int,
    inputs: int,
    outputs: int,
    count: int,
    rows: int,
    frames: int,
    rngs: nnx.Rngs,
  ) -> dict[str, nnx.Module]:
    """The residual blocks of a level, with attention if it is of those."""
    layers = {}
    for number in range(count):
      name = f'{level}_{number}'
      layers[f'block_{name}'] = self._block(
        outputs if number else inputs, outputs, rngs
      )
      if rows in self.attention_resolutions:
        layers |= self._attention(outputs, frames, name, rngs)
    return layers

  def _middle(self, width: int, rngs: nnx.Rngs) -> dict[str, nnx.Module]:
    """What runs at the latents' resolution."""
    return {
      'middle_0': self._block(width, width, rngs),
      **self._attention(width, self.memory, 'middle', rngs),
      'middle_1': self._block(width, width, rngs),
    }


class Down(nnx.Module):
  """Half the frames, half the rows and columns, or both."""

  def __init__(self, width: int, time: bool, space: bool, *, rngs: nnx.Rngs):
    if space:
      self.space = conv.Conv2d(width, width, stride=2, rngs=rngs)
    if time:
      self.time = causal_conv.CausalConv3d(
        width, width, (3, 1, 1), stride=2, rngs=rngs
      )
    self.last = conv.Conv2d(width, width, (1, 1), rngs=rngs)

  def __call__(
    self, x: Float[Array, 'B T Y X D'], past: chain.Past = None
  ) -> tuple[Float[Array, 'B N V U D'], chain.Past]:
    """Runs on a chunk: a mean, plus what a convolution adds to it."""
    if hasattr(self, 'space'):
      x = self.space(x) + fold.mean(x, (1, 2, 2), begins=False)
    new = ()
    if hasattr(self, 'time'):
      y, new = self.time(x, past)
      x = y + fold.mean(x, (2, 1, 1), begins=past is None)
    return self.last(x), new


class Up(nnx.Module):
  """Twice the frames, twice the rows and columns, or both."""

  def __init__(self, width: int, time: bool, space: bool, *, rngs: nnx.Rngs):
    if time:
      self.time = causal_conv.CausalConv3d(width, width, (3, 1, 1), rngs=rngs)
    if space:
      self.space = conv.Conv2d(width, width, rngs=rngs)
    self.last = conv.Conv2d(width, width, (1, 1), rngs=rngs)

  def __call__(
    self, x: Float[Array, 'B N V U D'], past: chain.Past = None
  ) -> tuple[Float[Array, 'B T Y X D'], chain.Past]:
    """Runs on a chunk: nearest neighbours, plus what a convolution adds."""
    new = ()
    if hasattr(self, 'time'):
      x = fold.repeated(x, begins=past is None)
      y, new = self.time(x, past)
      x = x + y
    if hasattr(self, 'space'):
      x = fold.nearest(x)
      x = x + self.space(x)
    return self.last(x), new
