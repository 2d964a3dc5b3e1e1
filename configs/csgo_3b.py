r"""The paper's game model: 3B a tower, Counter-Strike of 272 x 144 at 16 fps.

  python -m launch.train --config configs/csgo_3b.py --workdir DIR \
      --config.sources.latents=LATENTS --config.sources.vae=VAE_WORKDIR \
      --config.sources.tokenizer=LLAMA --config.sources.text_tower=LLAMA

Film of 280 x 150 is cut to whole tokens: latents of 18 x 34, 153 tokens a
chunk. A row is a story of 32 chunks, 7.8 s. Before each chunk stands what is
held and how far the mouse goes: BOF, EOF and 10 to 14 tokens of Llama 3, so
that 640 text tokens leave 18 for the words of a chunk on average.

The batch is the paper's. Open in it, and chosen: the optimizer, which is
Transfusion's, the number of steps, and when a checkpoint is kept.

Which slice of which chip holds it, in how many parts of a batch, and what to
expect of a step there:

  python -m launch.compile --config configs/csgo_3b.py --topology v5p:4x4x4

and launch/recipes/csgo_3b.md.
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
  """3B text, 3B video; batches of 512 rows."""
  return config.to_config_dict(
    schema.StoryRun(
      sources=schema.Sources(),
      data=stories.StoriesConfig(
        chunks=32, text_length=640, batch=512, oversize='leave_out', workers=8
      ),
      model=presets.preset('3b'),
      objective=objective.ObjectiveConfig(film_start=False),
      train=loop.TrainConfig(
        steps=50_000,
        accumulate=2,
        log_every=10,
        evaluate_every=1000,
        save_every=500,
        keep=3,
        keep_every=10_000,
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
        window=32, kept=16, prompt_budget=32, words_budget=24
      ),
      held_out=512,
    )
  )
