"""Every name, shape and field of a VAE is used, or named in the error."""

import json

from flax import nnx
import jax
import numpy as np
import pytest
import torch

from tests.interop import folders
from tests.interop import vaes
from tv2tv_jax.interop import cosmos
from tv2tv_jax.interop import wan
from tv2tv_jax.train import checkpoint
from tv2tv_jax.vae import cosmos as cosmos_lib
from tv2tv_jax.vae import vae as vae_lib
from tv2tv_jax.vae import wan as wan_lib

_READ = {'wan-vae': wan.source, 'cosmos-vae': cosmos.source}
_KINDS = pytest.mark.parametrize('kind', _READ)


def _leaves(source):
  return [leaf for part in source.parts for leaf in part]


def _ours(config):
  """The shapes of our parameters by the names of a checkpoint."""
  model = jax.eval_shape(lambda: vae_lib.Vae(config, rngs=nnx.Rngs(0)))
  return {n: leaf.shape for n, leaf in checkpoint.named(model).items()}


@pytest.mark.parametrize(
  ('kind', 'fields', 'expected'),
  [
    ('wan-vae', {}, wan_lib.WanConfig()),
    (
      'cosmos-vae',
      {'patch_size': 2, 'temporal_compression_ratio': 4},
      cosmos_lib.CosmosConfig(),
    ),
    (
      'cosmos-vae',
      {'attention_resolutions': [128, 256]},
      cosmos_lib.CosmosConfig(
        patch=4, time_stride=8, attention_resolutions=(128, 256)
      ),
    ),
  ],
)
def test_published_shapes_are_ours(tmp_path, kind, fields, expected):
  with torch.device('meta'):
    model = vaes.CLASSES[kind](**fields)
  model.save_config(tmp_path)
  shapes = {n: tuple(v.shape) for n, v in model.state_dict().items()}
  folders.hollow(tmp_path / 'diffusion_pytorch_model.safetensors', shapes)
  source = _READ[kind](tmp_path)
  assert source.model.config == expected
  leaves = _leaves(source)
  assert len({leaf.name for leaf in leaves}) == len(leaves)
  assert {leaf.name: leaf.shape for leaf in leaves} == _ours(expected)
  sizes = [sum(np.prod(leaf.shape) for leaf in part) for part in source.parts]
  assert max(sizes) <= 16 << 20
  assert len(sizes) <= 2 * sum(sizes) / (16 << 20)


@_KINDS
def test_numbers_are_where_they_were(tmp_path, kind):
  folder = vaes.write(tmp_path, kind)
  held, source = vaes.tensors(folder), _READ[kind](folder)
  sums = dict.fromkeys(held, 0.0)
  for leaf in _leaves(source):
    found = leaf.read(source.tensors[leaf.source], np.dtype('f4'))
    assert found.shape == leaf.shape
    sums[leaf.source] += np.square(found, dtype='f8').sum()
  for name, value in held.items():
    np.testing.assert_allclose(sums[name], np.square(value, dtype='f8').sum())


def test_query_key_and_value_are_parts_of_one_tensor(tmp_path):
  folder = vaes.write(tmp_path, 'wan-vae')
  name = 'encoder.mid_block.attentions.0.to_qkv'
  held, source = vaes.tensors(folder), _READ['wan-vae'](folder)
  found = {
    leaf.name: leaf.read(source.tensors[leaf.source], np.dtype('f4'))
    for leaf in _leaves(source)
  }
  for at, part in enumerate(('query', 'key', 'value')):
    rows = slice(8 * at, 8 * at + 8)
    kernel = found[f'encoder.attention.{part}.kernel']
    np.testing.assert_array_equal(
      kernel[0, 0], held[f'{name}.weight'][rows, :, 0, 0].T
    )
    bias = found[f'encoder.attention.{part}.bias']
    np.testing.assert_array_equal(bias, held[f'{name}.bias'][rows])


