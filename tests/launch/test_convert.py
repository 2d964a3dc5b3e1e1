"""A Llama of Hugging Face, converted, says what it said there."""

import dataclasses
import functools
import json

from flax import nnx
import grain
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from launch import weights
from tests import tiny
from tests.launch import programs
from tv2tv_jax import config as config_lib
from tv2tv_jax.interop import llama_config
from tv2tv_jax.train import loop
from tv2tv_jax.train import objective
from tv2tv_jax.tv2tv import model as model_lib

_LLAMA3 = {
  'rope_type': 'llama3',
  'rope_theta': 5e5,
  'factor': 8.0,
  'low_freq_factor': 1.0,
  'high_freq_factor': 4.0,
  'original_max_position_embeddings': 32,
}
_PLAIN = {'rope_type': 'default', 'rope_theta': 1e4}
# vocabulary, width, hidden, depth, heads, key heads, head width, tied, rope
_SHAPES = {
  'plain': (96, 64, 128, 2, 4, 4, None, True, _PLAIN),
  'groups': (101, 48, 100, 3, 6, 2, 10, False, _LLAMA3),
  'one key head': (67, 36, 77, 1, 4, 1, 16, False, _PLAIN),
  'stretched': (
    130, 40, 90, 4, 8, 4, 6, True,
    _LLAMA3 | {'factor': 32.0, 'high_freq_factor': 2.0, 'rope_theta': 1e5},
  ),
  'even': (32, 32, 48, 2, 4, 2, 8, False, _PLAIN),
}  # fmt: skip


def _llama(folder, shape, dtype=torch.float32):
  """A Llama with weights of a size that shows, saved in shards."""
  names = (
    'vocab_size', 'hidden_size', 'intermediate_size', 'num_hidden_layers',
    'num_attention_heads', 'num_key_value_heads', 'head_dim',
    'tie_word_embeddings', 'rope_parameters',
  )  # fmt: skip
  config = transformers.LlamaConfig(
    **dict(zip(names, _SHAPES[shape], strict=True)),
    rms_norm_eps=1e-5,
    initializer_range=0.15,
  )
  torch.manual_seed(0)
  model = transformers.LlamaForCausalLM(config)
  with torch.no_grad():
    for name, value in model.named_parameters():
      if 'norm' in name:
        value += 0.3 * torch.randn_like(value)
  model.to(dtype).save_pretrained(folder, max_shard_size='30KB')
  (folder / 'tokenizer.json').write_text('{}')
  return folder


def _tokens(vocabulary):
  return np.random.default_rng(1).integers(0, vocabulary, (4, 50))


def _theirs(folder):
  model = transformers.LlamaForCausalLM.from_pretrained(
    folder, dtype=torch.float32
  )
  tokens = torch.from_numpy(_tokens(model.config.vocab_size))
  with torch.no_grad():
    return model.eval()(tokens).logits.numpy()


def _ours(model):
  tokens = _tokens(model.config.vocabulary)
  index = np.broadcast_to(np.arange(50), tokens.shape)
  arrays = (tokens, index, np.zeros_like(index))
  text = model_lib.Text(*(jnp.asarray(a, jnp.int32) for a in arrays))
  return np.asarray(tiny.run(model, text).logits)


def _convert(source, out, *flags):
  return programs.run('launch.convert', 'llama', source, f'--out={out}', *flags)


def _config(out, **changes):
  """The run that the weights are for."""
  held = config_lib.from_config_dict(
    llama_config.TextModel, json.loads((out / 'model.json').read_text())
  )
  return dataclasses.replace(
    tiny.config(),
    vocabulary=held.vocabulary,
    towers=dataclasses.replace(held.towers, remat='none'),
    tied=held.tied,
    **changes,
  )


def _begun(out, config):
  """A model that begins with the weights."""
  return weights.beginning(out, config)(tiny.drawn(config))


@pytest.mark.parametrize('shape', list(_SHAPES))
def test_logits_are_those_of_transformers(tmp_path, shape):
  source, out = tmp_path / 'source', tmp_path / 'out'
  theirs = _theirs(_llama(source, shape))
  done = _convert(source, out)
  assert done.returncode == 0, done.stderr
  assert len(list(source.glob('*.safetensors'))) > 1
  ours = _ours(_begun(out, _config(out)))
  assert theirs.std() > 0.5
  np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)
  assert (out / 'tokenizer.json').read_text() == '{}'
  report = json.loads((out / 'report.json').read_text())
  index = json.loads((source / 'model.safetensors.index.json').read_text())
  used = [tensor['source'] for tensor in report['tensors']]
  assert sorted(used) == sorted(index['weight_map'])
  assert {tensor['dtype'] for tensor in report['tensors']} == {'float32'}


