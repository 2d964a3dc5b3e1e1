"""The table of names is that of modeling_tv2tv.py, and of our own leaves."""

import dataclasses
import importlib.util
import math
import pathlib

from flax import nnx
import jax
import pytest
import torch

from tests.interop import shapes
from tv2tv_jax.interop import pytorch
from tv2tv_jax.train import checkpoint
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.tv2tv import presets
from tv2tv_jax.vae import vae as vae_lib

_PATH = pathlib.Path(__file__).parents[2] / 'launch/pytorch/modeling_tv2tv.py'


@pytest.fixture(scope='module')
def modeling():
  """The file, as a module."""
  spec = importlib.util.spec_from_file_location('modeling_tv2tv', _PATH)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def _theirs(modeling, model, vae):
  """The shapes of the parameters of PyTorch's model."""
  config = modeling.Tv2tvConfig(
    model=dataclasses.asdict(model), vae=dataclasses.asdict(vae)
  )
  with torch.device('meta'):
    return {
      name: tuple(value.shape)
      for name, value in modeling.Tv2tv(config).state_dict().items()
    }


_MODELS = {
  **{name: presets.preset(name) for name in presets.names()},
  'untied': shapes.model_config(tied=False, query_key_norm=False),
  'linear': shapes.model_config(coder='linear'),
}


@pytest.mark.parametrize('family', shapes.VAES)
@pytest.mark.parametrize('name', _MODELS)
def test_every_tensor_of_theirs_is_named_once(modeling, name, family):
  model, vae = _MODELS[name], shapes.VAES[family]
  leaves = [*pytorch.model(model), *pytorch.vae(vae)]
  theirs = _theirs(modeling, model, vae)
  assert len(leaves) == len(theirs)
  assert {leaf.source: leaf.whole for leaf in leaves} == theirs


def _ours(make):
  """The shapes of our parameters."""
  named = checkpoint.named(jax.eval_shape(make))
  return {name: leaf.shape for name, leaf in named.items()}


@pytest.mark.parametrize('name', _MODELS)
def test_every_leaf_of_ours_is_whole(name):
  config = _MODELS[name]
  ours = _ours(lambda: model_lib.Tv2tv(config, rngs=nnx.Rngs(0)))
  found, layers = {}, {}
  for leaf in pytorch.model(config):
    if leaf.layer is None:
      found[leaf.name] = leaf.shape
      continue
    layers.setdefault(leaf.name, []).append(leaf.layer)
    found[leaf.name] = (config.towers.depth, *leaf.shape)
  assert found == ours
  assert all(at == list(range(config.towers.depth)) for at in layers.values())


@pytest.mark.parametrize('family', shapes.VAES)
def test_every_leaf_of_a_vae_is_named(family):
  config = shapes.VAES[family]
  leaves = pytorch.vae(config)
  ours = _ours(lambda: vae_lib.Vae(config, rngs=nnx.Rngs(0)))
  assert {leaf.name: leaf.shape for leaf in leaves} == ours
  for leaf in leaves:
    assert math.prod(leaf.whole) == math.prod(leaf.shape)
