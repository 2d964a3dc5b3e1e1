"""What may be written, when a story is over, and what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests import tiny
from tests.sample import stories
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import rollout


@pytest.fixture(scope='module')
def engines():
  """An engine for each layout, whose parts are compiled once."""
  model = tiny.model()
  return {
    layout: rollout.Engine(model, tiny.Numbers(), stories.CONFIG, layout)
    for layout in stories.LAYOUTS
  }


@pytest.fixture(scope='module')
def engine(engines):
  return engines['tv2tv']


def test_words_keep_to_the_grammar_and_the_budget(engine):
  rolls = stories.free(engine, stories.begin(engine), 8)
  written = [words for roll in rolls for words in roll.words]
  assert any(written)
  assert all(len(words) <= stories.CONFIG.words_budget for words in written)
  told = {token for words in written for token in words}
  assert not told & tiny.Numbers.silent
  assert max(told) < tiny.Numbers.vocab_size


@pytest.mark.parametrize('layout', stories.LAYOUTS)
def test_a_story_that_is_over_stays_over(layout):
  """Where EOS is likelier than all else, no chunk is filmed but by order."""
  model = tiny.model(tied=False)
  kernel = model.head.kernel
  # The score of EOS is then the largest, one way round or the other.
  for sign in (1, -1):
    far = 100.0 * sign * jnp.ones(kernel.shape[0])
    kernel[...] = kernel[...].at[:, tiny.SPECIAL.eos].set(far)
    engine = rollout.Engine(model, tiny.Numbers(), stories.CONFIG, layout)
    roll = engine.advance(stories.begin(engine, [0], temperature=0.0))[0]
    if roll.ended:
      break
  assert roll.ended and len(roll.latents) == 1
  assert engine.advance([roll]) == [roll]
  # A person's words go on where the model would not.
  asked = stories.told(engine, [roll.until(1)], 3)[0]
  assert len(asked.latents) == 3 and not asked.ended


def test_what_cannot_be_is_named(engine, engines):
  zeros = np.zeros((1, 4, 4, 3), np.float32)
  with pytest.raises(ValueError, match=r'prompt of 5 tokens.*budget of 4'):
    engine.begin(zeros, (7,) * 5, 0)
  with pytest.raises(ValueError, match=r'4 tokens of words.*budget of 3'):
    engine.advance(stories.begin(engine, [0]), [roll_lib.Ask((7,) * 4)])
  with pytest.raises(ValueError, match=r'4 tokens of words.*budget of 3'):
    engines['t2v'].advance(stories.begin(engine, [0]), [roll_lib.Ask((7,) * 4)])
  with pytest.raises(ValueError, match=r'latents of \(1, 4, 5, 3\)'):
    engine.begin(np.zeros((1, 4, 5, 3)), (), 0)
  with pytest.raises(ValueError, match='seed is -1'):
    engine.begin(zeros, (), -1)
  with pytest.raises(ValueError, match='4 stories for 3 lanes'):
    engine.advance(stories.begin(engine, [0, 1, 2, 0]))
  with pytest.raises(ValueError, match='never one of 3'):
    stories.begin(engine, [0])[0].until(3)
  with pytest.raises(ValueError, match=r'chunk of \(2, 2, 3\)'):
    engine.advance(
      stories.begin(engine, [0]), [roll_lib.Ask(None, np.zeros((2, 2, 3)))]
    )
