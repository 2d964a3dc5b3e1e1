"""A folder for PyTorch as a workdir again."""

from collections.abc import Callable, Iterator, Mapping
import functools
import json
import pathlib
import shutil
from typing import Any, NamedTuple

import numpy as np

from configs import schema
from data_pipelines import latents as latents_data
from data_pipelines import tokenize
from launch import storyteller
from launch.conversion import filling
from launch.conversion import folders
from launch.conversion import plan as plan_lib
from launch.conversion import whole
from tv2tv_jax import config as config_lib
from tv2tv_jax.interop import fields
from tv2tv_jax.interop import leaf as leaf_lib
from tv2tv_jax.interop import pytorch
from tv2tv_jax.interop import safetensors
from tv2tv_jax.train import bundle
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import pieces
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import weights as weights_lib
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.vae import latents as latents_lib

_ARRAYS = '.arrays'
_PART = 'ema'  # What tells stories.
_PARTS = 16 << 20  # Numbers of the VAE that are written together.


class _Config(NamedTuple):
  """What a config.json says.

  Attributes:
    step: of the checkpoint.
    run: of the model.
    vae: of its VAE.
    statistics: of the latents.
    latents: what a workdir keeps of the latents that it learned from.
  """

  step: int
  run: schema.StoryRun
  vae: train_vae.VaeRun
  statistics: latents_lib.LatentStatistics
  latents: dict[str, Any]


def plan(folder: pathlib.Path, _: plan_lib.Asked) -> plan_lib.Plan:
  """What becomes of a folder.

  Raises:
    ValueError: it is of another architecture, or not whole.
  """
  config = _config(folder)
  tokenizer = tokenize.find(folder)
  tensors = safetensors.tensors(folder, folders.STEM)
  leaves = pytorch.model(config.run.model), pytorch.vae(config.vae.vae)
  leaf_lib.check(folder, list(leaves), tensors)
  paths = {tensor.file for tensor in tensors.values()}
  starts = folder / storyteller.STARTS
  paths |= {folder / fields.NAME, tokenizer}
  paths |= {starts} if starts.exists() else set()
  return plan_lib.Plan(
    head={'files': whole.files(paths), 'steps': config.step},
    tensors=len(tensors),
    size=sum(tensor.size for tensor in tensors.values()),
    write=functools.partial(_write, folder, config, tensors, leaves),
  )


def _write(
  folder: pathlib.Path,
  config: _Config,
  tensors: filling.Tensors,
  leaves: tuple[list[leaf_lib.Leaf], list[leaf_lib.Leaf]],
  partial: pathlib.Path,
  done: Callable[[int], Any],
) -> dict[str, Any]:
  """Makes a workdir; gives the rest of its report."""
  model, vae = leaves
  text = config_lib.to_json(config.run)
  (partial / fields.NAME).write_text(text)
  latents = json.dumps(config.latents, indent=2) + '\n'
  (partial / latents_data.METADATA).write_text(latents)
  for name in (storyteller.STARTS, folders.LICENSE):
    if (folder / name).exists():
      shutil.copyfile(folder / name, partial / name)
  shutil.copy(tokenize.find(folder), partial)
  lines = _model(config, tensors, model, partial, done)
  lines += _vae(config, tensors, vae, partial / folders.VAE, done)
  return {
    'parameters': sum(
      int(np.prod(tensor.shape))
      for name, tensor in tensors.items()
      if not name.startswith(f'{pytorch.VAE}.')
    ),
    'tensors': lines,
    'max_difference': max(line['max_difference'] for line in lines),
    'remarks': [],
  }


def _model(
  config: _Config,
  tensors: filling.Tensors,
  leaves: list[leaf_lib.Leaf],
  partial: pathlib.Path,
  done: Callable[[int], Any],
) -> list[dict[str, Any]]:
  """Writes the checkpoint of the model."""
  shapes = {leaf.name: leaf.shape for leaf in leaves}
  shapes |= {
    leaf.name: (config.run.model.towers.depth, *leaf.shape)
    for leaf in leaves
    if leaf.layer is not None
  }
  aside = partial / _ARRAYS
  arrays = pieces.begin(aside, shapes)
  lines, digests = filling.back(arrays, leaves, tensors, done)
  kinds = bundle.kinds(arrays)
  contents = bundle.sealed(
    {f'{_PART}.{name}': kind for name, kind in kinds.items()},
    {f'{_PART}.{name}': number for name, number in digests.items()},
    data={},
    fingerprints={},
  )
  place = partial / checkpoint.FOLDER / str(config.step)
  pieces.adopt(aside, place, _PART, contents)
  return lines