@pytest.mark.parametrize('flags', [(), ('--dtype=float32',)])
def test_bfloat16_stays_unless_asked(tmp_path, flags):
  source, out = tmp_path / 'source', tmp_path / 'out'
  theirs = _theirs(_llama(source, 'groups', torch.bfloat16))
  assert _convert(source, out, *flags).returncode == 0
  report = json.loads((out / 'report.json').read_text())
  dtypes = {tensor['dtype'] for tensor in report['tensors']}
  assert dtypes == ({'float32'} if flags else {'bfloat16'})
  model = _begun(out, _config(out))
  assert {leaf.dtype.name for leaf in jax.tree.leaves(model)} == {'float32'}
  np.testing.assert_allclose(_ours(model), theirs, atol=1e-4, rtol=0)


@pytest.fixture(scope='module')
def even(tmp_path_factory):
  """Weights that any mesh divides: the folder, and their logits."""
  folder = tmp_path_factory.mktemp('even')
  theirs = _theirs(_llama(folder / 'source', 'even'))
  assert _convert(folder / 'source', folder / 'out').returncode == 0
  return folder / 'out', theirs


def test_a_mesh_gets_them_in_its_layout(even, mesh):
  out, theirs = even
  config = _config(out)
  born = tiny.drawn(config)
  layouts = [leaf.sharding for leaf in jax.tree.leaves(born)]
  model = weights.beginning(out, config)(born)
  for leaf, layout in zip(jax.tree.leaves(model), layouts, strict=True):
    assert leaf.sharding.is_equivalent_to(layout, leaf.ndim)
  kernel = model.transformer.blocks.text.query.kernel[...]
  assert kernel.addressable_shards[0].data.size < kernel.size
  np.testing.assert_allclose(_ours(model), theirs, atol=1e-4, rtol=0)


def test_the_video_tower_begins_as_the_config_says(even):
  out, _ = even
  for init in ('text', 'random'):
    config = _config(out, video_init=init)
    born = tiny.drawn(config)
    before = jax.device_get(jax.tree.leaves(born.transformer.blocks.video))
    norm = np.asarray(born.transformer.video_norm.scale[...])
    frames = jax.device_get(jax.tree.leaves(born.frames))
    model = weights.beginning(out, config)(born)
    if init == 'text':
      before = jax.tree.leaves(model.transformer.blocks.text)
      norm = model.transformer.text_norm.scale[...]
    after = jax.tree.leaves(model.transformer.blocks.video)
    for a, b in zip(after, before, strict=True):
      np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model.transformer.video_norm.scale[...], norm)
    for a, b in zip(jax.tree.leaves(model.frames), frames, strict=True):
      np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_run_begins_with_them_once(even, tmp_path):
  out, theirs = even
  config = _config(out)
  row = tiny.row(tiny.STORY, tiny.STORY)
  batch = {**row._asdict(), 'latents': tiny.latents(0, 2)}
  rows = [{k: np.asarray(v)[i] for k, v in batch.items()} for i in range(2)]
  births = []

  def begin(model):
    model = weights.beginning(out, config)(model)
    births.append(_ours(model))
    return model

  evaluations = iter([{}])

  def evaluate(model):
    return next(evaluations)  # The second one ends the run.

  def train(**kwargs):
    batches = grain.MapDataset.source(rows).repeat().batch(2)
    return loop.train(
      lambda key: model_lib.Tv2tv(config, rngs=nnx.Rngs(key)),
      functools.partial(
        objective.objective, config=objective.ObjectiveConfig()
      ),
      iter(batches.to_iter_dataset()),
      loop.TrainConfig(steps=2, log_every=1, save_every=1, evaluate_every=1),
      tmp_path / 'run',
      begin=begin,
      **kwargs,
    )

  with pytest.raises(StopIteration):
    train(evaluate=evaluate)
  np.testing.assert_allclose(births[0], theirs, atol=1e-4, rtol=0)
  state = train()
  assert int(state.step) == 2
  assert len(births) == 1
  assert 0 < np.abs(_ours(state.model) - theirs).max() < 1


def test_all_differences_to_a_run_are_named(even):
  out, _ = even
  config = _config(out)
  towers = dataclasses.replace(config.towers, hidden=50, query_key_norm=True)
  config = dataclasses.replace(config, vocabulary=40, tied=True, towers=towers)
  with pytest.raises(ValueError, match='holds another model') as error:
    weights.beginning(out, config)
  for field in (
    'vocabulary is 40, was 32',
    'towers.hidden',
    'towers.query_key_norm',
    'tied is True',
  ):
    assert f'config.model.{field}' in str(error.value)


def test_a_folder_that_is_none_is_said(tmp_path):
  with pytest.raises(ValueError, match=r'no model\.json there'):
    weights.beginning(tmp_path, tiny.config())
