"""The config.json of a Llama as the shape of our text tower."""

from collections.abc import Iterator, Mapping
import dataclasses
import pathlib
from typing import Any

from tv2tv_jax.interop import fields
from tv2tv_jax.mot import tower
from tv2tv_jax.nn import norm
from tv2tv_jax.nn import rope as rope_lib

_SIZES = (
  'vocab_size',
  'hidden_size',
  'intermediate_size',
  'num_hidden_layers',
  'num_attention_heads',
)
_SCALING = (
  'factor',
  'low_freq_factor',
  'high_freq_factor',
  'original_max_position_embeddings',
)
_ONLY = {
  'hidden_act': 'silu',
  'attention_bias': False,
  'mlp_bias': False,
  'quantization_config': None,
  'rms_norm_eps': norm.EPSILON,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextModel:
  """What a run must agree with to start from these weights.

  Attributes:
    vocabulary: tokens.
    towers: the shape of the text tower.
    tied: whether the embedding is also the output layer.
  """

  vocabulary: int
  towers: tower.MotConfig
  tied: bool


def text_model(folder: pathlib.Path) -> TextModel:
  """The shape that config.json tells of.

  Raises:
    ValueError: what it tells of is no Llama, or one that the tower cannot be;
      names every field that is in the way.
  """
  values = fields.of(folder)
  fields.refuse(folder, _foreign(values))
  heads, width = values['num_attention_heads'], values['hidden_size']
  towers = tower.MotConfig(
    width=width,
    depth=values['num_hidden_layers'],
    heads=heads,
    key_heads=values.get('num_key_value_heads') or heads,
    head_width=values.get('head_dim') or width // heads,
    hidden=values['intermediate_size'],
    rope=_rope(values),
  )
  return TextModel(
    vocabulary=values['vocab_size'],
    towers=towers,
    tied=bool(values.get('tie_word_embeddings', False)),
  )


def values(model: TextModel) -> dict[str, Any]:
  """The config.json of our text tower as a `LlamaForCausalLM`.

  Raises:
    ValueError: it is none; names every field that is in the way.
  """
  towers = model.towers
  plain = {'query_key_norm': False, 'window': 0}
  wrong = [
    f'config.model.towers.{name} is {getattr(towers, name)!r}, a Llama has '
    f'{value!r} there'
    for name, value in plain.items()
    if getattr(towers, name) != value
  ]
  if wrong:
    raise ValueError(f'the text tower is no Llama: {"; ".join(wrong)}')
  rope = {'rope_type': 'default', 'rope_theta': towers.rope.theta}
  if towers.rope.factor != 1:
    rope |= {
      'rope_type': 'llama3',
      'factor': towers.rope.factor,
      'low_freq_factor': towers.rope.low,
      'high_freq_factor': towers.rope.high,
      'original_max_position_embeddings': towers.rope.original_length,
    }
  sizes = (
    model.vocabulary,
    towers.width,
    towers.hidden,
    towers.depth,
    towers.heads,
  )
  return {
    'architectures': ['LlamaForCausalLM'],
    'model_type': 'llama',
    **dict(zip(_SIZES, sizes, strict=True)),
    'num_key_value_heads': towers.key_heads,
    'head_dim': towers.head_width,
    **{name: value for name, value in _ONLY.items() if value is not None},
    # Two generations of config.json write rope differently.
    'rope_theta': towers.rope.theta,
    'rope_scaling': rope if towers.rope.factor != 1 else None,
    'rope_parameters': rope,
    'tie_word_embeddings': model.tied,
  }


def _foreign(values: Mapping[str, Any]) -> Iterator[str]:
  """What keeps a config.json from being our text tower, a line each."""
  names = values.get('architectures') or ['LlamaForCausalLM']
  if values.get('model_type') != 'llama' or names != ['LlamaForCausalLM']:
    yield (
      f'model_type is {values.get("model_type")!r} and architectures is '
      f"{values.get('architectures')!r}; read is 'llama', ['LlamaForCausalLM']"
    )
    return
  optional = [n for n in ('num_key_value_heads', 'head_dim') if values.get(n)]
  sizes = {name: values.get(name) for name in (*_SIZES, *optional)}
  bad = list(fields.no_sizes(sizes, sizes))
  yield from bad
  yield from fields.unsupported({'rms_norm_eps': 1e-6} | values, _ONLY)
  yield from _foreign_rope(values)
  if bad:
    return
  heads, width = sizes['num_attention_heads'], sizes['hidden_size']
  if heads % sizes.get('num_key_value_heads', heads):
    yield (
      f'num_key_value_heads is {sizes["num_key_value_heads"]}, no divisor of '
      f'num_attention_heads = {heads}'
    )
  if sizes.get('head_dim', width // heads) % 2:
    yield f'head_dim is {sizes.get("head_dim", width // heads)}, which is odd'


def _rope_values(values: Mapping[str, Any]) -> dict[str, Any]:
  """Rope's fields, which two generations of config.json write differently."""
  names = ('rope_theta', 'partial_rotary_factor')
  out = {'rope_theta': 1e4} | {n: values[n] for n in names if n in values}
  for name in ('rope_scaling', 'rope_parameters'):
    out |= values.get(name) or {}
  out.setdefault('rope_type', out.get('type', 'default'))
  return out


def _foreign_rope(values: Mapping[str, Any]) -> Iterator[str]:
  """What keeps rope from being ours, a line each."""
  names = ('rope_scaling', 'rope_parameters')
  wrong = [n for n in names if not isinstance(values.get(n) or {}, dict)]
  if wrong:
    yield from (f'{name} is {values[name]!r}, no mapping' for name in wrong)
    return
  rope = _rope_values(values)
  kind = rope['rope_type']
  if kind not in ('default', 'llama3'):
    yield f"rope_type is {kind!r}; supported are 'default' and 'llama3'"
    return
  part = rope.get('partial_rotary_factor') or 1
  if part != 1:
    yield f'partial_rotary_factor is {part!r}; supported is 1'
  needed = ['rope_theta', *(_SCALING if kind == 'llama3' else ())]
  bad = [
    name
    for name in needed
    if type(rope.get(name)) not in (int, float) or rope[name] <= 0
  ]
  yield from (f'{n} of rope is {rope.get(n)!r}, not positive' for n in bad)
  if kind == 'llama3' and not bad:
    low, high = rope['low_freq_factor'], rope['high_freq_factor']
    if high <= low:
      yield f'high_freq_factor is {high}, not above low_freq_factor = {low}'


def _rope(values: Mapping[str, Any]) -> rope_lib.RopeConfig:
  """Rope as config.json tells of it."""
  rope = _rope_values(values)
  theta = float(rope['rope_theta'])
  if rope['rope_type'] == 'default':
    return rope_lib.RopeConfig(theta=theta)
  return rope_lib.RopeConfig(
    theta=theta,
    factor=float(rope['factor']),
    low=float(rope['low_freq_factor']),
    high=float(rope['high_freq_factor']),
    original_length=int(rope['original_max_position_embeddings']),
  )
