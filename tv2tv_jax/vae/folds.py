"""Our own family: levels of packing and causal residual blocks.

Everything is a field: one level with the whole stride runs everything at the
latents' resolution (the demo: fastest on CPU), four levels of small folds make
a pyramid. A choice, see DECISIONS.md.
"""

import dataclasses
import functools
from typing import Literal

from flax import nnx
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax.nn import causal_conv
from tv2tv_jax.nn import norm
from tv2tv_jax.nn import resnet
from tv2tv_jax.vae import chain
from tv2tv_jax.vae import fold
from tv2tv_jax.vae import linear

# Log-variances start here, near certainty.
_LOG_VARIANCE = -5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoldsConfig:
  """Levels of an encoder and a decoder, each with its own width and depth.

  An encoder level first packs `fold = (t, y, x)` frames, rows and columns into
  channels, then runs `depth` causal residual blocks of `width` channels. A
  decoder level runs its blocks, then unpacks its fold; a fold of (1, 1, 1)
  only changes the width. The products of both lists of folds are the strides
  of the VAE.

  Attributes:
    family: tells the families of VAEs apart.
    channels: of a frame.
    latent_channels: of a latent.
    encoder_folds: (t, y, x) per level, from frames to latents.
    encoder_widths: channels per level.
    encoder_depths: residual blocks per level.
    decoder_folds: (t, y, x) per level, from latents to frames.
    decoder_widths: channels per level.
    decoder_depths: residual blocks per level.
    taps: frames that a causal convolution sees, itself included.
    linear_path: whether a linear map of whole folds runs beside the nets, so
      that they only learn what it leaves (choice: started from principal
      components it is a fair VAE at step 0; see linear.py).
    lowering: how causal convolutions are computed, see nn/causal_conv.py.
  """

  family: Literal['folds'] = 'folds'
  channels: int = 3
  latent_channels: int = 16
  encoder_folds: tuple[tuple[int, ...], ...] = ((4, 8, 8),)
  encoder_widths: tuple[int, ...] = (128,)
  encoder_depths: tuple[int, ...] = (2,)
  decoder_folds: tuple[tuple[int, ...], ...] = ((2, 2, 2), (2, 4, 4))
  decoder_widths: tuple[int, ...] = (128, 48)
  decoder_depths: tuple[int, ...] = (3, 0)
  taps: int = 2
  linear_path: bool = True
  lowering: causal_conv.Lowering = 'auto'

  def __post_init__(self):
    for side in ('encoder', 'decoder'):
      folds = getattr(self, f'{side}_folds')
      for field in ('widths', 'depths'):
        count = len(getattr(self, f'{side}_{field}'))
        if count != len(folds):
          raise ValueError(
            f'vae.{side}_{field} has {count} levels, vae.{side}_folds has '
            f'{len(folds)}: give one value per level'
          )
      if not folds or any(len(fold) != 3 or min(fold) < 1 for fold in folds):
        raise ValueError(
          f'vae.{side}_folds is {folds}: give (t, y, x) of at least 1 per level'
        )
    if _stride(self.decoder_folds) != self.stride:
      raise ValueError(
        f'vae.decoder_folds unpack {_stride(self.decoder_folds)}, '
        f'vae.encoder_folds pack {self.stride}: make their products equal'
      )

  @property
  def stride(self) -> fold.Size:
    """Frames, rows and columns that one latent pixel stands for."""
    return _stride(self.encoder_folds)

  def encoder(self, *, rngs: nnx.Rngs) -> nnx.Module:
    """Frames to means and log-variances side by side."""
    layers, width = {}, self.channels
    for level, (size, out, depth) in enumerate(
      zip(
        self.encoder_folds,
        self.encoder_widths,
        self.encoder_depths,
        strict=True,
      )
    ):
      packed = width * size[0] * size[1] * size[2]
      layers[f'fold_{level}'] = fold.Fold(size)
      layers[f'stem_{level}'] = self._conv(1, 1)(packed, out, rngs=rngs)
      layers |= self._blocks(level, out, depth, rngs)
      width = out
    layers['head'] = chain.Head(
      norm.RmsNorm(width),
      self._conv(1, 3)(width, 2 * self.latent_channels, rngs=rngs, scale=0.1),
    )
    bias = layers['head'].conv.bias
    bias[...] = bias[...].at[self.latent_channels :].set(_LOG_VARIANCE)
    nets = chain.Chain(**layers)
    return _InwardBeside(nets, self, rngs) if self.linear_path else nets

  def decoder(self, *, rngs: nnx.Rngs) -> nnx.Module:
    """Latents to frames."""
    first, *rest = self.decoder_widths
    stem = self._conv(self.taps, 3)(self.latent_channels, first, rngs=rngs)
    layers = {'stem': stem}
    outs = [*rest, self.channels]
    for level, (size, width, depth, out) in enumerate(
      zip(
        self.decoder_folds,
        self.decoder_widths,
        self.decoder_depths,
        outs,
        strict=True,
      )
    ):
      layers |= self._blocks(level, width, depth, rngs)
      packed = out * size[0] * size[1] * size[2]
      last = level == len(outs) - 1
      layers[f'head_{level}'] = chain.Head(
        norm.RmsNorm(width),
        self._conv(1, 3 if last else 1)(
          width,
          packed,
          rngs=rngs,
          scale=0.03 if last and self.linear_path else 1.0,
        ),
      )
      layers[f'unfold_{level}'] = fold.Unfold(size)
    nets = chain.Chain(**layers)
    return _OutwardBeside(nets, self, rngs) if self.linear_path else nets

  def _conv(self, taps: int, size: int):
    """What makes a convolution of so many frames, and rows and columns."""
    return functools.partial(
      causal_conv.CausalConv3d,
      kernel=(taps, size, size),
      config=causal_conv.ConvConfig(lowering=self.lowering),
    )

  def _blocks(
    self, level: int, width: int, depth: int, rngs: nnx.Rngs
  ) -> dict[str, nnx.Module]:
    """The residual blocks of a level: the first convolution sees the past."""
    return {
      f'block_{level}_{number}': resnet.CausalResidualBlock(
        width,
        width,
        convolutions=(self._conv(self.taps, 3), self._conv(1, 3)),
        norm=norm.RmsNorm,
        rngs=rngs,
      )
      for number in range(depth)
    }