def _vae(
  config: _Config,
  tensors: filling.Tensors,
  leaves: list[leaf_lib.Leaf],
  partial: pathlib.Path,
  done: Callable[[int], Any],
) -> list[dict[str, Any]]:
  """Writes the folder of the VAE."""
  workdir_lib.claim(partial, config.vae)
  weights = partial / vae_folder.WEIGHTS
  weights_lib.write_parts(weights, _parts(leaves, tensors, done))
  lines = filling.compare(weights, leaves, tensors)
  fingerprint = latents_lib.fingerprint(
    vae_folder.restored(partial), config_lib.to_json(config.vae.vae)
  )
  place = partial / vae_folder.LATENTS
  latents_lib.save(place, config.statistics, fingerprint)
  return lines


def _parts(
  leaves: list[leaf_lib.Leaf],
  tensors: filling.Tensors,
  done: Callable[[int], Any],
) -> Iterator[dict[str, np.ndarray]]:
  """Leaves in fp32 by their names, a part at a time."""
  part, room = {}, _PARTS
  for leaf in leaves:
    tensor = tensors[leaf.source]
    size = int(np.prod(tensor.shape))
    if part and size > room:
      yield part
      part, room = {}, _PARTS
    part[leaf.name] = leaf.read(tensor, np.dtype(np.float32))
    room -= size
    done(tensor.size)
  yield part


def _config(folder: pathlib.Path) -> _Config:
  """What the config.json of a folder says.

  Raises:
    ValueError: there is none, or it is of another architecture, or its parts
      do not fit; names what.
  """
  values, path = fields.of(folder), folder / fields.NAME
  if values.get('model_type') != 'tv2tv':
    raise ValueError(
      f'{path}: model_type is {values.get("model_type")!r}: a folder of '
      "another architecture; read is 'tv2tv'"
    )
  ours = _mapping(values, folders.OURS, path)
  where = f'{path}: {folders.OURS}'
  run = config_lib.from_config_dict(
    schema.StoryRun, _mapping(ours, 'run', where), f'{where}.run'
  )
  vae = config_lib.from_config_dict(
    train_vae.VaeRun, _mapping(ours, 'vae', where), f'{where}.vae'
  )
  step = ours.get('step')
  if not fields.is_size(step):
    raise ValueError(f'{where}.step is {step!r}, not a positive integer')
  model = config_lib.from_config_dict(
    model_lib.ModelConfig, _mapping(values, 'model', path), f'{path}: model'
  )
  shown = config_lib.from_config_dict(
    train_vae.VaeRun, {'vae': _mapping(values, 'vae', path)}, str(path)
  )
  lines = [
    *config_lib.differences(model, run.model, 'model'),
    *config_lib.differences(shown.vae, vae.vae, 'vae'),
  ]
  if lines:
    raise ValueError(f'{path}: {"; ".join(lines)} in {folders.OURS}')
  statistics = _statistics(values, vae.vae.latent_channels, path)
  return _Config(step, run, vae, statistics, _mapping(ours, 'latents', where))


def _mapping(
  values: Mapping[str, Any], name: str, where: Any
) -> dict[str, Any]:
  """A field that is a mapping; ValueError if there is none."""
  if not isinstance(values.get(name), dict):
    raise ValueError(f'{where}: {name} is {values.get(name)!r}, no mapping')
  return values[name]


def _statistics(
  values: Mapping[str, Any], channels: int, path: pathlib.Path
) -> latents_lib.LatentStatistics:
  """Mean and deviation of each channel of a latent."""
  held = _mapping(values, 'statistics', path)
  try:
    mean, std = (np.array(held[n], np.float32) for n in ('mean', 'std'))
  except (KeyError, TypeError, ValueError) as error:
    raise ValueError(f'{path}: statistics: {error!r}') from None
  if mean.shape != (channels,) or std.shape != (channels,):
    raise ValueError(
      f'{path}: statistics are {list(mean.shape)} and {list(std.shape)}, not '
      f'one for each of {channels} channels'
    )
  return latents_lib.LatentStatistics(mean, std)
