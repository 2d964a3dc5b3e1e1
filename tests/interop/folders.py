"""Hugging Face folders of a tiny Llama, whole or broken on purpose."""

import json
import struct

import numpy as np
from safetensors import numpy as safetensors

CONFIG = {
  'architectures': ['LlamaForCausalLM'],
  'model_type': 'llama',
  'vocab_size': 24,
  'hidden_size': 12,
  'intermediate_size': 20,
  'num_hidden_layers': 2,
  'num_attention_heads': 4,
  'num_key_value_heads': 2,
  'head_dim': 6,
  'hidden_act': 'silu',
  'rms_norm_eps': 1e-5,
  'rope_theta': 1e4,
  'tie_word_embeddings': False,
}
_LAYER = {
  'input_layernorm': (12,),
  'post_attention_layernorm': (12,),
  'self_attn.q_proj': (24, 12),
  'self_attn.k_proj': (12, 12),
  'self_attn.v_proj': (12, 12),
  'self_attn.o_proj': (12, 24),
  'mlp.gate_proj': (20, 12),
  'mlp.up_proj': (20, 12),
  'mlp.down_proj': (12, 20),
}


def tensors() -> dict[str, np.ndarray]:
  """The tensors of `CONFIG`, all different."""
  shapes = {
    'model.embed_tokens.weight': (24, 12),
    'model.norm.weight': (12,),
    'lm_head.weight': (24, 12),
  }
  for i in range(CONFIG['num_hidden_layers']):
    shapes |= {
      f'model.layers.{i}.{name}.weight': shape for name, shape in _LAYER.items()
    }
  rng = np.random.default_rng(0)
  return {n: rng.normal(size=s).astype('f4') for n, s in shapes.items()}


def write(folder, held=None, **changes):
  """A folder of one file; a change of None takes a field of CONFIG away."""
  folder.mkdir(parents=True, exist_ok=True)
  config = {k: v for k, v in (CONFIG | changes).items() if v is not None}
  (folder / 'config.json').write_text(json.dumps(config))
  held = tensors() if held is None else held
  safetensors.save_file(held, folder / 'model.safetensors')
  return folder


def shard(folder):
  """Splits the one file in two, with an index; returns the index."""
  single = folder / 'model.safetensors'
  held = list(safetensors.load_file(single).items())
  single.unlink()
  places = {}
  for i in range(2):
    name = f'model-0000{i + 1}-of-00002.safetensors'
    part = dict(held[i::2])
    safetensors.save_file(part, folder / name)
    places |= dict.fromkeys(part, name)
  index = folder / 'model.safetensors.index.json'
  index.write_text(json.dumps({'weight_map': places}))
  return index


def hollow(path, shapes):
  """A file of zeros in bfloat16, of which the disk holds the header."""
  header, end = {}, 0
  for name, shape in shapes.items():
    begin, end = end, end + 2 * int(np.prod(shape))
    header[name] = dict(dtype='BF16', shape=shape, data_offsets=(begin, end))
  text = json.dumps(header).encode()
  with path.open('wb') as file:
    file.write(struct.pack('<Q', len(text)) + text)
    file.truncate(8 + len(text) + end)
