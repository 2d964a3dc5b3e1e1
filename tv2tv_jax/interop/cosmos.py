"""Cosmos' VAEs under our names: a folder of diffusers' `AutoencoderKLCosmos`.

A layer here is a layer there; convolutions of pictures have an axis of one for
time there. Where one of their steps changes nothing, we have none.
"""

from collections.abc import Iterator, Mapping
import pathlib
from typing import Any

from tv2tv_jax.interop import diffusers
from tv2tv_jax.interop import fields
from tv2tv_jax.interop import leaf as leaf_lib
from tv2tv_jax.vae import cosmos
from tv2tv_jax.vae import latents

_NAME = 'AutoencoderKLCosmos'
# What is not in a config.json, as diffusers has it.
_DEFAULTS = {
  'in_channels': 3,
  'out_channels': 3,
  'latent_channels': 16,
  'encoder_block_out_channels': [128, 256, 512, 512],
  'decode_block_out_channels': [256, 512, 512, 512],
  'attention_resolutions': [32],
  'resolution': 1024,
  'num_layers': 2,
  'patch_size': 4,
  'patch_type': 'haar',
  'spatial_compression_ratio': 8,
  'temporal_compression_ratio': 8,
}
_SIZES = (
  'in_channels',
  'out_channels',
  'latent_channels',
  'resolution',
  'num_layers',
  'patch_size',
  'spatial_compression_ratio',
  'temporal_compression_ratio',
)
_LISTS = (
  'encoder_block_out_channels',
  'decode_block_out_channels',
  'attention_resolutions',
)
_ONLY = {'scaling_factor': 1.0}

