"""Wan 2.1's VAE under our names: a folder of diffusers' `AutoencoderKLWan`.

A layer here is a layer there. Their encoder counts residual blocks and steps of
resolution in one list; their attention has query, key and value in one kernel.
"""

from collections.abc import Iterator, Mapping
import itertools
import pathlib
from typing import Any

from tv2tv_jax.interop import diffusers
from tv2tv_jax.interop import fields
from tv2tv_jax.interop import leaf as leaf_lib
from tv2tv_jax.vae import latents
from tv2tv_jax.vae import wan

_NAME = 'AutoencoderKLWan'
# What is not in a config.json, as diffusers has it.
_DEFAULTS = {
  'base_dim': 96,
  'decoder_base_dim': None,
  'z_dim': 16,
  'dim_mult': [1, 2, 4, 4],
  'num_res_blocks': 2,
  'temperal_downsample': [False, True, True],
  'in_channels': 3,
  'out_channels': 3,
}
_SIZES = ('base_dim', 'z_dim', 'num_res_blocks', 'in_channels', 'out_channels')
_ONLY = {'is_residual': False, 'patch_size': None, 'attn_scales': []}

_PARAMETERS = {'kernel': 'weight', 'bias': 'bias', 'scale': 'gamma'}
_CLIP, _PICTURE = 'O I T Y X->TYXIO', 'O I Y X->YXIO'
_CONV = {'': diffusers.Inner('', _CLIP)}
_NORM = {'': diffusers.Inner('', 'D 1 1 1->D')}
_BLOCK = {
  'norm_in': diffusers.Inner('norm1', 'D 1 1 1->D'),
  'conv_in': diffusers.Inner('conv1', _CLIP),
  'norm_out': diffusers.Inner('norm2', 'D 1 1 1->D'),
  'conv_out': diffusers.Inner('conv2', _CLIP),
  'skip': diffusers.Inner('conv_shortcut', 'O I 1 Y X->YXIO'),
}
_STEP = {
  'space': diffusers.Inner('resample.1', _PICTURE),
  'time': diffusers.Inner('time_conv', _CLIP),
}
_ATTENTION = {
  'norm': diffusers.Inner('norm', 'D 1 1->D'),
  'query': diffusers.Inner('to_qkv', _PICTURE, (0, 3)),
  'key': diffusers.Inner('to_qkv', _PICTURE, (1, 3)),
  'value': diffusers.Inner('to_qkv', _PICTURE, (2, 3)),
  'output': diffusers.Inner('proj', _PICTURE),
}


def source(folder: pathlib.Path) -> leaf_lib.Source:
  """All that the folder holds; no data is read.

  Raises:
    ValueError: it holds no such VAE, or not all of it, or something else; names
      every field, or every tensor, that is in the way.
  """
  values = diffusers.values(folder, _NAME, _DEFAULTS)
  fields.refuse(folder, _foreign(values))
  model = diffusers.model(folder, values, lambda: _config(values))
  fields.refuse(folder, _other_strides(values, model.config))
  layers = _layers(model.config)
  return diffusers.source(folder, model, layers, _PARAMETERS)


def values(
  config: wan.WanConfig, statistics: latents.LatentStatistics
) -> dict[str, Any]:
  """The config.json of a VAE of ours."""
  time, space, _ = config.stride
  other = config.decoder_width != config.width
  own = {
    'base_dim': config.width,
    'decoder_base_dim': config.decoder_width if other else None,
    'z_dim': config.latent_channels,
    'dim_mult': list(config.multiples),
    'num_res_blocks': config.blocks,
    'temperal_downsample': list(config.halves_time),
    'in_channels': config.channels,
    'out_channels': config.channels,
    'scale_factor_temporal': time,
    'scale_factor_spatial': space,
  }
  return diffusers.written(_NAME, own | _ONLY, statistics)


