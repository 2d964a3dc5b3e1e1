"""A stream that is absent costs nothing: text alone is a plain Llama."""

import jax
import jax.numpy as jnp
import pytest

from tests import tiny


def test_text_alone_never_runs_the_video_tower():
  model = tiny.model()
  text, _, _ = tiny.streams(
    tiny.row(tiny.STORY), tiny.latents(0, 1), tiny.latents(1, 1)
  )
  gradient = jax.jit(
    jax.grad(lambda model: jnp.sum(jnp.square(model(text).logits)))
  )(model)
  blocks = gradient.transformer.blocks
  assert all((leaf == 0).all() for leaf in jax.tree.leaves(blocks.video))
  assert all((leaf != 0).any() for leaf in jax.tree.leaves(blocks.text))


def test_text_alone_costs_what_a_plain_llama_costs():
  """Compiled operations beside two a weight and token, and attention's."""
  width, hidden, heads, key_heads, head, depth = 256, 512, 4, 2, 64, 2
  model = tiny.model(
    width=width,
    hidden=hidden,
    heads=heads,
    key_heads=key_heads,
    head_width=head,
    depth=depth,
    unroll=depth,  # A loop's body would be counted once.
    vocabulary=512,
  )
  length = 128
  row = tiny.row(tiny.STORY, text_length=length)
  text, clean, _ = tiny.streams(row, tiny.latents(0, 1), tiny.latents(1, 1))

  def operations(*streams):
    lowered = jax.jit(lambda model, *s: model(*s).logits).lower
    return lowered(model, *streams).compile().cost_analysis()['flops']

  weights = width * head * (2 * heads + 2 * key_heads) + 3 * width * hidden
  scores = 2 * length * heads * head  # Of a token with all keys, and back.
  each = 2 * (weights + scores)
  expected = length * (depth * each + 2 * width * 512)
  found = operations(text)
  assert found == pytest.approx(expected, rel=0.1)
  assert operations(text, clean) > 1.05 * found