@_KINDS
def test_what_a_config_leaves_out_is_as_diffusers_has_it(tmp_path, kind):
  with torch.device('meta'):
    model = vaes.CLASSES[kind]()
  shapes = {n: tuple(v.shape) for n, v in model.state_dict().items()}
  folders.hollow(tmp_path / 'diffusion_pytorch_model.safetensors', shapes)
  least = {
    '_class_name': type(model).__name__,
    'latents_mean': [0.0] * 16,
    'latents_std': [1.0] * 16,
  }
  (tmp_path / 'config.json').write_text(json.dumps(least))
  bare = _READ[kind](tmp_path).model.config
  model.save_config(tmp_path)
  assert _READ[kind](tmp_path).model.config == bare


def test_statistics_of_wan_are_those_of_its_channels(tmp_path):
  mean, std = wan.source(vaes.write(tmp_path, 'wan-vae')).model.statistics
  np.testing.assert_array_equal(mean, np.float32([0.5, -1.5]))
  np.testing.assert_array_equal(std, np.float32([2.0, 0.25]))


def test_statistics_of_cosmos_are_pooled_over_latents(tmp_path):
  folder = vaes.write(tmp_path, 'cosmos-vae')
  mean, std = cosmos.source(folder).model.statistics
  # Two latents of equal weight: E[x] and E[x**2] are means over both.
  np.testing.assert_allclose(mean, [1.0, -1.0], rtol=1e-6)
  squares = [(4 + 0.25 + 1 + 2.25) / 2, (0.25 + 1 + 0.0625 + 1) / 2]
  np.testing.assert_allclose(std, np.sqrt(np.subtract(squares, 1)), rtol=1e-6)


def test_cosmos_may_have_no_statistics(tmp_path):
  none = {'latents_mean': None, 'latents_std': None}
  folder = vaes.write(tmp_path, 'cosmos-vae', **none)
  assert cosmos.source(folder).model.statistics is None


@_KINDS
def test_all_wrong_names_and_shapes_are_named(tmp_path, kind):
  held = vaes.tensors(vaes.write(tmp_path, kind))
  del held['encoder.conv_out.bias' if kind == 'wan-vae' else 'quant_conv.bias']
  del held['post_quant_conv.weight']
  held['decoder.other.weight'] = np.zeros((2, 2), 'f4')
  held['post_quant_conv.bias'] = np.zeros(3, 'f4')
  with pytest.raises(ValueError, match='not the model of its') as error:
    _READ[kind](vaes.write(tmp_path, kind, held))
  missing, extra, shape = str(error.value).split('; ')
  assert str(tmp_path) in missing
  assert missing.endswith('.bias, post_quant_conv.weight')
  assert extra == 'not known decoder.other.weight'
  assert shape == 'post_quant_conv.bias is [3], not [2]'


@_KINDS
def test_a_missing_shard_is_named(tmp_path, kind):
  model = vaes.drawn(kind, **vaes.TINY[kind])
  model.save_pretrained(tmp_path, max_shard_size='10KB')
  assert (
    _READ[kind](tmp_path).tensors.keys()
    == dict(model.named_parameters()).keys()
  )
  lost = sorted(tmp_path.glob('*-00002-of-*.safetensors'))[0]
  lost.unlink()
  with pytest.raises(ValueError, match=f'no {lost.name} there'):
    _READ[kind](tmp_path)


