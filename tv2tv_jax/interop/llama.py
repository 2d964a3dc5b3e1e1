"""Llama's weights under our names: a Hugging Face folder as a text tower.

A layer here is a layer there: only names, the order of axes and the split of
heads differ (query head `k G + g` reads key head `k`); both turn channel pairs
`(i, i + H/2)`. Names are those that `train/checkpoint.py` writes. What the
model stacks over layers is written layer by layer, `NAME.LAYER`, so that
memory holds one layer at a time.
"""

from collections.abc import Iterator
import math
import pathlib
import re
from typing import NamedTuple

import numpy as np

from tv2tv_jax.interop import llama_config
from tv2tv_jax.interop import safetensors

_EMBEDDING, _HEAD = 'model.embed_tokens.weight', 'lm_head.weight'
_STACK = 'transformer.blocks.text'
# Source name: our name, and the axes there and here. Axes that are folded into
# one there stand together.
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


class Leaf(NamedTuple):
  """A tensor there and here.

  Attributes:
    source: its name there.
    name: its name here.
    folded: its shape there.
    shape: its shape here.
    turned: whether its two axes change places.
  """

  source: str
  name: str
  folded: tuple[int, ...]
  shape: tuple[int, ...]
  turned: bool

  def read(self, tensor: safetensors.Tensor, dtype: np.dtype) -> np.ndarray:
    """The numbers as ours, with a few rows of the tensor beside them."""
    out = _empty(self.shape, dtype)
    into = out.reshape(self.folded[::-1]).T if self.turned else out
    bits = np.dtype(f'u{dtype.itemsize}')
    for first, rows in tensor.pieces():
      place = into[first : first + len(rows)]
      if dtype == rows.dtype:  # NumPy moves bits faster than bfloat16.
        place, rows = place.view(bits), rows.view(bits)
      place[...] = rows
    return out


def _empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
  """An array whose memory JAX takes over: it begins at a multiple of 64."""
  size = math.prod(shape) * dtype.itemsize
  memory = np.empty(size + 64, np.uint8)
  begin = -memory.ctypes.data % 64
  return memory[begin : begin + size].view(dtype).reshape(shape)


class Source(NamedTuple):
  """A folder whose every name and shape is as its config.json says.

  Attributes:
    model: its shape.
    parts: leaves; those of a part are written together.
    tensors: what they are read from, by source name.
    left: tensors of the folder that are not kept, and why.
  """

  model: llama_config.TextModel
  parts: list[list[Leaf]]
  tensors: dict[str, safetensors.Tensor]
  left: dict[str, str]


def source(folder: pathlib.Path) -> Source:
  """All that the folder holds; no data is read but a second output layer's.

  Raises:
    ValueError: it holds no such model, or not all of it, or something else.
  """
  model = llama_config.text_model(folder)
  tensors = safetensors.tensors(folder)
  parts = _parts(model)
  left = {}
  for name in tensors:
    match = _FREQUENCIES.fullmatch(name)
    if match and int(match[1]) < model.towers.depth:
      left[name] = 'follows from config.json'
  if model.tied and _HEAD in tensors:
    left[_HEAD] = f'equal to {_EMBEDDING}'
  wanted = {leaf.source: leaf for part in parts for leaf in part}
  wrong = list(
    _wrong(wanted, {n: t for n, t in tensors.items() if n not in left})
  )
  if wrong:
    raise ValueError(
      f'{folder}: not the model of its config.json: {"; ".join(wrong)}'
    )
  if _HEAD in left and not _equal(tensors[_HEAD], tensors[_EMBEDDING]):
    raise ValueError(
      f'{folder}: config.json ties the output layer to the embedding, but '
      f'{_HEAD} differs from {_EMBEDDING}'
    )
  return Source(model, parts, tensors, left)


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


def _parts(model: llama_config.TextModel) -> list[list[Leaf]]:
  """The embedding, each layer, the last norm, the output layer."""
  towers = model.towers
  sizes = {
    'V': model.vocabulary,
    'D': towers.width,
    'K': towers.key_heads,
    'G': towers.heads // towers.key_heads,
    'H': towers.head_width,
    'F': towers.hidden,
  }
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


def _leaf(source: str, name: str, axes: str, sizes: dict[str, int]) -> Leaf:
  """The leaf of an entry of the table."""
  there, here = axes.split('->')
  return Leaf(
    source,
    name,
    tuple(math.prod(sizes[a] for a in group) for group in there.split()),
    tuple(sizes[axis] for axis in here),
    turned=there.replace(' ', '') != here,
  )


def _wrong(
  wanted: dict[str, Leaf], found: dict[str, safetensors.Tensor]
) -> Iterator[str]:
  """Every name and shape that is not as wanted."""
  missing = [name for name in wanted if name not in found]
  extra = [name for name in found if name not in wanted]
  if missing:
    yield f'missing {", ".join(missing)}'
  if extra:
    yield f'not known {", ".join(extra)}'
  for name in wanted:
    if name in found and found[name].shape != wanted[name].folded:
      yield (
        f'{name} is {list(found[name].shape)}, not {list(wanted[name].folded)}'
      )


def _equal(one: safetensors.Tensor, other: safetensors.Tensor) -> bool:
  """Whether two tensors are the same bits."""
  if one.shape != other.shape or one.dtype != other.dtype:
    return False
  return all(
    np.array_equal(a.view(np.uint8), b.view(np.uint8))
    for (_, a), (_, b) in zip(one.pieces(), other.pieces(), strict=True)
  )
