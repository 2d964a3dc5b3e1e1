"""What a token may not see cannot change it, nor can the layout of a mesh."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import tiny
from tv2tv_jax import sharding
from tv2tv_jax.interleave import story as story_lib


@pytest.fixture(scope='module')
def model():
  return tiny.model()


@pytest.fixture(scope='module')
def row():
  return tiny.row(tiny.STORY)


def test_forbidden_gradients_are_exactly_zero(model, row):
  clean, noisy = tiny.latents(0, 1), tiny.latents(1, 1)

  def velocity_of(chunk, clean, noisy):
    out = model(*tiny.streams(row, clean, noisy))
    return jnp.sum(jnp.square(jnp.take(out.velocity, chunk, axis=1)))

  gradient = jax.jit(jax.grad(velocity_of, argnums=(1, 2)))
  for chunk in range(4):
    by_clean, by_noisy = gradient(chunk, clean, noisy)
    clean_size = np.abs(by_clean).max(axis=(0, 2, 3, 4))
    noisy_size = np.abs(by_noisy).max(axis=(0, 2, 3, 4))
    assert (clean_size[:chunk] > 0).all()
    assert (clean_size[chunk:] == 0).all()
    assert noisy_size[chunk] > 0
    assert (np.delete(noisy_size, chunk) == 0).all()


def test_words_never_see_noise_nor_the_future(model, row):
  clean, noisy = tiny.latents(0, 1), tiny.latents(1, 1)

  def logits_of(token, clean, noisy):
    out = model(*tiny.streams(row, clean, noisy))
    return jnp.sum(jnp.square(jnp.take(out.logits, token, axis=1)))

  gradient = jax.jit(jax.grad(logits_of, argnums=(1, 2)))
  for token in (3, 7, 14):
    by_clean, by_noisy = gradient(token, clean, noisy)
    assert (np.asarray(by_noisy) == 0).all()
    seen = row.chunk_index[0] < row.index[0, token]
    seen &= row.chunk_story[0] >= 0
    size = np.abs(by_clean).max(axis=(0, 2, 3, 4))
    np.testing.assert_array_equal(size > 0, seen)


def test_padding_changes_nothing(model, row):
  clean, noisy = tiny.latents(0, 1), tiny.latents(1, 1)
  out = tiny.run(model, *tiny.streams(row, clean, noisy))
  short = tiny.row(tiny.STORY, text_length=15, chunks=4)
  alone = tiny.run(model, *tiny.streams(short, clean[:, :4], noisy[:, :4]))
  np.testing.assert_allclose(out.logits[:, :15], alone.logits, atol=1e-5)
  np.testing.assert_allclose(out.velocity[:, :4], alone.velocity, atol=1e-5)


def test_a_dense_mask_gives_the_same_attention(model, row):
  """Own-chunk attention merged by (1) is one softmax over all that is seen."""
  clean, noisy = tiny.latents(0, 1), tiny.latents(1, 1)
  together = tiny.run(model, *tiny.streams(row, clean, noisy)).velocity
  for chunk in range(4):
    # One noisy chunk at a time, so that its only block is its own.
    text, past, now = tiny.streams(row, clean, noisy)
    now = jax.tree.map(lambda a, c=chunk: a[:, c : c + 1], now)
    alone = tiny.run(model, text, past, now).velocity
    np.testing.assert_allclose(alone[:, 0], together[:, chunk], atol=1e-5)


def test_streams_may_be_absent(model, row):
  text, clean, noisy = tiny.streams(row, tiny.latents(0, 1), tiny.latents(1, 1))
  full = tiny.run(model, text, clean, noisy)
  np.testing.assert_allclose(
    tiny.run(model, text, clean).logits, full.logits, atol=1e-5
  )
  assert tiny.run(model, text).velocity is None
  only_video = jax.jit(lambda model, clean: model(clean=clean))
  assert only_video(model, clean).logits is None


def test_scan_and_remat_change_nothing(row):
  inputs = tiny.streams(row, tiny.latents(0, 1), tiny.latents(1, 1))
  plain = tiny.run(tiny.model(), *inputs)
  for changes in (dict(unroll=2), dict(remat='layer')):
    other = tiny.run(tiny.model(**changes), *inputs)
    np.testing.assert_allclose(plain.velocity, other.velocity, atol=1e-5)


@pytest.mark.parametrize('shape', [(2, 2, 2), (1, 4, 2), (8, 1, 1)])
def test_every_mesh_gives_the_same_outputs(shape):
  row = tiny.row(*[tiny.STORY] * 8)
  inputs = (row, tiny.latents(0, 8), tiny.latents(1, 8))

  def outputs(row, clean, noisy):
    out = tiny.model()(*tiny.streams(row, clean, noisy))
    return out.logits, out.velocity

  expected = jax.jit(outputs)(*inputs)
  with jax.set_mesh(sharding.make_mesh(shape)):
    placed = sharding.put_batch(inputs)
    found = jax.jit(outputs)(story_lib.Row(*placed[0]), *placed[1:])
  for a, b in zip(expected, found, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_an_odd_grid_is_named():
  with pytest.raises(ValueError, match='latents of 3 x 4 cannot be halved'):
    _ = dataclasses.replace(tiny.config().frames, rows=3).grid
