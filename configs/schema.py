"""What a config file of `launch.train` fills in.

Every room states its own fields; this file only puts them side by side.
"""

import dataclasses

from data_pipelines import stories
from tv2tv_jax.sample import settings
from tv2tv_jax.train import loop
from tv2tv_jax.train import objective
from tv2tv_jax.train import towers
from tv2tv_jax.tv2tv import model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sources:
  """Where a run reads from.

  Attributes:
    latents: the dataset that `launch.encode` wrote, or several, with commas
      between.
    weights: their shares of the rows; (): by their sizes.
    vae: the finished workdir of the VAE that made them.
    tokenizer: the file that `launch.tokenize` wrote, or a `tokenizer.json` of
      Llama 3, or a folder that holds one.
    text_tower: the folder that `launch.convert` wrote, whose weights the text
      tower begins with; '' for none.
  """

  latents: str = ''
  weights: tuple[float, ...] = ()
  vae: str = ''
  tokenizer: str = ''
  text_tower: str = ''


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoryRun:
  """A training run of TV2TV.

  Attributes:
    sources: where it reads from.
    data: how clips become rows.
    model: the model.
    objective: what it learns.
    rates: how fast each part of the model does.
    train: for how long and how fast.
    sample: how its stories are told.
    held_out: rows of held-out stories that evaluations average over, spread
      over the split; 0: all of them.
  """

  sources: Sources
  data: stories.StoriesConfig
  model: model.ModelConfig
  objective: objective.ObjectiveConfig
  train: loop.TrainConfig
  sample: settings.SampleConfig
  rates: towers.TowerRates = towers.TowerRates()
  held_out: int = 64
