"""A story told step by step is the story that training would have read."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import tiny
from tests.sample import stories
from tv2tv_jax.flow import guidance
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.sample import chance
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import rollout
from tv2tv_jax.sample import settings as settings_lib

pytestmark = pytest.mark.usefixtures('small_blocks')


@pytest.fixture(scope='module')
def model():
  return tiny.model()


@pytest.fixture(scope='module')
def engines(model):
  """An engine for each layout, whose parts are compiled once."""
  return {
    layout: rollout.Engine(model, tiny.Numbers(), stories.CONFIG, layout)
    for layout in stories.LAYOUTS
  }


@pytest.fixture(scope='module')
def engine(engines):
  return engines['tv2tv']


def _teacher_forced(model, roll, layout, noise, t):
  """Velocities and words of the window, as training would have read it."""
  opening = settings_lib.opening(len(roll.latents) - 1, stories.CONFIG)
  words = (*roll.words[opening:], *roll.plans[-1])
  latents = roll.latents[opening:]
  edit = roll.words[-1] if layout == 't2v' else ()
  if layout == 'think2v':  # The plan is of the whole window.
    latents = (*latents, *[latents[0]] * (len(words) - len(latents)))
  row = tiny.row(
    story_lib.Story((*roll.prompt, *edit), words, ended=False),
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


@pytest.mark.parametrize('layout', stories.LAYOUTS)
@pytest.mark.parametrize('chunks', [2, 5, 6, 8])
def test_a_chunk_follows_the_guided_velocity_of_training(
  model, engines, layout, chunks
):
  """One Euler step is noise and the velocity of the training form.

  So it is within the first window, where that is full, and where it has started
  anew; guided away from the story without the words of this chunk, or a plan.
  In T2V these words end its prompt, and nothing is guided.
  """
  engine = engines[layout]
  before = stories.told(engine, stories.begin(engine, [0], steps=1), chunks - 1)
  roll = engine.advance(before, [roll_lib.Ask((11, 12))])[0]
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
  assert np.abs(told - untold).max() > 1e-3


@pytest.mark.parametrize('changes', [{'attention': 'flash'}, {'unroll': 2}])
def test_other_programs_film_the_same(engine, changes):
  """Where kernels see the past, told and untold chunks have one each.

  And where all layers are written out, each has weights and a cache of its own.
  """
  other = rollout.Engine(tiny.model(**changes), tiny.Numbers(), stories.CONFIG)
  found, wanted = (
    stories.told(each, stories.begin(each, [0]), 4, (11, 12))[0]
    for each in (other, engine)
  )
  for a, b in zip(found.latents, wanted.latents, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_guidance_may_be_away_from_a_story_without_words(model):
  """It has a cache of its own, and the window of the told one."""
  config = dataclasses.replace(stories.CONFIG, untold='story', steps=1)
  engine = rollout.Engine(model, tiny.Numbers(), config)
  for chunks in (4, 7):
    before = stories.told(
      engine, stories.begin(engine, [0], steps=1), chunks - 1
    )
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
    stories.told(engine, stories.begin(engine, [0], **changes), 3, (11,))[
      0
    ].latents[-1]
    for changes in (never, {'guidance_to': 0.5}, {})
  )
  alone = stories.told(
    engine, stories.begin(engine, [0], guidance=1.0), 3, (11,)
  )[0]
  np.testing.assert_allclose(found, alone.latents[-1], atol=1e-4)
  assert np.abs(half - found).max() > 1e-3 < np.abs(half - whole).max()


@pytest.mark.parametrize('layout', stories.LAYOUTS)
def test_a_story_depends_on_nothing_beside_it(engines, layout):
  """Not on its lane, its neighbours, their lengths or settings: to the bit."""
  engine = engines[layout]
  alone = stories.free(engine, stories.begin(engine, [1]), 7)[0]
  older = stories.told(engine, stories.begin(engine, [0]), 4)
  other = stories.begin(engine, [2], guidance=1.0, steps=7, temperature=0.0)
  beside = [*other, *older, *stories.begin(engine, [1])]
  while len(beside[2].latents) < 7 and not beside[2].ended:
    beside = engine.advance(beside)
  stories.same(beside[2], alone)
  assert len(alone.latents) == 7 or alone.ended


@pytest.mark.parametrize('layout', stories.LAYOUTS)
@pytest.mark.parametrize('at', [1, 4, 6])
def test_a_fork_is_a_fresh_story_with_the_same_past(engines, layout, at):
  """Its past is shared; told the same it is the same, to the bit."""
  engine = engines[layout]
  whole = stories.told(engine, stories.begin(engine, [0]), 8)[0]
  fork = whole.until(at)
  assert all(
    a is b for a, b in zip(fork.latents, whole.latents[:at], strict=True)
  )
  fresh = engine.begin(
    np.stack(fork.latents), fork.prompt, fork.seed, fork.settings, fork.words
  )
  again = stories.told(engine, [fork], 8)[0]
  stories.same(again, whole)
  if layout != 'think2v':  # Whose plan was not given to the fresh one.
    stories.same(stories.told(engine, [fresh], 8)[0], whole)
  other = stories.told(engine, stories.told(engine, [fork], at + 1, (14,)), 8)[
    0
  ]
  # In T2V the words are gone after their chunk: what differs is the past.
  least = 0.0 if layout == 't2v' else 1e-3
  for chunk in range(8):
    differs = np.abs(other.latents[chunk] - whole.latents[chunk]).max() > least
    assert differs == (chunk >= at)


@pytest.mark.parametrize('chunks', [2, 5, 7])
def test_words_edit_a_prompt_while_they_hold(engines, chunks):
  """As if it had ended with them from the beginning; then it is as it was."""
  engine = engines['t2v']
  before = stories.told(engine, stories.begin(engine, [0, 1]), chunks - 1)
  asks = [roll_lib.Ask((11, 12)), roll_lib.Ask()]
  edited, _ = held = engine.advance(before, asks)

  def with_prompt(roll, prompt):
    past = np.stack(roll.latents)
    return engine.begin(past, prompt, roll.seed, roll.settings, roll.words)

  fresh = with_prompt(before[0], (*before[0].prompt, 11, 12))
  (wanted,) = engine.advance([fresh], [roll_lib.Ask(())])
  np.testing.assert_array_equal(edited.latents[-1], wanted.latents[-1])
  assert edited.words == (*before[0].words, (11, 12))
  assert edited.prompt == before[0].prompt
  fresh = with_prompt(edited, edited.prompt)
  after = engine.advance(held, [roll_lib.Ask(()), roll_lib.Ask()])
  wanted = engine.advance([fresh], [roll_lib.Ask(())])
  stories.same(after[0], wanted[0])


def test_a_prompt_that_stays_is_read_once(engines, monkeypatch):
  """A window is read again when words begin to hold, and when they end."""
  engine, reads = engines['t2v'], []
  read = engine._reader._read_text
  monkeypatch.setattr(
    engine._reader, '_read_text', lambda *args: reads.append(1) or read(*args)
  )
  (roll,), counts = stories.begin(engine, [0]), []
  for words in ((), (11,), (11,), (12,), ()):
    reads.clear()
    (roll,) = engine.advance([roll], [roll_lib.Ask(words)])
    counts.append(len(reads))
  # A prompt and so many chunks of the window, and the BOF of the next one.
  assert counts == [1 + 1 + 1, 1 + 2 + 1, 1, 1 + 4 + 1, 1 + 3 + 1]


def test_a_change_of_a_plan_leaves_the_rest_of_it(engines):
  engine = engines['think2v']
  roll = engine.advance(stories.begin(engine, [0]), [roll_lib.Ask((11,))])[0]
  planned = roll.plans[0]
  assert len(planned) == 4 and roll.words == ((), (11,))
  assert roll.plans[1] == planned[1:]
  roll = engine.advance([roll])[0]
  assert roll.words[-1:] == planned[1:2] or roll.ended


def test_a_chunk_may_be_forced(engine):
  forced = np.random.default_rng(5).normal(size=(4, 4, 3)).astype('f4')
  rolls = stories.begin(engine, [0, 1])
  asks = [roll_lib.Ask((11,), forced), roll_lib.Ask((11,))]
  both = engine.advance(rolls, asks)
  np.testing.assert_array_equal(both[0].latents[1], forced)
  stories.same(both[1], engine.advance(rolls[1:], asks[1:])[0])
  after = [engine.advance([r], [roll_lib.Ask((12,))])[0] for r in both]
  given = engine.begin(
    np.stack([rolls[0].latents[0], forced]), (7, 8), 10, words=((), (11,))
  )
  stories.same(after[0], engine.advance([given], [roll_lib.Ask((12,))])[0])


def test_a_story_outlives_its_window_in_the_same_room(engine):
  rolls = stories.told(engine, stories.begin(engine), 24)
  assert all(np.isfinite(latent).all() for latent in rolls[0].latents)
  sizes = {
    leaf.shape for leaf in jax.tree.leaves(rolls[0].seat.told.cache.memory)
  }
  assert len(sizes) == 1  # As it was: 17 tokens of a cell, 6 cells, a prompt.
