"""A story told step by step is the story that training would have read."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import tiny
from tv2tv_jax.flow import guidance
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.sample import chance
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import rollout
from tv2tv_jax.sample import settings as settings_lib

_CONFIG = settings_lib.SampleConfig(
  steps=3,
  guidance=2.0,
  window=5,
  kept=3,
  prompt_budget=4,
  words_budget=3,
  lanes=3,
)
_PROMPTS = [(7, 8), (9,), ()]
_WORDS = [(11,), (12, 13), ()]
_LAYOUTS = ('tv2tv', 'think2v', 't2v')


@pytest.fixture(scope='module')
def model():
  return tiny.model()


@pytest.fixture(scope='module')
def engines(model):
  """An engine for each layout, whose parts are compiled once."""
  return {
    layout: rollout.Engine(model, tiny.Numbers(), _CONFIG, layout)
    for layout in _LAYOUTS
  }


@pytest.fixture(scope='module')
def engine(engines):
  return engines['tv2tv']


def _begin(engine, rows=(0, 1, 2), **changes):
  starts = np.random.default_rng(0).normal(size=(3, 1, 4, 4, 3)).astype('f4')
  settings = engine.config.settings._replace(**changes)
  return [engine.begin(starts[r], _PROMPTS[r], 10 + r, settings) for r in rows]


def _told(engine, rolls, chunks, words=None):
  """Told on; no story ends, for every chunk has the words of its turn."""
  while len(rolls[0].latents) < chunks:
    said = _WORDS[len(rolls[0].latents) % 3] if words is None else words
    said = () if engine.layout == 't2v' else said
    rolls = engine.advance(rolls, [roll_lib.Ask(said)] * len(rolls))
  return rolls


def _free(engine, rolls, chunks):
  """Told on by the model alone."""
  while any(len(r.latents) < chunks and not r.ended for r in rolls):
    rolls = engine.advance(rolls)
  return rolls


def _same(one, other):
  assert one.words == other.words and one.ended == other.ended
  assert len(one.latents) == len(other.latents)
  for a, b in zip(one.latents, other.latents, strict=True):
    np.testing.assert_array_equal(a, b)


def _teacher_forced(model, roll, layout, noise, t):
  """Velocities and words of the window, as training would have read it."""
  opening = settings_lib.opening(len(roll.latents) - 1, _CONFIG)
  words = (*roll.words[opening:], *roll.plans[-1])
  latents = roll.latents[opening:]
  if layout == 'think2v':  # The plan is of the whole window.
    latents = (*latents, *[latents[0]] * (len(words) - len(latents)))
  row = tiny.row(
    story_lib.Story(roll.prompt, words, ended=False),
    layout=layout,
    text_length=60,
    chunks=len(words),
  )
  clean = jnp.stack(latents)[None]
  noisy = (
    jnp.zeros_like(clean).at[0, len(roll.latents) - 1 - opening].set(noise)
  )
  out = tiny.run(model, *tiny.streams(row, clean, noisy, t=t))
  return out.velocity[0, len(roll.latents) - 1 - opening]


def _noise(roll, chunk):
  uses = {0: (roll.seed, 2 * chunk + 1)}
  key = chance.keys(chance.source(uses, 1))[0]
  return jax.random.normal(key, (4, 4, 3))


@pytest.mark.parametrize('layout', _LAYOUTS)
@pytest.mark.parametrize('chunks', [2, 5, 6, 8])
def test_a_chunk_follows_the_guided_velocity_of_training(
  model, engines, layout, chunks
):
  """One Euler step is noise and the velocity of the training form.

  So it is within the first window, where that is full, and where it has started
  anew; guided away from the story without the words of this chunk, or a plan.
  """
  engine = engines[layout]
  before = _told(engine, _begin(engine, [0], steps=1), chunks - 1)
  said = () if layout == 't2v' else (11, 12)
  roll = engine.advance(before, [roll_lib.Ask(said)])[0]
  noise = _noise(roll, chunks - 1)
  told = _teacher_forced(model, roll, layout, noise, 0.0)
  silent = roll._replace(words=(*roll.words[:-1], ()))
  if layout == 'think2v':
    empty = tuple(() for _ in roll.plans[-1])
    silent = roll._replace(
      words=tuple(() for _ in roll.words), plans=(*roll.plans[:-1], empty)
    )
  untold = _teacher_forced(model, silent, layout, noise, 0.0)
  scale = 1.0 if layout == 't2v' else 2.0
  wanted = noise + guidance.guided(told, untold, scale)
  np.testing.assert_allclose(roll.latents[-1], wanted, atol=2e-4)
  if layout != 't2v':
    assert np.abs(told - untold).max() > 1e-3


def test_engines_of_attention_film_the_same(engine):
  """Where kernels see the past, told and untold chunks have one each."""
  kernels = rollout.Engine(
    tiny.model(attention='flash'), tiny.Numbers(), _CONFIG
  )
  found, wanted = (
    _told(each, _begin(each, [0]), 4, (11, 12))[0] for each in (kernels, engine)
  )
  for a, b in zip(found.latents, wanted.latents, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_guidance_may_be_away_from_a_story_without_words(model):
  """It has a cache of its own, and the window of the told one."""
  config = dataclasses.replace(_CONFIG, untold='story', steps=1)
  engine = rollout.Engine(model, tiny.Numbers(), config)
  for chunks in (4, 7):
    before = _told(engine, _begin(engine, [0], steps=1), chunks - 1)
    roll = engine.advance(before, [roll_lib.Ask((11, 12))])[0]
    noise = _noise(roll, chunks - 1)
    silent = roll._replace(words=((),) * chunks)
    told = _teacher_forced(model, roll, 'tv2tv', noise, 0.0)
    untold = _teacher_forced(model, silent, 'tv2tv', noise, 0.0)
    wanted = noise + guidance.guided(told, untold, 2.0)
    np.testing.assert_allclose(roll.latents[-1], wanted, atol=2e-4)


def test_guidance_holds_within_its_interval(engine):
  """None of the steps lies in an interval that begins after the last."""
  never = {'guidance_from': 0.9, 'guidance_to': 1.0}
  found, half, whole = (
    _told(engine, _begin(engine, [0], **changes), 3, (11,))[0].latents[-1]
    for changes in (never, {'guidance_to': 0.5}, {})
  )
  alone = _told(engine, _begin(engine, [0], guidance=1.0), 3, (11,))[0]
  np.testing.assert_allclose(found, alone.latents[-1], atol=1e-4)
  assert np.abs(half - found).max() > 1e-3 < np.abs(half - whole).max()


@pytest.mark.parametrize('layout', _LAYOUTS)
def test_a_story_depends_on_nothing_beside_it(engines, layout):
  """Not on its lane, its neighbours, their lengths or settings: to the bit."""
  engine = engines[layout]
  alone = _free(engine, _begin(engine, [1]), 7)[0]
  older = _told(engine, _begin(engine, [0]), 4)
  other = _begin(engine, [2], guidance=1.0, steps=7, temperature=0.0)
  beside = [*other, *older, *_begin(engine, [1])]
  while len(beside[2].latents) < 7 and not beside[2].ended:
    beside = engine.advance(beside)
  _same(beside[2], alone)
  assert len(alone.latents) == 7 or alone.ended


@pytest.mark.parametrize('layout', _LAYOUTS)
@pytest.mark.parametrize('at', [1, 4, 6])
def test_a_fork_is_a_fresh_story_with_the_same_past(engines, layout, at):
  """Its past is shared; told the same it is the same, to the bit."""
  engine = engines[layout]
  whole = _told(engine, _begin(engine, [0]), 8)[0]
  fork = whole.until(at)
  assert all(
    a is b for a, b in zip(fork.latents, whole.latents[:at], strict=True)
  )
  fresh = engine.begin(
    np.stack(fork.latents), fork.prompt, fork.seed, fork.settings, fork.words
  )
  again = _told(engine, [fork], 8)[0]
  _same(again, whole)
  if layout != 'think2v':  # Whose plan was not given to the fresh one.
    _same(_told(engine, [fresh], 8)[0], whole)
  if layout == 't2v':
    return
  other = _told(engine, _told(engine, [fork], at + 1, (14,)), 8)[0]
  for chunk in range(8):
    differs = np.abs(other.latents[chunk] - whole.latents[chunk]).max() > 1e-3
    assert differs == (chunk >= at)


def test_a_change_of_a_plan_leaves_the_rest_of_it(engines):
  engine = engines['think2v']
  roll = engine.advance(_begin(engine, [0]), [roll_lib.Ask((11,))])[0]
  planned = roll.plans[0]
  assert len(planned) == 4 and roll.words == ((), (11,))
  assert roll.plans[1] == planned[1:]
  roll = engine.advance([roll])[0]
  assert roll.words[-1:] == planned[1:2] or roll.ended


def test_a_chunk_may_be_forced(engine):
  forced = np.random.default_rng(5).normal(size=(4, 4, 3)).astype('f4')
  rolls = _begin(engine, [0, 1])
  asks = [roll_lib.Ask((11,), forced), roll_lib.Ask((11,))]
  both = engine.advance(rolls, asks)
  np.testing.assert_array_equal(both[0].latents[1], forced)
  _same(both[1], engine.advance(rolls[1:], asks[1:])[0])
  after = [engine.advance([r], [roll_lib.Ask((12,))])[0] for r in both]
  given = engine.begin(
    np.stack([rolls[0].latents[0], forced]), (7, 8), 10, words=((), (11,))
  )
  _same(after[0], engine.advance([given], [roll_lib.Ask((12,))])[0])


def test_a_story_outlives_its_window_in_one_program(model):
  engine = rollout.Engine(model, tiny.Numbers(), _CONFIG)
  rolls = _told(engine, _begin(engine), 7)
  compiled = [
    part._cache_size()
    for part in (
      engine._film,
      engine._reader._read_text,
      engine._reader._read_chunk,
    )
  ]
  rolls = _told(engine, rolls, 24)
  assert all(np.isfinite(latent).all() for latent in rolls[0].latents)
  assert compiled == [
    engine._film._cache_size(),
    engine._reader._read_text._cache_size(),
    engine._reader._read_chunk._cache_size(),
  ]
  sizes = {
    leaf.shape for leaf in jax.tree.leaves(rolls[0].seat.told.cache.memory)
  }
  assert len(sizes) == 1  # As it was: 17 tokens of a cell, 6 cells, a prompt.


def test_words_keep_to_the_grammar_and_the_budget(engine):
  rolls = _free(engine, _begin(engine), 8)
  written = [words for roll in rolls for words in roll.words]
  assert any(written)
  assert all(len(words) <= _CONFIG.words_budget for words in written)
  told = {token for words in written for token in words}
  assert not told & tiny.Numbers.silent
  assert max(told) < tiny.Numbers.vocab_size


@pytest.mark.parametrize('layout', _LAYOUTS)
def test_a_story_that_is_over_stays_over(layout):
  """Where EOS is likelier than all else, no chunk is filmed but by order."""
  model = tiny.model(tied=False)
  kernel = model.head.kernel
  # The score of EOS is then the largest, one way round or the other.
  for sign in (1, -1):
    far = 100.0 * sign * jnp.ones(kernel.shape[0])
    kernel[...] = kernel[...].at[:, tiny.SPECIAL.eos].set(far)
    engine = rollout.Engine(model, tiny.Numbers(), _CONFIG, layout)
    roll = engine.advance(_begin(engine, [0], temperature=0.0))[0]
    if roll.ended:
      break
  assert roll.ended and len(roll.latents) == 1
  assert engine.advance([roll]) == [roll]
  # A person's words go on where the model would not.
  asked = _told(engine, [roll.until(1)], 3)[0]
  assert len(asked.latents) == 3 and not asked.ended


def test_what_cannot_be_is_named(engine, engines):
  zeros = np.zeros((1, 4, 4, 3), np.float32)
  with pytest.raises(ValueError, match=r'prompt of 5 tokens.*budget of 4'):
    engine.begin(zeros, (7,) * 5, 0)
  with pytest.raises(ValueError, match=r'4 tokens of words.*budget of 3'):
    engine.advance(_begin(engine, [0]), [roll_lib.Ask((7,) * 4)])
  with pytest.raises(ValueError, match='layout t2v has no words'):
    engines['t2v'].advance(_begin(engine, [0]), [roll_lib.Ask((7,))])
  with pytest.raises(ValueError, match=r'latents of \(1, 4, 5, 3\)'):
    engine.begin(np.zeros((1, 4, 5, 3)), (), 0)
  with pytest.raises(ValueError, match='seed is -1'):
    engine.begin(zeros, (), -1)
  with pytest.raises(ValueError, match='4 stories for 3 lanes'):
    engine.advance(_begin(engine, [0, 1, 2, 0]))
  with pytest.raises(ValueError, match='never one of 3'):
    _begin(engine, [0])[0].until(3)
  with pytest.raises(ValueError, match=r'chunk of \(2, 2, 3\)'):
    engine.advance(
      _begin(engine, [0]), [roll_lib.Ask(None, np.zeros((2, 2, 3)))]
    )
