r"""Going on with Wan 2.1's public VAE, on film of one's own.

  python -m launch.convert wan-vae WAN_FOLDER --out WAN
  python -m launch.train_vae --config configs/wan_vae.py --workdir DIR \
      --config.weights=WAN --config.data.records=RECORDS

WAN_FOLDER is diffusers' `vae` folder of Wan 2.1. For an accelerator: the VAE
has 127M parameters, and a step sees 17 frames of a clip in fp32. Frames are
multiples of 8 pixels. Not trained here; the values are a cautious start: a
small rate, no adversary in the first quarter.

A network for the perceptual part of the loss is somebody's own module, on the
path of Python, here with the pictures' VGG features:

      --config.loss.features=my_package.vgg:features \
      --config.loss.perceptual=0.1

`--config.adversary.weight=0` leaves the adversary out. For Cosmos' VAE:
`launch.convert cosmos-vae`, and a config with `vae=cosmos.CosmosConfig()`.
"""

from ml_collections import config_dict

from tv2tv_jax import config
from tv2tv_jax.train import adversary
from tv2tv_jax.train import loop
from tv2tv_jax.train import optimizer
from tv2tv_jax.train import vae as run
from tv2tv_jax.vae import wan


def get_config() -> config_dict.ConfigDict:
  """Wan 2.1's shape; every part of the loss but the network's."""
  return config.to_config_dict(
    run.VaeRun(
      data=run.VaeData(
        chunks=4,
        batch=8,
        images=0.2,
        image_batch=64,
        statistics=512,
        held_out=64,
      ),
      vae=wan.WanConfig(),
      loss=run.VaeLossConfig(
        absolute=1.0, squared=0.0, edges=0.5, scales=3, kl=3e-6
      ),
      adversary=adversary.AdversaryConfig(
        weight=0.02, start=0.25, ramp=0.1, rate=4.0, width=64, depth=4
      ),
      train=loop.TrainConfig(
        steps=20_000,
        log_every=50,
        evaluate_every=1000,
        save_every=1000,
        ema=0.9995,
        optimizer=optimizer.OptimizerConfig(
          rate=2e-5, warmup=500, final=0.1, beta2=0.99, weight_decay=0.0
        ),
      ),
    )
  )
