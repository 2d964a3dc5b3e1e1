"""A chunk is filmed after its real past, and knows nothing else."""

import jax
import jax.numpy as jnp
import numpy as np

from tests import tiny
from tv2tv_jax.evaluate import continuation
from tv2tv_jax.flow import solvers
from tv2tv_jax.flow import times
from tv2tv_jax.sample import decode
from tv2tv_jax.tv2tv import model as model_lib

_CHUNKS = len(tiny.STORY.words)
_STEPS = 3


def _filmed(latents, noise):
  row = tiny.row(tiny.STORY, chunks=_CHUNKS)
  film = jax.jit(continuation.filmed, static_argnames='steps')
  return film(tiny.model(), row, latents, noise, steps=_STEPS)


def _last_by_a_sampler(latents, noise):
  """The last chunk as the sampler films it, after reading all before."""
  model, special = tiny.model(), tiny.SPECIAL
  state = decode.begun(model.config, batch=1, slots=60)
  for chunk, words in enumerate(tiny.STORY.words):
    before = (special.bos, *tiny.STORY.prompt) if chunk == 0 else ()
    tokens = jnp.array([[*before, *words, special.bof]])
    state = decode.read_text(model, state, tokens, jnp.array(tokens.shape[1:]))
    if chunk < _CHUNKS - 1:
      one = latents[:, chunk], jnp.ones(1, jnp.int32)
      state = decode.read_chunk(model, state, *one, special.eof)

  def velocity(x, t):
    chunk = model_lib.Chunks(
      x[:, None],
      jnp.full((1, 1), t),
      state.place[:, None],
      jnp.zeros((1, 1), int),
    )
    return model(noisy=chunk, cache=state.cache).velocity[:, 0]

  return solvers.solved(velocity, noise[:, -1], times.evenly(_STEPS))


def test_it_is_what_the_sampler_films_after_the_same_past():
  latents, noise = (tiny.latents(seed, 1, _CHUNKS) for seed in (0, 1))
  found = _filmed(latents, noise)[:, -1]
  wanted = jax.jit(_last_by_a_sampler)(latents, noise)
  assert np.abs(wanted - noise[:, -1]).max() > 0.1
  np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_no_chunk_knows_itself_or_what_follows():
  latents, noise = (tiny.latents(seed, 1, _CHUNKS) for seed in (0, 1))
  one = _filmed(latents, noise)
  other = _filmed(latents.at[:, 2].add(1.0), noise)
  np.testing.assert_array_equal(one[:, :3], other[:, :3])
  assert np.abs(one[:, 3] - other[:, 3]).max() > 1e-3
