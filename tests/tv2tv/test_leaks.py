"""What a token may not see has no influence on it: gradients are exactly 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import tiny
from tv2tv_jax.interleave import plan as plan_lib

_OTHER = tiny.STORY._replace(prompt=(5, 6, 12), words=((13,), (), (14, 15)))
_LENGTH, _CHUNKS = 36, 8


@pytest.fixture(scope='module')
def model():
  """A model with a table of its own for the words that go in."""
  return tiny.model(tied=False, vocabulary=_LENGTH)


@pytest.fixture(scope='module')
def row():
  """Two stories in one row, then padding; every token is another word."""
  row = tiny.row([tiny.STORY, _OTHER], text_length=_LENGTH, chunks=_CHUNKS)
  return row._replace(tokens=jnp.arange(_LENGTH)[None])


@pytest.fixture(scope='module', params=['dense', 'planned'])
def outputs(request, row):
  """Logits and velocities as a function of all that goes in."""
  plan = None
  if request.param == 'planned':
    plan = plan_lib.in_order(_CHUNKS, _LENGTH)

  def run(model, clean, noisy):
    out = model(*tiny.streams(row, clean, noisy), order=plan)
    return out.logits, out.velocity

  return run


@pytest.fixture(scope='module')
def inputs(model):
  shape = (1, _CHUNKS)
  return model, tiny.latents(0, *shape), tiny.latents(1, *shape)


def _sizes(gradients):
  """The largest gradient by each text token, clean chunk and noisy chunk."""
  by_model, by_clean, by_noisy = gradients
  return (
    np.abs(by_model.embedding[...]).max(axis=1),
    np.abs(by_clean).max(axis=(0, 2, 3, 4)),
    np.abs(by_noisy).max(axis=(0, 2, 3, 4)),
  )


def _seen(row, story, before):
  """Text tokens and chunks of a story that begin before a place."""
  text = (row.story[0] == story) & (row.index[0] < before)
  clean = (row.chunk_story[0] == story) & (row.chunk_index[0] < before)
  return np.asarray(text), np.asarray(clean)


def test_velocities_see_earlier_words_and_chunks_alone(outputs, inputs, row):
  """Of a chunk: no clean chunk from it on, no other noise, no later word."""

  def velocity_of(chunk, *inputs):
    return jnp.sum(jnp.square(jnp.take(outputs(*inputs)[1], chunk, axis=1)))

  gradient = jax.jit(jax.grad(velocity_of, argnums=(1, 2, 3)))
  for chunk in np.flatnonzero(row.chunk_story[0] >= 0):
    by_text, by_clean, by_noisy = _sizes(gradient(chunk, *inputs))
    story, at = row.chunk_story[0, chunk], row.chunk_index[0, chunk]
    text, clean = _seen(row, story, at)
    np.testing.assert_array_equal(by_text > 0, text)
    np.testing.assert_array_equal(by_clean > 0, clean)
    np.testing.assert_array_equal(by_noisy > 0, np.arange(_CHUNKS) == chunk)


def test_words_see_no_noise_and_nothing_later(outputs, inputs, row):
  def logits_of(token, *inputs):
    return jnp.sum(jnp.square(jnp.take(outputs(*inputs)[0], token, axis=1)))

  gradient = jax.jit(jax.grad(logits_of, argnums=(1, 2, 3)))
  for token in np.flatnonzero(row.story[0] >= 0)[::3]:
    by_text, by_clean, by_noisy = _sizes(gradient(token, *inputs))
    story, at = row.story[0, token], row.index[0, token]
    text, clean = _seen(row, story, at + 1)
    np.testing.assert_array_equal(by_text > 0, text)
    np.testing.assert_array_equal(by_clean > 0, clean)
    assert (by_noisy == 0).all()


def test_two_stories_in_a_row_are_each_alone(model, row):
  clean, noisy = tiny.latents(0, 1, _CHUNKS), tiny.latents(1, 1, _CHUNKS)
  together = tiny.run(model, *tiny.streams(row, clean, noisy))
  chunk = text = 0
  for story in (tiny.STORY, _OTHER):
    chunks = slice(chunk, chunk + len(story.words))
    alone = tiny.row(story, chunks=len(story.words))
    count = int((alone.story >= 0).sum())
    alone = alone._replace(
      tokens=text + jnp.arange(alone.tokens.shape[1])[None]
    )
    out = tiny.run(
      model, *tiny.streams(alone, clean[:, chunks], noisy[:, chunks])
    )
    np.testing.assert_allclose(
      together.velocity[:, chunks], out.velocity, atol=1e-5
    )
    np.testing.assert_allclose(
      together.logits[:, text : text + count], out.logits[:, :count], atol=1e-5
    )
    chunk, text = chunks.stop, text + count


def test_noise_may_stand_anywhere_in_memory(model, row):
  """So may clean chunks and words, as long as no plan says otherwise."""
  clean, noisy = tiny.latents(0, 1, _CHUNKS), tiny.latents(1, 1, _CHUNKS)
  text, clean, noisy = tiny.streams(row, clean, noisy)
  expected = tiny.run(model, text, clean, noisy)
  rng = np.random.default_rng(0)
  order = rng.permutation(_CHUNKS)
  shuffled = jax.tree.map(lambda a: a[:, order], noisy)
  found = tiny.run(model, text, clean, shuffled)
  np.testing.assert_allclose(
    found.velocity, expected.velocity[:, order], atol=1e-5
  )
  words = rng.permutation(_LENGTH)
  found = tiny.run(
    model,
    jax.tree.map(lambda a: a[:, words], text),
    jax.tree.map(lambda a: a[:, order], clean),
    noisy,
  )
  np.testing.assert_allclose(found.velocity, expected.velocity, atol=1e-5)
  np.testing.assert_allclose(found.logits, expected.logits[:, words], atol=1e-5)