def leaves(config: wan.WanConfig) -> Iterator[leaf_lib.Leaf]:
  """Every tensor of a VAE of ours."""
  return diffusers.leaves(config, _layers(config), _PARAMETERS)


def _foreign(values: Mapping[str, Any]) -> Iterator[str]:
  """What keeps a config.json from being our VAE, a line each."""
  optional = [] if values['decoder_base_dim'] is None else ['decoder_base_dim']
  yield from fields.no_sizes(values, [*_SIZES, *optional])
  levels, steps = values['dim_mult'], values['temperal_downsample']
  wrong = list(fields.no_lists(values, ['dim_mult']))
  if not isinstance(steps, list) or not all(type(s) is bool for s in steps):
    wrong.append(f'temperal_downsample is {steps!r}, not a list of booleans')
  elif not wrong and len(steps) != len(levels) - 1:
    wrong.append(
      f'temperal_downsample has {len(steps)} levels, dim_mult {len(levels)}; '
      'supported is one fewer'
    )
  yield from wrong
  yield from fields.unsupported(values, _ONLY)
  yield from diffusers.other_channels(values)
  channels = values['z_dim']
  yield from diffusers.foreign_statistics(values, channels, strict=True)


def _config(values: Mapping[str, Any]) -> wan.WanConfig:
  """The VAE that config.json tells of."""
  return wan.WanConfig(
    channels=values['in_channels'],
    latent_channels=values['z_dim'],
    width=values['base_dim'],
    decoder_width=values['decoder_base_dim'] or values['base_dim'],
    multiples=tuple(values['dim_mult']),
    halves_time=tuple(values['temperal_downsample']),
    blocks=values['num_res_blocks'],
  )


def _other_strides(
  values: Mapping[str, Any], config: wan.WanConfig
) -> Iterator[str]:
  """A line for each stride that the levels do not make."""
  time, space, _ = config.stride
  for name, stride in (
    ('scale_factor_temporal', time),
    ('scale_factor_spatial', space),
  ):
    if values.get(name) not in (None, stride):
      yield f'{name} is {values[name]!r}, its levels make {stride}'


def _layers(config: wan.WanConfig) -> Iterator[diffusers.Layer]:
  """All of them, in order."""
  layer = diffusers.Layer
  yield layer('encoder.conv_in', 'encoder.stem', _CONV)
  places = (f'encoder.down_blocks.{at}' for at in itertools.count())
  for level in range(len(config.multiples)):
    for number in range(config.blocks):
      yield layer(next(places), f'encoder.block_{level}_{number}', _BLOCK)
    if level < len(config.halves_time):
      yield layer(next(places), f'encoder.down_{level}', _STEP)
  yield from _middle('encoder')
  yield from diffusers.head('encoder', _NORM, _CONV)
  yield layer('quant_conv', 'encoder.last', _CONV)
  yield layer('post_quant_conv', 'decoder.first', _CONV)
  yield layer('decoder.conv_in', 'decoder.stem', _CONV)
  yield from _middle('decoder')
  for level in range(len(config.multiples)):
    place = f'decoder.up_blocks.{level}'
    for number in range(config.blocks + 1):
      name = f'decoder.block_{level}_{number}'
      yield layer(f'{place}.resnets.{number}', name, _BLOCK)
    yield layer(f'{place}.upsamplers.0', f'decoder.up_{level}', _STEP)
  yield from diffusers.head('decoder', _NORM, _CONV)


def _middle(side: str) -> Iterator[diffusers.Layer]:
  """What runs at the latents' resolution."""
  there = f'{side}.mid_block'
  yield diffusers.Layer(f'{there}.resnets.0', f'{side}.middle_0', _BLOCK)
  name = f'{side}.attention'
  yield diffusers.Layer(f'{there}.attentions.0', name, _ATTENTION)
  yield diffusers.Layer(f'{there}.resnets.1', f'{side}.middle_1', _BLOCK)
