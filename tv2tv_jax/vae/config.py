"""The shape of a causal video VAE."""

import dataclasses

from tv2tv_jax.nn import causal_conv

Fold = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeConfig:
  """Levels of an encoder and a decoder, each with its own width and depth.

  An encoder level first packs `fold = (t, y, x)` frames, rows and columns into
  channels, then runs `depth` causal residual blocks of `width` channels. A
  decoder level runs its blocks, then unpacks its fold; a fold of (1, 1, 1)
  only changes the width. The products of both
  lists of folds are the strides of the VAE. One level with the whole stride
  runs everything at latent resolution (the demo: fastest on CPU); four levels
  of small folds are the pyramid of Wan and Cosmos.

  Attributes:
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
  lowering: causal_conv.Lowering = 'planes'

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
  def stride(self) -> Fold:
    """Frames, rows and columns that one latent pixel stands for."""
    return _stride(self.encoder_folds)


def _stride(folds: tuple[Fold, ...]) -> Fold:
  """The product of `folds` per axis."""
  total = (1, 1, 1)
  for fold in folds:
    total = tuple(a * b for a, b in zip(total, fold, strict=True))
  return total
