r"""TV2TV of 92 M parameters, on recorded Doom of 128 x 96, on one GPU.

  python -m launch.train --config configs/doom_100m.py --workdir DIR \
      --config.sources.latents=LATENTS --config.sources.vae=VAE_WORKDIR \
      --config.sources.tokenizer=TOKENIZER.model

The preset `100m` with the picture of `launch.record --size 128x96`; rows are
twice as long as those of configs/doom.py. No GPU has trained it yet, so there
is nothing to expect but memory: 20.1 GiB by the formula of `launch.compile
--config configs/doom_100m.py --topology h200`.
"""

import dataclasses

from ml_collections import config_dict

from configs import schema
from data_pipelines import stories
from tv2tv_jax import config
from tv2tv_jax.sample import settings
from tv2tv_jax.train import loop
from tv2tv_jax.train import objective
from tv2tv_jax.train import optimizer
from tv2tv_jax.tv2tv import presets


def get_config() -> config_dict.ConfigDict:
  """What a day of one GPU trains."""
  model = presets.preset('100m')
  frames = dataclasses.replace(model.frames, rows=12, columns=16)
  return config.to_config_dict(
    schema.StoryRun(
      sources=schema.Sources(),
      data=stories.StoriesConfig(
        chunks=17, text_length=192, batch=64, workers=8
      ),
      model=dataclasses.replace(model, frames=frames),
      objective=objective.ObjectiveConfig(text_weight=0.1, film_start=False),
      train=loop.TrainConfig(
        steps=60_000,
        evaluate_every=2000,
        save_every=2000,
        keep=2,
        ema=0.999,
        optimizer=optimizer.OptimizerConfig(
          rate=6e-4,
          warmup=1000,
          shape='linear',
          decay_from=0.6,
          final=0.01,
          beta2=0.98,
          weight_decay=0.05,
        ),
      ),
      sample=settings.SampleConfig(
        steps=20,
        guidance=3.0,
        window=17,
        kept=9,
        prompt_budget=16,
        words_budget=12,
        lanes=16,
      ),
    )
  )
