"""What is read piece by piece, from a cache, is what is read at once."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import tiny
from tv2tv_jax.sample import decode
from tv2tv_jax.tv2tv import model as model_lib

_STORY = tiny.STORY._replace(words=((), (9, 10, 12), (13,), (11, 14)))
_SLOTS = 64


@pytest.fixture(scope='module', params=[0, 7])
def model(request):
  """With and without a sliding window."""
  return tiny.model(window=request.param, sink=3 if request.param else 0)


@pytest.fixture(scope='module')
def forced(model):
  """The teacher-forced forward of the whole story."""
  row = tiny.row(_STORY)
  clean, noisy = tiny.latents(0, 1), tiny.latents(1, 1)
  out = tiny.run(model, *tiny.streams(row, clean, noisy))
  return row, clean, noisy, out


@functools.partial(jax.jit, static_argnames='length')
def _read(model, state, tokens, *, length):
  return decode.read_text(model, state, tokens, jnp.full(1, length))


_read_chunk = jax.jit(
  functools.partial(decode.read_chunk, eof=tiny.SPECIAL.eof)
)


@jax.jit
def _velocity(model, state, noisy):
  chunk = model_lib.Chunks(
    noisy[:, None],
    jnp.full((1, 1), 0.3),
    state.place[:, None],
    jnp.zeros((1, 1), jnp.int32),
  )
  return model(noisy=chunk, cache=state.cache).velocity[:, 0]


@pytest.mark.parametrize('seed', range(3))
def test_any_split_gives_the_teacher_forced_words_and_velocities(
  model, forced, seed
):
  row, clean, noisy, out = forced
  rng = np.random.default_rng(seed)
  state = decode.begun(model.config, batch=1, slots=_SLOTS)
  said = int((row.story >= 0).sum())
  at = 0
  for chunk in range(5):
    begin = int(row.chunk_index[0, chunk])
    ends = chunk == 4 or row.chunk_story[0, chunk] < 0
    stop = said if ends else int((row.index[0, :said] < begin).sum())
    while at < stop:  # Words in pieces of any length.
      length = int(rng.integers(1, min(3, stop - at) + 1))
      tokens = row.tokens[:, at : at + length]
      state = _read(model, state, tokens, length=length)
      at += length
      np.testing.assert_allclose(
        state.logits[0], out.logits[0, at - 1], atol=1e-4
      )
    if ends:
      break
    np.testing.assert_allclose(
      _velocity(model, state, noisy[:, chunk]),
      out.velocity[:, chunk],
      atol=1e-4,
    )
    # EOF is read with the chunk.
    state = _read_chunk(model, state, clean[:, chunk], jnp.ones(1, jnp.int32))
    assert int(row.tokens[0, at]) == tiny.SPECIAL.eof
    np.testing.assert_allclose(state.logits[0], out.logits[0, at], atol=1e-4)
    at += 1
  assert at == said and chunk == 4


def test_noise_never_enters_the_cache(model, forced):
  row, clean, noisy, _ = forced
  out = tiny.run(model, *tiny.streams(row, clean, noisy))
  text, past, _ = tiny.streams(row, clean, noisy)
  without = tiny.run(model, text, past)
  tokens = row.tokens.shape[1] + 5 * 4
  assert out.memory.key.shape[3] == out.places.index.shape[1] == tokens
  for a, b in zip(out.memory, without.memory, strict=True):
    np.testing.assert_array_equal(a.shape, b.shape)
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_only_past_may_be_a_cache(model):
  """Film at once: nothing but BOS was read."""
  state = decode.begun(model.config, batch=1, slots=_SLOTS)
  state = _read(model, state, jnp.array([[1]]), length=1)
  velocity = _velocity(model, state, tiny.latents(1, 1)[:, 0])
  assert np.isfinite(velocity).all()
