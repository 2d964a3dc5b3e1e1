"""Weights of a Llama, converted: where `launch.train` begins with them.

`launch.convert` writes their folder: `weights/`, a checkpoint in parts;
`model.json`, the shape of the model; `report.json`, what each tensor became;
and the tokenizer.
"""

from collections.abc import Callable
import dataclasses
import pathlib

from flax import nnx

from tv2tv_jax import config as config_lib
from tv2tv_jax.interop import llama
from tv2tv_jax.interop import llama_config
from tv2tv_jax.interop import safetensors
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import weights as weights_lib
from tv2tv_jax.tv2tv import model as model_lib

CHECKPOINT, MODEL, REPORT = vae_folder.WEIGHTS, 'model.json', 'report.json'
# Fields of the towers that weights say nothing about.
_FREE = ('window', 'sink', 'remat', 'unroll')


def beginning(
  folder: pathlib.Path, config: model_lib.ModelConfig
) -> Callable[[nnx.Module], nnx.Module]:
  """What puts converted weights into a newborn model, which is given up.

  They become embedding, output layer and text tower; where `video_init` says
  so, the video tower too.

  Raises:
    ValueError: no converted weights there, or those of another model; names
      every field that differs.
  """
  path = folder / MODEL
  held = config_lib.from_config_dict(
    llama_config.TextModel, safetensors.mapping(path), where=str(path)
  )
  free = {name: getattr(config.towers, name) for name in _FREE}
  held = dataclasses.replace(
    held, towers=dataclasses.replace(held.towers, **free)
  )
  asked = llama_config.TextModel(
    vocabulary=config.vocabulary, towers=config.towers, tied=config.tied
  )
  lines = config_lib.differences(asked, held, 'config.model')
  if lines:
    raise ValueError(f'{folder} holds another model: {"; ".join(lines)}')
  source = llama.stored(held)
  if config.video_init == 'text':
    source |= {
      name.replace('.text', '.video'): there
      for name, there in source.items()
      if '.text' in name
    }

  def begin(model: nnx.Module) -> nnx.Module:
    return weights_lib.filled(model, folder / CHECKPOINT, source)

  return begin
