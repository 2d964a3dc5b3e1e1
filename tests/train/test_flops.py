"""A step's operations by formula are those of the program, part by part."""

import dataclasses

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import tiny
from tv2tv_jax.interleave import streams
from tv2tv_jax.interleave import timeline
from tv2tv_jax.train import chips
from tv2tv_jax.train import flops
from tv2tv_jax.tv2tv import frames
from tv2tv_jax.tv2tv import model as model_lib
from tv2tv_jax.tv2tv import presets

_WORDS, _CHUNKS = 48, 3


def _wide(**changes) -> model_lib.ModelConfig:
  """Wide enough that matrix products are nearly all that is computed."""
  coder = dict(rows=8, columns=8, channels=(64, 128), blocks=(1, 2))
  coder |= dict(
    attention_heads=2, time_features=32, remat='none'
  ) | changes.pop('coder', {})
  return dataclasses.replace(
    tiny.config(width=256, heads=8, head_width=64, hidden=512, **changes),
    vocabulary=2048,
    frames=frames.FramesConfig(**coder),
  )


def _by_xla(config: model_lib.ModelConfig, batch: int = 2) -> float:
  """Operations of a row on its way forward, as XLA counts them.

  Its analysis sees a loop's body once, so that here no layers are in a loop.
  """
  towers = dataclasses.replace(config.towers, unroll=config.towers.depth)
  config = dataclasses.replace(config, towers=towers)
  model = jax.eval_shape(lambda: model_lib.Tv2tv(config, rngs=nnx.Rngs(0)))
  shape = (batch, _CHUNKS, config.frames.rows, config.frames.columns, 16)
  words = jax.ShapeDtypeStruct((batch, _WORDS), jnp.int32)
  chunk = jax.ShapeDtypeStruct(shape[:2], jnp.int32)
  time = jax.ShapeDtypeStruct(shape[:2], jnp.float32)
  film = jax.ShapeDtypeStruct(shape, jnp.float32)
  text = model_lib.Text(words, words, words)
  chunks = model_lib.Chunks(film, time, chunk, chunk)

  def run(model, *inputs):
    out = model(*inputs)
    return out.logits, out.velocity

  lowered = jax.jit(run).lower(model, text, chunks, chunks)
  return lowered.cost_analysis()['flops'] / batch


def _by_formula(config: model_lib.ModelConfig) -> float:
  """Likewise by the formula, but that attention looks at all pairs.

  Without a plan scores of all pairs are computed, and masked.
  """
  parts = flops.forward(config, chunks=_CHUNKS, text_length=_WORDS)
  seen = flops.pairs(config, chunks=_CHUNKS, text_length=_WORDS)
  film = _CHUNKS * config.frames.tokens
  computed = (_WORDS + film) * (_WORDS + 2 * film)
  computed += film * config.frames.tokens  # Noisy chunks, each to itself.
  return sum(parts) + parts.attention * (computed / seen - 1)


@pytest.mark.parametrize(
  'changes',
  [
    dict(),
    dict(depth=4),  # The difference is two layers.
    dict(tied=False),
    dict(coder=dict(coder='linear')),
    dict(coder=dict(channels=(32, 64, 128), blocks=(2, 1, 1))),
    dict(coder=dict(attention_heads=0)),
  ],
)
def test_the_formula_counts_what_xla_counts(changes):
  config = _wide(**changes)
  # XLA counts norms, masks and softmax too: a few in a hundred at this width.
  ratio = _by_xla(config) / _by_formula(config)
  assert 1.0 < ratio < 1.05


_HALVES = (0, 3), (1, 2)  # Stretches of a row on two devices.


def _looked_at(config: model_lib.ModelConfig, row) -> np.ndarray:
  """Keys that each query sees under the mask of the model itself."""
  shape = dict(tokens=config.frames.tokens, span=config.span)
  text = timeline.of_text(row.index, row.story)
  clean = timeline.of_clean(row.chunk_index, row.chunk_story, **shape)
  noisy = timeline.of_noisy(row.chunk_index, row.chunk_story, **shape)
  everything = streams.joined_places(text, clean, noisy)
  window = dict(window=config.towers.window, sink=config.towers.sink)
  visible = timeline.visible(everything, everything, **window)
  return np.asarray(visible.sum(axis=-1)).reshape(-1)


