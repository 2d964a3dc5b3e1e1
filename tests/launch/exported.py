"""Models of ours as PyTorch has them: an export made by hand, for referees."""

from collections.abc import Mapping
import dataclasses
import importlib.util
import json
import pathlib
import sys
from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
from safetensors import torch as safetensors
import torch

from tests import tiny
from tv2tv_jax.sample import settings as settings_lib
from tv2tv_jax.train import checkpoint

SOURCE = pathlib.Path(__file__).parents[2] / 'launch/pytorch/modeling_tv2tv.py'
_TOWER = {
  'attention_norm.scale': 'input_layernorm',
  'query.kernel': 'self_attn.q_proj',
  'key.kernel': 'self_attn.k_proj',
  'value.kernel': 'self_attn.v_proj',
  'output.kernel': 'self_attn.o_proj',
  'feed_forward_norm.scale': 'post_attention_layernorm',
  'feed_forward.gate.kernel': 'mlp.gate_proj',
  'feed_forward.up.kernel': 'mlp.up_proj',
  'feed_forward.down.kernel': 'mlp.down_proj',
}


def imported(path: pathlib.Path):
  """The file as a module, as who has only the folder has it."""
  spec = importlib.util.spec_from_file_location('modeling_tv2tv', path)
  module = importlib.util.module_from_spec(spec)
  sys.modules['modeling_tv2tv'] = module
  spec.loader.exec_module(module)
  return module


modeling = imported(SOURCE)


def tensors(model: nnx.Module, vae: nnx.Module) -> dict[str, np.ndarray]:
  """All numbers, by PyTorch's names and in its orders of axes."""
  out = {}
  for name, leaf in checkpoint.named(model).items():
    value = np.asarray(leaf)
    if name.startswith('transformer.blocks.'):
      tower, _, kind = name.removeprefix('transformer.blocks.').partition('.')
      for number, each in enumerate(value):
        key = f'{tower}.layers.{number}.{_TOWER[kind]}.weight'
        out[key] = _turned(each, kind.startswith('output'))
    elif name.startswith('frames.'):
      out[_renamed(name)] = _frames(name, value)
    else:
      key = {
        'embedding': 'embed_tokens.weight',
        'head.kernel': 'lm_head.weight',
        'transformer.text_norm.scale': 'text.norm.weight',
        'transformer.video_norm.scale': 'video.norm.weight',
      }[name]
      out[key] = value.T if name == 'head.kernel' else value
  for name, leaf in checkpoint.named(vae).items():
    value = np.asarray(leaf)
    out[_renamed('vae.' + name)] = _conv(value) if value.ndim > 1 else value
  return {name: np.ascontiguousarray(value) for name, value in out.items()}


def _renamed(name: str) -> str:
  head, _, last = name.rpartition('.')
  last = {'kernel': 'weight', 'scale': 'weight'}.get(last, last)
  return f'{head}.{last}'


def _turned(kernel: np.ndarray, output: bool) -> np.ndarray:
  """A matrix `[in, out]`, one side in heads, as `[out, in]`."""
  if kernel.ndim == 1:
    return kernel
  if output:
    return kernel.reshape(-1, kernel.shape[-1]).T
  return kernel.reshape(kernel.shape[0], -1).T


def _frames(name: str, value: np.ndarray) -> np.ndarray:
  if not name.endswith('.kernel'):
    return value
  if value.ndim == 4:
    return _conv(value)
  return _turned(value, name.endswith('output.kernel'))


def _conv(kernel: np.ndarray) -> np.ndarray:
  """`[..., in, out]` as `[out, in, ...]`."""
  return np.moveaxis(kernel, (-1, -2), (0, 1))


def write(
  folder: pathlib.Path,
  model: nnx.Module,
  vae: nnx.Module,
  *,
  layout: str = 'tv2tv',
  sample: settings_lib.SampleConfig | None = None,
  held: Mapping[str, np.ndarray] | None = None,
) -> pathlib.Path:
  """An exported folder, of two shards."""
  folder.mkdir(parents=True, exist_ok=True)
  held = tensors(model, vae) if held is None else held
  numbers = {k: torch.tensor(np.asarray(v)) for k, v in held.items()}
  for part in range(2):
    names = sorted(numbers)[part::2]
    file = folder / f'model-0000{part + 1}-of-00002.safetensors'
    safetensors.save_file(
      {name: numbers[name] for name in names}, file, {'format': 'pt'}
    )
  index = {
    name: f'model-0000{number % 2 + 1}-of-00002.safetensors'
    for number, name in enumerate(sorted(numbers))
  }
  size = sum(value.nbytes for value in numbers.values())
  index = {'metadata': {'total_size': size}, 'weight_map': index}
  _json(folder, 'model.safetensors.index.json', index)
  _json(folder, 'config.json', config(model, vae, layout))
  sample = sample or settings_lib.SampleConfig()
  _json(folder, 'generation_config.json', dataclasses.asdict(sample))
  (folder / 'modeling_tv2tv.py').write_text(SOURCE.read_text())
  return folder


def config(model: nnx.Module, vae: nnx.Module, layout: str) -> dict[str, Any]:
  """What config.json says."""
  size = vae.config.latent_channels
  return {
    'architectures': ['Tv2tv'],
    'model_type': 'tv2tv',
    'auto_map': {
      'AutoConfig': 'modeling_tv2tv.Tv2tvConfig',
      'AutoModel': 'modeling_tv2tv.Tv2tv',
    },
    'torch_dtype': 'float32',
    'model': dataclasses.asdict(model.config),
    'vae': dataclasses.asdict(vae.config),
    'statistics': {
      'mean': [0.1 * number for number in range(size)],
      'std': [0.5 + 0.1 * number for number in range(size)],
    },
    'layout': layout,
    'rate': 17.5,
    'chunk_frames': vae.config.stride[0],
    'special': tiny.SPECIAL._asdict(),
    'vocab_size': tiny.Numbers.vocab_size,
    'silent': sorted(tiny.Numbers.silent),
  }


def _json(folder: pathlib.Path, name: str, value: Any) -> None:
  (folder / name).write_text(json.dumps(value))


def ported(model: nnx.Module, vae: nnx.Module, layout: str = 'tv2tv'):
  """The model in PyTorch, with all of our numbers."""
  fields = json.loads(json.dumps(config(model, vae, layout)))
  out = modeling.Tv2tv(modeling.Tv2tvConfig(**fields))
  held = {k: torch.tensor(v) for k, v in tensors(model, vae).items()}
  out.load_state_dict(held)  # Strict: every name is there, and no other.
  return out.eval()


def there(tree: Any) -> Any:
  """Arrays of ours as tensors, integers as PyTorch indexes by them."""
  value = torch.tensor(np.asarray(tree))
  return value.long() if value.dtype == torch.int32 else value


def streams(inputs: tuple) -> list:
  """`tiny.streams` as PyTorch's."""
  kinds = (modeling.Text, modeling.Chunks, modeling.Chunks)
  return [
    kind(*map(there, each)) for kind, each in zip(kinds, inputs, strict=True)
  ]


def difference(one: Any, other: Any) -> float:
  """The largest, between a tensor and an array."""
  one = one.detach().float().numpy() if torch.is_tensor(one) else one
  return float(np.abs(one - np.asarray(jnp.asarray(other), np.float32)).max())


def host(tree: Any) -> Any:
  """A pytree on the host."""
  return jax.tree.map(np.asarray, tree)
