"""Models and VAEs of every kind, small ones."""

import dataclasses

from tests import tiny
from tv2tv_jax.tv2tv import frames
from tv2tv_jax.vae import cosmos
from tv2tv_jax.vae import folds
from tv2tv_jax.vae import wan

VOCABULARY = 300
VAES = {
  'folds': folds.FoldsConfig(
    latent_channels=4,
    encoder_folds=((4, 4, 4),),
    encoder_widths=(8,),
    encoder_depths=(1,),
    decoder_folds=((4, 4, 4),),
    decoder_widths=(8,),
    decoder_depths=(1,),
  ),
  'wan': wan.WanConfig(
    latent_channels=4,
    width=4,
    decoder_width=8,
    multiples=(1, 2),
    halves_time=(True,),
    blocks=1,
  ),
  'cosmos': cosmos.CosmosConfig(
    latent_channels=4,
    encoder_widths=(4, 6, 8),
    decoder_widths=(6, 4, 8),
    blocks=1,
    patch=4,
    resolution=32,
    attention_resolutions=(8,),
  ),
}
_LINEAR = frames.FramesConfig(
  rows=4, columns=4, coder='linear', latent=4, channels=(1, 1), time_features=8
)


def model_config(*, coder='unet', **changes):
  """A model for latents of four channels."""
  base = tiny.config()
  shape = dataclasses.replace(base.frames, latent=4)
  shape = _LINEAR if coder == 'linear' else shape
  return tiny.config(vocabulary=VOCABULARY, frames=shape, **changes)
