"""A model small enough to test every law on, and rows to feed it."""

from collections.abc import Sequence
import dataclasses

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from tv2tv_jax import sharding
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.interleave import tokens as tokens_lib
from tv2tv_jax.mot import tower
from tv2tv_jax.tv2tv import frames
from tv2tv_jax.tv2tv import model as model_lib

SPECIAL = tokens_lib.SpecialTokens(pad=0, bos=1, eos=2, bof=3, eof=4)


class Numbers:
  """A tokenizer of numbers: each is its own token."""

  special = SPECIAL
  vocab_size = 30  # Two fewer than the model has room for.
  silent = frozenset((*SPECIAL, 5))

  def encode(self, text: str) -> list[int]:
    """The ids of a text."""
    return [int(word) for word in text.split()]

  def decode(self, ids: Sequence[int]) -> str:
    """The text of ids."""
    return ' '.join(map(str, ids))


STORY = story_lib.Story(
  prompt=(7, 8), words=((), (9, 10), (), (11,)), ended=True
)


def config(**changes) -> model_lib.ModelConfig:
  """A ModelConfig in fp32; `changes` are fields of it or of its towers."""
  fields = {field.name for field in dataclasses.fields(model_lib.ModelConfig)}
  whole = {name: changes.pop(name) for name in fields & set(changes)}
  towers = dict(
    width=32,
    depth=2,
    heads=4,
    key_heads=2,
    head_width=8,
    hidden=48,
    query_key_norm=True,
    remat='none',
  )
  small = model_lib.ModelConfig(
    vocabulary=32,
    towers=tower.MotConfig(**towers | changes),
    frames=frames.FramesConfig(
      rows=4,
      columns=4,
      latent=3,
      channels=(8, 16),
      blocks=(1, 1),
      attention_heads=2,
      time_features=16,
      remat='none',
    ),
    video_init='random',
    dtype='float32',
  )
  return dataclasses.replace(small, **whole)


def born(**changes) -> model_lib.Tv2tv:
  """A model as it is born, but that its velocities are not zero."""

  @jax.jit
  def make(key: jax.Array) -> model_lib.Tv2tv:
    out = model_lib.Tv2tv(config(**changes), rngs=nnx.Rngs(key))
    kernel = out.frames.last.kernel
    kernel[...] = 0.3 * jax.random.normal(key, kernel.shape)
    return out

  return make(jax.random.key(0, impl='rbg'))


def model(**changes) -> model_lib.Tv2tv:
  """A model whose every number shows; `changes` as of `config`."""
  return drawn(config(**changes))


def drawn(config: model_lib.ModelConfig) -> model_lib.Tv2tv:
  """A model in its layout, drawn by NumPy: nothing to compile."""
  rng = np.random.default_rng(0)
  abstract = sharding.abstract(
    lambda: model_lib.Tv2tv(config, rngs=nnx.Rngs(0))
  )

  def draw(path, leaf: jax.ShapeDtypeStruct) -> jax.Array:
    kind = jax.tree_util.keystr(path)
    numbers = ('scale' in kind) + 0.15 * rng.normal(size=leaf.shape)
    return jax.device_put(numbers.astype(leaf.dtype), leaf.sharding)

  return jax.tree_util.tree_map_with_path(draw, abstract)


def row(
  *stories: story_lib.Story | list[story_lib.Story],
  layout: str = 'tv2tv',
  text_length: int = 24,
  chunks: int = 5,
  span: int = 4,
  slots: story_lib.Slots | None = None,
) -> story_lib.Row:
  """Stories as a batch of rows, one a row; a list of them is one row."""
  rows = [
    story_lib.lay_out(
      story if isinstance(story, list) else [story],
      layout,
      special=SPECIAL,
      text_length=text_length,
      chunks=chunks,
      span=span,
      slots=slots,
    )
    for story in stories
  ]
  return story_lib.Row(*(jnp.stack(part) for part in zip(*rows, strict=True)))


def latents(seed: int, batch: int, chunks: int = 5) -> jax.Array:
  """Random latents of `config()`'s size."""
  shape = (batch, chunks, 4, 4, 3)
  values = np.random.default_rng(seed).normal(size=shape)
  return jnp.asarray(values, jnp.float32)


def streams(
  row: story_lib.Row, clean: jax.Array, noisy: jax.Array, t: float = 0.3
) -> tuple[model_lib.Text, model_lib.Chunks, model_lib.Chunks]:
  """The model's inputs: text, clean chunks, noisy chunks at time `t`."""
  ones = jnp.ones(clean.shape[:2])
  places = (row.chunk_index, row.chunk_story)
  return (
    model_lib.Text(row.tokens, row.index, row.story),
    model_lib.Chunks(clean, ones, *places),
    model_lib.Chunks(noisy, t * ones, *places),
  )


@jax.jit
def run(
  model: model_lib.Tv2tv, *inputs: model_lib.Text | model_lib.Chunks
) -> model_lib.Outputs:
  """The model, compiled: op by op it takes a hundred times as long."""
  return model(*inputs)