_BOTH = [
  ({'_class_name': 'AutoencoderKL'}, "'AutoencoderKL': a folder of another"),
  ({'_class_name': ...}, 'None: a folder of another architecture'),
  ({'in_channels': 4}, 'in_channels is 4, out_channels is 3'),
  ({'latents_mean': ...}, 'latents_mean is missing'),
  ({'latents_mean': 0.5}, r'latents_mean is 0\.5, not a list of numbers'),
  ({'latents_mean': None}, 'latents_mean is None, not a list of numbers'),
  ({'latents_mean': [1.0]}, 'latents_mean has 1 numbers, no'),
  ({'latents_std': []}, 'latents_std has 0 numbers, no'),
  ({'latents_mean': [1.0, float('nan')]}, 'has nan, which is no finite'),
  ({'latents_mean': [1.0, '2']}, "latents_mean has '2', which is no finite"),
  ({'latents_std': [1.0, 0]}, 'latents_std has 0, which is not positive'),
]
_WRONG = {
  'wan-vae': [
    *_BOTH,
    ({'is_residual': True}, 'is_residual is True; supported is False'),
    ({'patch_size': 2}, 'patch_size is 2; supported is None'),
    ({'attn_scales': [0.5]}, r'attn_scales is \[0\.5\]; supported is \[\]'),
    ({'base_dim': 4.0}, r'base_dim is 4\.0, not a positive integer'),
    ({'decoder_base_dim': 0}, 'decoder_base_dim is 0, not a positive'),
    ({'z_dim': '2'}, "z_dim is '2', not a positive integer"),
    ({'dim_mult': [1, 0]}, r'dim_mult is \[1, 0\], not a list of positive'),
    ({'temperal_downsample': 3}, 'temperal_downsample is 3, not a list of'),
    ({'temperal_downsample': []}, 'has 0 levels, dim_mult 2; supported is one'),
    ({'scale_factor_temporal': 4}, 'temporal is 4, its levels make 2'),
    ({'scale_factor_spatial': 8}, 'spatial is 8, its levels make 2'),
    ({'latents_std': [1.0] * 4}, 'latents_std has 4 numbers, not one for each'),
    ({'latents_mean': None, 'latents_std': None}, 'latents_std is None'),
  ],
  'cosmos-vae': [
    *_BOTH,
    ({'patch_type': 'dct'}, "patch_type is 'dct'; supported are 'haar' and"),
    ({'scaling_factor': 0.5}, r'scaling_factor is 0\.5; supported is 1\.0'),
    ({'resolution': None}, 'resolution is None, not a positive integer'),
    ({'attention_resolutions': 32}, 'attention_resolutions is 32, not a list'),
    ({'patch_size': 3}, 'vae.patch is 3: give a power of two'),
    ({'temporal_compression_ratio': 2}, r'vae\.time_stride is 2, vae\.patch 4'),
    ({'spatial_compression_ratio': 16}, 'encoder_widths has 3 widths'),
    ({'temporal_compression_ratio': 8}, 'leaves no place'),
    ({'latents_mean': [1.0] * 6}, 'latents_mean has 6 numbers, latents_std 4'),
  ],
}


@pytest.mark.parametrize(
  ('kind', 'fields', 'match'),
  [(kind, *case) for kind, cases in _WRONG.items() for case in cases],
  ids=str,
)
def test_another_config_is_refused(tmp_path, kind, fields, match):
  folder = vaes.write(tmp_path, kind, **fields)
  with pytest.raises(ValueError, match=match) as error:
    _READ[kind](folder)
  assert str(folder / 'config.json') in str(error.value)


def test_all_unsupported_fields_are_named(tmp_path):
  fields = {'is_residual': True, 'patch_size': 2, 'base_dim': 0, 'z_dim': None}
  with pytest.raises(ValueError) as error:
    wan.source(vaes.write(tmp_path, 'wan-vae', **fields))
  assert all(f'{name} is ' in str(error.value) for name in fields)


@_KINDS
def test_a_folder_that_is_none_is_said(tmp_path, kind):
  with pytest.raises(ValueError, match='no such folder'):
    _READ[kind](tmp_path / 'none')
  with pytest.raises(ValueError, match=r'no config\.json there'):
    _READ[kind](tmp_path)
  vaes.write(tmp_path, kind)
  (tmp_path / 'diffusion_pytorch_model.safetensors').unlink()
  with pytest.raises(ValueError, match='neither diffusion_pytorch_model'):
    _READ[kind](tmp_path)
