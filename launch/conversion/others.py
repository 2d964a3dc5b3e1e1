"""Weights of others, as weights that a run can begin with."""

from collections.abc import Callable, Iterator
import contextlib
import functools
import pathlib
import shutil
from typing import Any, NamedTuple

import numpy as np

from data_pipelines import tokenize
from launch import weights
from launch.conversion import plan as plan_lib
from launch.conversion import whole
from tv2tv_jax import config as config_lib
from tv2tv_jax.interop import cosmos
from tv2tv_jax.interop import diffusers
from tv2tv_jax.interop import fields
from tv2tv_jax.interop import leaf as leaf_lib
from tv2tv_jax.interop import llama
from tv2tv_jax.interop import llama_config
from tv2tv_jax.interop import wan
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import weights as weights_lib
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.vae import latents as latents_lib


class Kind(NamedTuple):
  """Weights of others.

  Attributes:
    source: reads their folder.
    rest: writes what stands beside the weights, from their folder, the model
      and ours; gives remarks.
  """

  source: Callable[[pathlib.Path], leaf_lib.Source]
  rest: Callable[[pathlib.Path, Any, pathlib.Path], list[str]]


def plan(
  kind: str, folder: pathlib.Path, asked: plan_lib.Asked
) -> plan_lib.Plan:
  """What becomes of a folder of others.

  Raises:
    ValueError: it is not of this kind, or not whole.
  """
  source, rest = _KINDS[kind]
  found = source(folder)
  leaves = [leaf for part in found.parts for leaf in part]
  paths = {tensor.file for tensor in found.tensors.values()}
  became = [
    {
      'source': leaf.source,
      'name': leaf.name,
      'shape': list(leaf.shape),
      'dtype': _dtype(asked, found.tensors[leaf.source].dtype).name,
    }
    | ({'part': list(leaf.part)} if leaf.part[1] > 1 else {})
    for leaf in leaves
  ]
  left = [{'source': n, 'left out': why} for n, why in found.left.items()]

  def write(
    partial: pathlib.Path, done: Callable[[int], Any]
  ) -> dict[str, Any]:
    parts = _parts(found, functools.partial(_dtype, asked), done)
    weights_lib.write_parts(partial / weights.CHECKPOINT, parts)
    return {'remarks': rest(folder, found.model, partial)}

  return plan_lib.Plan(
    head={
      'files': whole.files(paths | {folder / fields.NAME}),
      'tensors': became + left,
    },
    tensors=len(found.tensors),
    size=sum(leaf.size(found.tensors[leaf.source]) for leaf in leaves),
    write=write,
  )


def _llama(
  folder: pathlib.Path, model: llama_config.TextModel, partial: pathlib.Path
) -> list[str]:
  """Writes the shape of the model beside its weights, and its tokenizer."""
  (partial / weights.MODEL).write_text(config_lib.to_json(model))
  for path in sorted(folder.glob('tokenizer.*')):
    with contextlib.suppress(ValueError):  # Of no kind that is known.
      shutil.copy(tokenize.find(path), partial)
  return []


def _vae(
  _: pathlib.Path, model: diffusers.VaeModel, partial: pathlib.Path
) -> list[str]:
  """Makes the folder of a VAE of its weights; says what it has not."""
  workdir_lib.claim(partial, train_vae.VaeRun(vae=model.config))
  fingerprint = latents_lib.fingerprint(
    vae_folder.restored(partial), config_lib.to_json(model.config)
  )
  statistics, remarks = model.statistics, []
  if statistics is None:
    size = model.config.latent_channels
    statistics = latents_lib.LatentStatistics(np.zeros(size), np.ones(size))
    remarks = ['it has no statistics of latents: mean 0, deviation 1']
  latents_lib.save(partial / vae_folder.LATENTS, statistics, fingerprint)
  return remarks


_KINDS = {
  'llama': Kind(llama.source, _llama),
  'wan-vae': Kind(wan.source, _vae),
  'cosmos-vae': Kind(cosmos.source, _vae),
}


def _dtype(asked: plan_lib.Asked, found: np.dtype) -> np.dtype:
  """What the numbers of a tensor become."""
  return asked.dtype or found


def _parts(
  source: leaf_lib.Source,
  dtype: Callable[[np.dtype], np.dtype],
  done: Callable[[int], Any],
) -> Iterator[dict[str, np.ndarray]]:
  """Leaves by their names, a part at a time, none of which is kept here."""
  for part in source.parts:
    pairs = [(leaf, source.tensors[leaf.source]) for leaf in part]
    yield {
      leaf.name: leaf.read(tensor, dtype(tensor.dtype))
      for leaf, tensor in pairs
    }
    done(sum(leaf.size(tensor) for leaf, tensor in pairs))
