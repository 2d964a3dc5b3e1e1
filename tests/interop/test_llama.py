"""Every name, shape and field of a Llama is used, or named in the error."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.interop import folders
from tv2tv_jax.interop import llama
from tv2tv_jax.interop import llama_config
from tv2tv_jax.nn import rope

_LLAMA3 = {
  'rope_type': 'llama3',
  'factor': 8.0,
  'low_freq_factor': 1.0,
  'high_freq_factor': 4.0,
  'original_max_position_embeddings': 64,
}


def _read(source):
  """All leaves by our names."""
  return {
    leaf.name: leaf.read(source.tensors[leaf.source], np.dtype('f4'))
    for part in source.parts
    for leaf in part
  }


def test_heads_are_split_and_axes_turned(tmp_path):
  held = folders.tensors()
  found = _read(llama.source(folders.write(tmp_path)))
  query = held['model.layers.1.self_attn.q_proj.weight']
  ours = found['transformer.blocks.text.query.kernel.1']
  assert ours.shape == (12, 2, 2, 6)
  for head in range(4):  # Head k G + g is ours[:, k, g].
    np.testing.assert_array_equal(
      ours[:, head // 2, head % 2], query[6 * head : 6 * head + 6].T
    )
  output = held['model.layers.0.self_attn.o_proj.weight']
  np.testing.assert_array_equal(
    found['transformer.blocks.text.output.kernel.0'].reshape(24, 12), output.T
  )
  np.testing.assert_array_equal(
    found['embedding'], held['model.embed_tokens.weight']
  )
  np.testing.assert_array_equal(found['head.kernel'], held['lm_head.weight'].T)


def test_a_tensor_of_many_pieces_is_read_whole(tmp_path, monkeypatch):
  folder = folders.write(tmp_path)
  whole = _read(llama.source(folder))
  monkeypatch.setattr('tv2tv_jax.interop.safetensors._PIECE', 100)
  for name, leaf in _read(llama.source(folder)).items():
    np.testing.assert_array_equal(leaf, whole[name])


def test_numbers_widen_exactly(tmp_path):
  held = {n: a.astype(jnp.bfloat16) for n, a in folders.tensors().items()}
  source = llama.source(folders.write(tmp_path, held))
  assert source.tensors['lm_head.weight'].dtype == jnp.bfloat16
  np.testing.assert_array_equal(
    _read(source)['head.kernel'], held['lm_head.weight'].astype('f4').T
  )


def test_shards_are_one_model(tmp_path):
  folder = folders.write(tmp_path)
  whole = _read(llama.source(folder))
  folders.shard(folder)
  for name, leaf in _read(llama.source(folder)).items():
    np.testing.assert_array_equal(leaf, whole[name])


def test_names_on_disk_are_those_that_are_written(tmp_path):
  source = llama.source(folders.write(tmp_path))
  written = {leaf.name for part in source.parts for leaf in part}
  asked = set()
  for names in llama.stored(source.model).values():
    asked |= {names} if isinstance(names, str) else set(names)
  assert asked == written


@pytest.mark.parametrize(
  ('fields', 'expected'),
  [
    ({'rope_theta': None}, rope.RopeConfig(theta=1e4)),
    ({'rope_theta': 5e5, 'rope_scaling': None}, rope.RopeConfig(theta=5e5)),
    (
      {'rope_theta': 7e5, 'rope_scaling': _LLAMA3},
      rope.RopeConfig(theta=7e5, factor=8.0, original_length=64),
    ),
    (
      {'rope_theta': None, 'rope_parameters': {'rope_theta': 9e5} | _LLAMA3},
      rope.RopeConfig(theta=9e5, factor=8.0, original_length=64),
    ),
  ],
)
def test_rope_of_both_generations(tmp_path, fields, expected):
  model = llama_config.text_model(folders.write(tmp_path, **fields))
  assert model.towers.rope == expected


def test_heads_default_to_llamas(tmp_path):
  fields = dict(num_key_value_heads=None, head_dim=None, hidden_size=16)
  towers = llama_config.text_model(folders.write(tmp_path, **fields)).towers
  assert (towers.key_heads, towers.head_width) == (4, 4)


def _broken():
  held = folders.tensors()
  del held['model.layers.1.mlp.up_proj.weight'], held['model.norm.weight']
  held['model.layers.2.mlp.up_proj.weight'] = np.zeros((2, 2), 'f4')
  held['model.layers.0.self_attn.q_proj.bias'] = np.zeros(24, 'f4')
  held['lm_head.weight'] = np.zeros((24, 13), 'f4')
  return held


def test_all_wrong_names_and_shapes_are_named(tmp_path):
  with pytest.raises(ValueError) as error:
    llama.source(folders.write(tmp_path, _broken()))
  text = str(error.value)
  missing, extra, shape = text.split('; ')
  assert str(tmp_path) in missing
  for name in ('model.layers.1.mlp.up_proj.weight', 'model.norm.weight'):
    assert name in missing.split('missing')[1]
  assert 'model.layers.2.mlp.up_proj.weight' in extra
  assert 'model.layers.0.self_attn.q_proj.bias' in extra
  assert shape == 'lm_head.weight is [24, 13], not [24, 12]'


def test_frequencies_are_left_out_and_said(tmp_path):
  held = folders.tensors()
  name = 'model.layers.1.self_attn.rotary_emb.inv_freq'
  held[name] = np.ones(3, 'f4')
  source = llama.source(folders.write(tmp_path, held))
  assert source.left == {name: 'follows from config.json'}
  held['model.layers.2.self_attn.rotary_emb.inv_freq'] = np.ones(3, 'f4')
  with pytest.raises(ValueError, match=r'not known model\.layers\.2\.'):
    llama.source(folders.write(tmp_path, held))


def test_a_tied_output_layer_is_the_embedding(tmp_path):
  held = folders.tensors()
  with pytest.raises(ValueError, match=r'lm_head\.weight differs'):
    llama.source(folders.write(tmp_path, held, tie_word_embeddings=True))
  held['lm_head.weight'] = held['model.embed_tokens.weight'].copy()
  source = llama.source(folders.write(tmp_path, held, tie_word_embeddings=True))
  assert source.left == {'lm_head.weight': 'equal to model.embed_tokens.weight'}
  assert 'head.kernel' not in _read(source)
  del held['lm_head.weight']
  source = llama.source(folders.write(tmp_path, held, tie_word_embeddings=True))
  assert not source.left


@pytest.mark.parametrize(
  ('fields', 'match'),
  [
    ({'model_type': 'qwen2'}, "model_type is 'qwen2'"),
    ({'architectures': ['LlamaModel']}, r"architectures is \['LlamaModel'\]"),
    ({'attention_bias': True}, 'attention_bias is True; supported is False'),
    ({'mlp_bias': True}, 'mlp_bias is True'),
    ({'hidden_act': 'gelu'}, "hidden_act is 'gelu'; supported is 'silu'"),
    ({'rms_norm_eps': 1e-6}, 'rms_norm_eps is 1e-06; supported is 1e-05'),
    ({'rms_norm_eps': None}, 'rms_norm_eps is 1e-06'),
    ({'quantization_config': {'bits': 4}}, 'quantization_config is'),
    ({'vocab_size': None}, 'vocab_size is None, not a positive integer'),
    ({'hidden_size': 12.0}, r'hidden_size is 12\.0'),
    ({'num_key_value_heads': 3}, 'num_key_value_heads is 3, no divisor'),
    ({'head_dim': 7}, 'head_dim is 7, which is odd'),
    (
      {'rope_scaling': {'type': 'linear', 'factor': 2}},
      "rope_type is 'linear'",
    ),
    ({'rope_parameters': {'rope_type': 'yarn'}}, "rope_type is 'yarn'"),
    ({'rope_scaling': 3}, 'rope_scaling is 3, no mapping'),
    ({'partial_rotary_factor': 0.5}, r'partial_rotary_factor is 0\.5'),
    (
      {'rope_scaling': {'rope_type': 'llama3', 'factor': -1}},
      r'factor of rope is -1, not positive; low_freq_factor of rope is None',
    ),
    (
      {'rope_scaling': _LLAMA3 | {'high_freq_factor': 1.0}},
      r'high_freq_factor is 1\.0, not above low_freq_factor = 1\.0',
    ),
  ],
)
def test_another_config_is_refused(tmp_path, fields, match):
  with pytest.raises(ValueError, match=match) as error:
    llama.source(folders.write(tmp_path, **fields))
  assert str(tmp_path / 'config.json') in str(error.value)


def test_all_unsupported_fields_are_named(tmp_path):
  fields = {'mlp_bias': True, 'hidden_act': 'relu', 'head_dim': 5}
  with pytest.raises(ValueError) as error:
    llama.source(folders.write(tmp_path, **fields))
  assert all(name in str(error.value) for name in fields)