@pytest.mark.parametrize(
  'changes',
  [
    dict(),
    dict(chunk_places='chunk'),
    dict(window=12, sink=2),
    dict(window=3, chunk_places='chunk'),
  ],
)
def test_pairs_are_those_of_the_mask(changes):
  config = tiny.config(**changes)
  words, chunks = 12, 4
  # Three text tokens before each chunk, on the timeline.
  place = np.arange(words)
  index = place + config.span * (place // 3)
  start = np.arange(chunks) * (3 + config.span) + 3
  whole = dict(tokens=None, kind=None, segment=None)
  row = tiny.story_lib.Row(
    index=jnp.asarray(index[None], jnp.int32),
    story=jnp.zeros((1, words), jnp.int32),
    chunk_index=jnp.asarray(start[None], jnp.int32),
    chunk_story=jnp.zeros((1, chunks), jnp.int32),
    **whole,
  )
  shape = dict(chunks=chunks, text_length=words)
  seen = _looked_at(config, row)
  assert flops.pairs(config, **shape) == seen.sum()
  film = chunks * config.frames.tokens
  text, clean, noisy = np.split(seen, (words, words + film))
  halves = [np.split(x, 4) for x in (text, clean, noisy)]
  dealt = [sum(x[a].sum() + x[b].sum() for x in halves) for a, b in _HALVES]
  assert flops.pairs(config, **shape, devices=2) == max(dealt)
  # Three chunks cannot be dealt out in stretches of one length.
  fewer = dict(chunks=3, text_length=9)
  total = flops.pairs(config, **fewer)
  assert 1.04 < 3 * flops.pairs(config, **fewer, devices=3) / total < 1.8
  with pytest.raises(ValueError, match='5 devices do not divide 12 words'):
    flops.pairs(config, **shape, devices=5)


def test_pairs_are_the_sum_of_the_paper_s_table():
  """(3), where the words are spread evenly to the token."""
  config = presets.preset('100m')
  words, chunks, tokens = 90, 9, config.frames.tokens
  by_hand = words * (words + 1) // 2 + words * chunks * tokens
  by_hand += tokens**2 * chunks * (chunks + 1)
  by_hand += words * tokens * (chunks + 1) // 2
  assert flops.pairs(config, chunks=chunks, text_length=words) == by_hand


def test_a_step_is_three_ways_forward_of_every_row():
  config = presets.preset('tiny')
  sizes = dict(chunks=_CHUNKS, text_length=_WORDS)
  one = sum(flops.forward(config, **sizes))
  cost = flops.cost(config, rows=5, **sizes)
  assert cost.flops == pytest.approx(15 * one)
  assert cost.tokens == 5 * (_WORDS + 2 * _CHUNKS * config.frames.tokens)


def test_what_is_computed_again_does_not_count():
  config = presets.preset('100m')
  assert config.towers.remat != 'none'
  towers = dataclasses.replace(config.towers, remat='none')
  kept = dataclasses.replace(config, towers=towers)
  sizes = dict(rows=2, chunks=_CHUNKS, text_length=_WORDS)
  assert flops.cost(config, **sizes) == flops.cost(kept, **sizes)


def test_the_paper_s_models_cost_six_operations_a_parameter_and_token():
  """Where nothing but the towers counts; the rest comes on top of it."""
  config = presets.preset('8b')
  parts = flops.forward(config, chunks=_CHUNKS, text_length=_WORDS)
  tower = 6_979_321_856  # Of Llama-3.1-8B without norms and tables.
  assert parts.text == 2 * tower * _WORDS
  assert parts.video == 4 * tower * _CHUNKS * config.frames.tokens


@pytest.mark.parametrize(
  ('kind', 'name'),
  [
    ('TPU v4', 'v4'),
    ('TPU v5 lite', 'v5e'),
    ('TPU v5', 'v5p'),
    ('TPU v6 lite', 'v6e'),
    ('TPU7x', 'tpu7x'),
    ('NVIDIA H100 80GB HBM3', 'H100'),
    ('NVIDIA H200', 'H200'),
  ],
)
def test_a_chip_is_known_by_the_name_that_jax_gives_it(kind, name):
  assert chips.of(kind).name == name


def test_a_cpu_is_no_chip_with_a_peak():
  assert chips.of(jax.devices('cpu')[0].device_kind) is None
