r"""A causal VAE for recorded Doom of 64 x 48, on two CPU cores.

  python -m launch.train_vae --config configs/doom_vae.py --workdir DIR \
      --config.data.records=RECORDS

Expect, on 30 minutes of play and two cores of a Xeon: 27.2 dB on held-out clips
after 1,500 steps in 188 s, 221 s in all; it starts from principal components
at 25.2 dB. Looked at: rooms, pillars, sky edges and the weapon are in place,
the weapon crisp, the rest soft; far lamps and small figures are smears.
"""

from ml_collections import config_dict

from tv2tv_jax import config
from tv2tv_jax.train import loop
from tv2tv_jax.train import optimizer
from tv2tv_jax.train import vae as run
from tv2tv_jax.vae import folds


def get_config() -> config_dict.ConfigDict:
  """Everything runs at latent resolution, where convolutions are fastest."""
  return config.to_config_dict(
    run.VaeRun(
      data=run.VaeData(chunks=3, batch=4),
      vae=folds.FoldsConfig(
        encoder_folds=((4, 8, 8),),
        encoder_widths=(128,),
        encoder_depths=(2,),
        decoder_folds=((4, 8, 8),),
        decoder_widths=(128,),
        decoder_depths=(4,),
        taps=2,
      ),
      loss=run.VaeLossConfig(absolute=0.5, squared=2.0, edges=0.3, kl=1e-4),
      train=loop.TrainConfig(
        steps=1500,
        minutes=3.4,
        evaluate_every=500,
        save_every=500,
        keep=2,
        ema=0.99,
        optimizer=optimizer.OptimizerConfig(
          rate=1.5e-3,
          warmup=40,
          shape='cosine',
          final=0.02,
          beta2=0.99,
          weight_decay=0.0,
        ),
      ),
    )
  )