_PARAMETERS = {'kernel': 'weight', 'bias': 'bias', 'scale': 'weight'}
_CLIP, _PICTURE = 'O I T Y X->TYXIO', 'O I 1 Y X->YXIO'
_MATRIX = {'': diffusers.Inner('', _CLIP)}
_NORM = {'': diffusers.Inner('norm', 'D->D')}
_CONV = {
  'space': diffusers.Inner('conv_s', _CLIP),
  'time': diffusers.Inner('conv_t', _CLIP),
}
_BLOCK = {
  'norm_in': diffusers.Inner('norm1.norm', 'D->D'),
  'conv_in.space': diffusers.Inner('conv1.conv_s', _CLIP),
  'conv_in.time': diffusers.Inner('conv1.conv_t', _CLIP),
  'norm_out': diffusers.Inner('norm2.norm', 'D->D'),
  'conv_out.space': diffusers.Inner('conv2.conv_s', _CLIP),
  'conv_out.time': diffusers.Inner('conv2.conv_t', _CLIP),
  'skip': diffusers.Inner('conv_shortcut', _PICTURE),
}
_DOWN = {
  'space': diffusers.Inner('conv1', _PICTURE),
  'time': diffusers.Inner('conv2', _CLIP),
  'last': diffusers.Inner('conv3', _PICTURE),
}
_UP = {
  'time': diffusers.Inner('conv1', _CLIP),
  'space': diffusers.Inner('conv2', _PICTURE),
  'last': diffusers.Inner('conv3', _PICTURE),
}
_ATTENTION = {
  'norm': diffusers.Inner('norm.norm', 'D->D'),
  'query': diffusers.Inner('to_q', _PICTURE),
  'key': diffusers.Inner('to_k', _PICTURE),
  'value': diffusers.Inner('to_v', _PICTURE),
  'output': diffusers.Inner('to_out.0', _PICTURE),
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
  layers = _layers(model.config)
  return diffusers.source(folder, model, layers, _PARAMETERS)


def values(
  config: cosmos.CosmosConfig, statistics: latents.LatentStatistics
) -> dict[str, Any]:
  """The config.json of a VAE of ours.

  Attention over time sees all of a clip there, here no more than the `memory`
  of the config.
  """
  own = {
    'in_channels': config.channels,
    'out_channels': config.channels,
    'latent_channels': config.latent_channels,
    'encoder_block_out_channels': list(config.encoder_widths),
    'decode_block_out_channels': list(config.decoder_widths),
    'attention_resolutions': list(config.attention_resolutions),
    'resolution': config.resolution,
    'num_layers': config.blocks,
    'patch_size': config.patch,
    'patch_type': config.patching,
    'spatial_compression_ratio': config.space_stride,
    'temporal_compression_ratio': config.time_stride,
  }
  return diffusers.written(_NAME, own | _ONLY, statistics)


def leaves(config: cosmos.CosmosConfig) -> Iterator[leaf_lib.Leaf]:
  """Every tensor of a VAE of ours."""
  return diffusers.leaves(config, _layers(config), _PARAMETERS)


def _foreign(values: Mapping[str, Any]) -> Iterator[str]:
  """What keeps a config.json from being our VAE, a line each."""
  yield from fields.no_sizes(values, _SIZES)
  yield from fields.no_lists(values, _LISTS)
  if values['patch_type'] not in ('haar', 'rearrange'):
    yield (
      f"patch_type is {values['patch_type']!r}; supported are 'haar' and "
      "'rearrange'"
    )
  yield from fields.unsupported(values, _ONLY)
  yield from diffusers.other_channels(values)
  channels = values['latent_channels']
  yield from diffusers.foreign_statistics(values, channels, strict=False)


def _config(values: Mapping[str, Any]) -> cosmos.CosmosConfig:
  """The VAE that config.json tells of.

  Raises:
    ValueError: its widths and strides do not fit.
  """
  return cosmos.CosmosConfig(
    channels=values['in_channels'],
    latent_channels=values['latent_channels'],
    patch=values['patch_size'],
    patching=values['patch_type'],
    encoder_widths=tuple(values['encoder_block_out_channels']),
    decoder_widths=tuple(values['decode_block_out_channels']),
    blocks=values['num_layers'],
    time_stride=values['temporal_compression_ratio'],
    space_stride=values['spatial_compression_ratio'],
    resolution=values['resolution'],
    attention_resolutions=tuple(values['attention_resolutions']),
  )


def _layers(config: cosmos.CosmosConfig) -> Iterator[diffusers.Layer]:
  """All of them, in order, and some that this one need not have."""
  layer = diffusers.Layer
  yield layer('encoder.conv_in', 'encoder.stem', _CONV)
  for level in range(len(config.encoder_widths) - 1):
    place = f'encoder.down_blocks.{level}'
    for number in range(config.blocks):
      yield from _block(place, number, 'encoder', f'{level}_{number}')
    yield layer(f'{place}.downsamplers.0', f'encoder.down_{level}', _DOWN)
  yield from _middle('encoder')
  yield from diffusers.head('encoder', _NORM, _CONV)
  yield layer('quant_conv', 'encoder.last', _MATRIX)
  yield layer('post_quant_conv', 'decoder.first', _MATRIX)
  yield layer('decoder.conv_in', 'decoder.stem', _CONV)
  yield from _middle('decoder')
  for level in range(len(config.decoder_widths) - 1):
    place = f'decoder.up_blocks.{level}'
    for number in range(config.blocks + 1):
      yield from _block(place, number, 'decoder', f'{level}_{number}')
    yield layer(f'{place}.upsamplers.0', f'decoder.up_{level}', _UP)
  yield from diffusers.head('decoder', _NORM, _CONV)


def _block(
  place: str, number: int, side: str, name: str
) -> Iterator[diffusers.Layer]:
  """A residual block of a level, and the attention behind it."""
  resnet = f'{place}.resnets.{number}'
  yield diffusers.Layer(resnet, f'{side}.block_{name}', _BLOCK)
  yield from _attention(place, number, side, name)


def _attention(
  place: str, number: int, side: str, name: str
) -> Iterator[diffusers.Layer]:
  """Attention over space, then over time."""
  for there, here in (('attentions', 'space'), ('temp_attentions', 'time')):
    source = f'{place}.{there}.{number}'
    yield diffusers.Layer(source, f'{side}.{here}_{name}', _ATTENTION)


def _middle(side: str) -> Iterator[diffusers.Layer]:
  """What runs at the latents' resolution."""
  place = f'{side}.mid_block'
  yield diffusers.Layer(f'{place}.resnets.0', f'{side}.middle_0', _BLOCK)
  yield from _attention(place, 0, side, 'middle')
  yield diffusers.Layer(f'{place}.resnets.1', f'{side}.middle_1', _BLOCK)