class _InwardBeside(nnx.Module):
  """An encoder whose means are added to those of a linear map."""

  def __init__(self, nets: chain.Chain, config: FoldsConfig, rngs: nnx.Rngs):
    self.nets = nets
    self.linear = linear.Inward(
      config.stride, config.channels, config.latent_channels, rngs=rngs
    )

  def __call__(
    self, frames: Float[Array, 'B T Y X C'], past: chain.Past = None
  ) -> tuple[Float[Array, 'B N V U K'], chain.Past]:
    """Means and log-variances of a chunk."""
    packed, new = self.nets(frames, past)
    mean, log_variance = jnp.split(packed, 2, axis=-1)
    mean = mean + self.linear(frames, begins=past is None)
    return jnp.concatenate([mean, log_variance], axis=-1), new


class _OutwardBeside(nnx.Module):
  """A decoder whose frames are added to those of a linear map."""

  def __init__(self, nets: chain.Chain, config: FoldsConfig, rngs: nnx.Rngs):
    self.nets = nets
    self.linear = linear.Outward(
      config.stride, config.channels, config.latent_channels, rngs=rngs
    )

  def __call__(
    self, latents: Float[Array, 'B N V U Z'], past: chain.Past = None
  ) -> tuple[Float[Array, 'B T Y X C'], chain.Past]:
    """Frames of a chunk."""
    frames, new = self.nets(latents, past)
    return frames + self.linear(latents, begins=past is None), new


def _stride(folds: tuple[fold.Size, ...]) -> fold.Size:
  """The product of `folds` per axis."""
  total = (1, 1, 1)
  for size in folds:
    total = tuple(a * b for a, b in zip(total, size, strict=True))
  return total
