"""A story told step by step is the story that training would have read."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import tiny
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.sample import rollout

_CONFIG = rollout.SampleConfig(
  steps=3, guidance=2.0, window=5, kept=3, prompt_budget=4, words_budget=3
)
_PROMPTS = [(7, 8), (9,), ()]


@pytest.fixture(scope='module')
def model():
  return tiny.model()


@pytest.fixture(scope='module')
def director(model):
  return rollout.Director(model, tiny.Numbers(), _CONFIG)


def _begin(director, rows=(0, 1, 2)):
  starts = np.random.default_rng(0).normal(size=(3, 4, 4, 3)).astype('f4')
  rows = list(rows)
  return director.begin(
    jnp.asarray(starts[rows]),
    [_PROMPTS[r] for r in rows],
    [10 + r for r in rows],
  )


def test_the_cached_story_is_the_teacher_forced_one(model, director):
  roll = rollout.roll_out(director, _begin(director), 4)
  rows = tiny.row(
    *[
      story_lib.Story(prompt, words, ended=False)
      for prompt, words in zip(roll.prompts, roll.words, strict=True)
    ],
    text_length=40,
    chunks=4,
  )
  latents = jnp.stack(roll.latents, axis=1)
  out = tiny.run(model, *tiny.streams(rows, latents, latents))
  last = (rows.story >= 0).sum(axis=1) - 1
  expected = np.asarray(out.logits)[np.arange(3), last]
  assert roll.active.any()
  np.testing.assert_allclose(
    np.asarray(roll.state.logits)[roll.active],
    expected[roll.active],
    atol=1e-4,
  )


def test_a_chunk_follows_the_guided_velocity(model):
  """One Euler step equals noise plus the velocity of the training form."""
  config = dataclasses.replace(_CONFIG, steps=1, guidance=1.0)
  director = rollout.Director(model, tiny.Numbers(), config)
  roll = director.advance(_begin(director, [0]), [(11, 12)])
  story = story_lib.Story(_PROMPTS[0], ((), (11, 12)), ended=False)
  row = tiny.row(story, chunks=2)
  key = jax.random.fold_in(jax.random.key(10), 2 * 1 + 1)
  noise = jax.random.normal(key, (4, 4, 3))
  noisy = jnp.stack([noise, noise])[None]
  clean = jnp.stack([roll.latents[0], roll.latents[0]], axis=1)
  velocity = tiny.run(model, *tiny.streams(row, clean, noisy, t=0.0)).velocity[
    0, 1
  ]
  np.testing.assert_allclose(roll.latents[1][0], noise + velocity, atol=1e-4)


def test_a_row_does_not_depend_on_its_batch(director):
  together = rollout.roll_out(director, _begin(director), 4)
  alone = rollout.roll_out(director, _begin(director, [1]), 4)
  assert together.words[1] == alone.words[0]
  for a, b in zip(together.latents, alone.latents, strict=True):
    np.testing.assert_allclose(a[1], b[0], atol=1e-4)


def test_a_fork_shares_its_past_and_leaves_it_alone(director):
  past = rollout.roll_out(director, _begin(director), 3)
  one = director.advance(past, [(11,)] * 3)
  other = director.advance(past, [(12,)] * 3)
  again = director.advance(past, [(11,)] * 3)
  assert one.latents[:3] is not None and len(past.latents) == 3
  for a, b in zip(one.latents[:3], other.latents[:3], strict=True):
    np.testing.assert_array_equal(a, b)
  assert not np.allclose(one.latents[3], other.latents[3], atol=1e-3)
  np.testing.assert_array_equal(one.latents[3], again.latents[3])


def test_a_story_outlives_its_window(director):
  roll = rollout.roll_out(director, _begin(director), 14)
  assert len(roll.latents) == 14 or not roll.active.any()
  assert all(np.isfinite(latent).all() for latent in roll.latents)
  assert roll.seen <= _CONFIG.window


def test_words_keep_to_the_grammar_and_the_budget(director):
  roll = rollout.roll_out(director, _begin(director), 8)
  written = [words for row in roll.words for words in row]
  assert any(written)
  assert all(len(words) <= _CONFIG.words_budget for words in written)
  told = {token for words in written for token in words}
  assert not told & tiny.Numbers.silent
  assert max(told) < tiny.Numbers.vocab_size


def test_a_story_that_is_over_stays_over(model):
  """With EOS made certain, every row ends before its first filmed chunk."""
  director = rollout.Director(
    model, tiny.Numbers(), dataclasses.replace(_CONFIG, temperature=0.0)
  )
  roll = _begin(director)
  state = roll.state._replace(
    logits=roll.state.logits.at[1, tiny.SPECIAL.eos].set(100.0)
  )
  roll = director.advance(roll._replace(state=state))
  assert list(roll.active) == [True, False, True]
  np.testing.assert_array_equal(roll.latents[1][1], roll.latents[0][1])


def test_budgets_are_named(director):
  with pytest.raises(ValueError, match=r'prompt of 5 tokens.*budget of 4'):
    director.begin(jnp.zeros((1, 4, 4, 3)), [(7,) * 5], [0])
  with pytest.raises(ValueError, match=r'4 tokens of words.*budget of 3'):
    director.advance(_begin(director), [(7,) * 4, None, None])
