r"""The paper's sports model: 8B a tower, film of 448 x 256 at 16 fps.

  python -m launch.train --config configs/sports_8b.py --workdir DIR \
      --config.sources.latents=LATENTS --config.sources.vae=VAE_WORKDIR \
      --config.sources.tokenizer=LLAMA --config.sources.text_tower=LLAMA

Latents of 32 x 56, 448 tokens a chunk. A row is a story of 32 chunks, 7.8 s,
in which something is said every 1.9 s: BOS, 32 BOF, 32 EOF and EOS take 66 of
384 text tokens, four captions of about 40 another 160, which leaves 158 for the
prompt and for captions that are longer.

Batch and steps are the paper's. Open in it, and chosen: the size of the
picture, the optimizer, which is Transfusion's, and when a checkpoint is kept.

Which slice of which chip holds it, in how many parts of a batch, and what to
expect of a step there:

  python -m launch.compile --config configs/sports_8b.py --topology v5p:4x4x8

and launch/recipes/sports_8b.md.
"""

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
  """8B text, 8B video; 250K batches of 512 rows."""
  return config.to_config_dict(
    schema.StoryRun(
      sources=schema.Sources(),
      data=stories.StoriesConfig(
        chunks=32, text_length=384, batch=512, oversize='leave_out', workers=8
      ),
      model=presets.preset('8b'),
      objective=objective.ObjectiveConfig(film_start=False),
      train=loop.TrainConfig(
        steps=250_000,
        accumulate=4,
        log_every=10,
        evaluate_every=1000,
        save_every=500,
        keep=3,
        keep_every=25_000,
        ema=0.9999,
        optimizer=optimizer.OptimizerConfig(
          rate=3e-4,
          warmup=4000,
          shape='cosine',
          final=0.05,
          beta1=0.9,
          beta2=0.95,
          weight_decay=0.1,
          clip=1.0,
        ),
      ),
      sample=settings.SampleConfig(
        window=32, kept=16, prompt_budget=128, words_budget=64
      ),
      held_out=512,
    )
  )
