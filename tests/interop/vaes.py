"""Folders of tiny VAEs as diffusers writes them, whole or broken on purpose."""

import json

import diffusers
from safetensors import numpy as safetensors
import torch

CLASSES = {
  'wan-vae': diffusers.AutoencoderKLWan,
  'cosmos-vae': diffusers.AutoencoderKLCosmos,
}
_FILE = 'diffusion_pytorch_model.safetensors'
# The smallest of each family.
TINY = {
  'wan-vae': dict(
    base_dim=4,
    z_dim=2,
    dim_mult=[1, 2],
    num_res_blocks=1,
    temperal_downsample=[True],
    latents_mean=[0.5, -1.5],
    latents_std=[2.0, 0.25],
    scale_factor_temporal=2,
    scale_factor_spatial=2,
  ),
  'cosmos-vae': dict(
    latent_channels=2,
    encoder_block_out_channels=[4, 6, 8],
    decode_block_out_channels=[6, 4, 8],
    attention_resolutions=[8],
    resolution=32,
    num_layers=1,
    patch_size=4,
    spatial_compression_ratio=8,
    temporal_compression_ratio=4,
    latents_mean=[0.5, 1.5, -1.0, -1.0],
    latents_std=[2.0, 1.0, 0.5, 0.25],
  ),
}


def drawn(kind, **fields):
  """A VAE whose every number is drawn, none of them zero or one by birth."""
  torch.manual_seed(0)
  model = CLASSES[kind](**fields).eval()
  with torch.no_grad():
    for name, value in model.named_parameters():
      if name.endswith('bias'):
        value.normal_(0.0, 0.2)
      elif 'norm' in name:
        value.normal_(1.0, 0.3)
      else:
        value.normal_(0.0, value[0].numel() ** -0.5)
  return model


def write(folder, kind, held=None, **changes):
  """A folder of one file; changes are of its config.json alone.

  A change to `...` takes a field away; `held` are other tensors.
  """
  drawn(kind, **TINY[kind]).save_pretrained(folder)
  path = folder / 'config.json'
  config = json.loads(path.read_text()) | changes
  config = {k: v for k, v in config.items() if v is not ...}
  path.write_text(json.dumps(config))
  if held is not None:
    safetensors.save_file(held, folder / _FILE)
  return folder


def tensors(folder):
  """The tensors of a folder of one file."""
  return safetensors.load_file(folder / _FILE)
