"""Llama's weights under our names: a Hugging Face folder as a text tower.

A layer here is a layer there: only names, the order of axes and the split of
heads differ (query head `k G + g` reads key head `k`); both turn channel pairs
`(i, i + H/2)`. Names are those that `train/checkpoint.py` writes. What the
model stacks over layers is written layer by layer, `NAME._LAYER`, so that
memory holds one layer at a time.
"""

import pathlib
import re

import numpy as np

from tv2tv_jax.interop import leaf as leaf_lib
from tv2tv_jax.interop import llama_config
from tv2tv_jax.interop import safetensors
from tv2tv_jax.mot import tower as tower_lib

_STEM = 'model'  # Of the names of its files.
_EMBEDDING, _HEAD = 'model.embed_tokens.weight', 'lm_head.weight'
_STACK = 'transformer.blocks.text'
# Source name: our name, and the axes there and here (see leaf.py).
_ENDS = {
  _EMBEDDING: ('embedding', 'V D->VD'),
  'model.norm.weight': ('transformer.text_norm.scale', 'D->D'),
  _HEAD: ('head.kernel', 'V D->DV'),
}
_LAYER = {
  'input_layernorm.weight': ('attention_norm.scale', 'D->D'),
  'self_attn.q_proj.weight': ('query.kernel', 'KGH D->DKGH'),
  'self_attn.k_proj.weight': ('key.kernel', 'KH D->DKH'),
  'self_attn.v_proj.weight': ('value.kernel', 'KH D->DKH'),
  'self_attn.o_proj.weight': ('output.kernel', 'D KGH->KGHD'),
  'post_attention_layernorm.weight': ('feed_forward_norm.scale', 'D->D'),
  'mlp.gate_proj.weight': ('feed_forward.gate.kernel', 'F D->DF'),
  'mlp.up_proj.weight': ('feed_forward.up.kernel', 'F D->DF'),
  'mlp.down_proj.weight': ('feed_forward.down.kernel', 'D F->FD'),
}
# Old checkpoints carry the frequencies of each layer too.
_FREQUENCIES = re.compile(
  r'model\.layers\.(\d+)\.self_attn\.rotary_emb\.inv_freq'
)


def source(folder: pathlib.Path) -> leaf_lib.Source:
  """All that the folder holds; no data is read but a second output layer's.

  Raises:
    ValueError: it holds no such model, or not all of it, or something else.
  """
  model = llama_config.text_model(folder)
  tensors = safetensors.tensors(folder, _STEM)
  parts = _parts(model)
  left = {}
  for name in tensors:
    match = _FREQUENCIES.fullmatch(name)
    if match and int(match[1]) < model.towers.depth:
      left[name] = 'follows from config.json'
  if model.tied and _HEAD in tensors:
    left[_HEAD] = f'equal to {_EMBEDDING}'
  kept = {name: t for name, t in tensors.items() if name not in left}
  leaf_lib.check(folder, parts, kept)
  if _HEAD in left and not _equal(tensors[_HEAD], tensors[_EMBEDDING]):
    raise ValueError(
      f'{folder}: config.json ties the output layer to the embedding, but '
      f'{_HEAD} differs from {_EMBEDDING}'
    )
  return leaf_lib.Source(model, parts, tensors, left)


def stored(model: llama_config.TextModel) -> dict[str, str | tuple[str, ...]]:
  """Our leaves and their names on disk: a name for each layer where stacked."""
  names = {
    ours: ours
    for name, (ours, _) in _ENDS.items()
    if name != _HEAD or not model.tied
  }
  for ours, _ in _LAYER.values():
    name = f'{_STACK}.{ours}'
    names[name] = tuple(f'{name}.{i}' for i in range(model.towers.depth))
  return names


def tower(
  there: str, here: str, towers: tower_lib.MotConfig
) -> list[leaf_lib.Leaf]:
  """The layers of a tower, as slices of what is stacked here.

  Args:
    there: what their names begin with, as `model`.
    here: the name of the stack.
    towers: the shape of the tower.
  """
  sizes = _sizes(towers)
  return [
    _leaf(
      f'{there}.layers.{at}.{name}', f'{here}.{ours}', axes, sizes
    )._replace(layer=at)
    for at in range(towers.depth)
    for name, (ours, axes) in _LAYER.items()
  ]


def text_tower(model: llama_config.TextModel) -> list[leaf_lib.Leaf]:
  """A `LlamaForCausalLM` of our embedding, text tower and output layer."""
  sizes = _sizes(model.towers) | {'V': model.vocabulary}
  ends = {
    name: _leaf(name, *entry, sizes)
    for name, entry in _ENDS.items()
    if name != _HEAD or not model.tied
  }
  layers = tower('model', _STACK, model.towers)
  return [ends.pop(_EMBEDDING), *layers, *ends.values()]


def _parts(model: llama_config.TextModel) -> list[list[leaf_lib.Leaf]]:
  """The embedding, each layer, the last norm, the output layer."""
  towers = model.towers
  sizes = _sizes(towers) | {'V': model.vocabulary}
  ends = {
    name: [_leaf(name, *entry, sizes)]
    for name, entry in _ENDS.items()
    if name != _HEAD or not model.tied
  }
  layers = [
    [
      _leaf(
        f'model.layers.{layer}.{name}',
        f'{_STACK}.{ours}.{layer}',
        axes,
        sizes,
      )
      for name, (ours, axes) in _LAYER.items()
    ]
    for layer in range(towers.depth)
  ]
  return [ends.pop(_EMBEDDING), *layers, *ends.values()]


def _sizes(towers: tower_lib.MotConfig) -> dict[str, int]:
  """How long the axes of a layer are."""
  return {
    'D': towers.width,
    'K': towers.key_heads,
    'G': towers.heads // towers.key_heads,
    'H': towers.head_width,
    'F': towers.hidden,
  }


def _leaf(
  source: str, name: str, axes: str, sizes: dict[str, int]
) -> leaf_lib.Leaf:
  """The leaf of an entry of the table."""
  here = axes.partition('->')[2]
  return leaf_lib.Leaf(source, name, axes, tuple(sizes[a] for a in here))


def _equal(one: safetensors.Tensor, other: safetensors.Tensor) -> bool:
  """Whether two tensors are the same bits."""
  if one.shape != other.shape or one.dtype != other.dtype:
    return False
  return all(
    np.array_equal(a.view(np.uint8), b.view(np.uint8))
    for (_, a), (_, b) in zip(one.pieces(), other.pieces(), strict=True)
  )
