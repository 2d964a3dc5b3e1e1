"""Short stories of the tiny model, told step by step."""

import numpy as np

from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import settings as settings_lib

CONFIG = settings_lib.SampleConfig(
  steps=3,
  guidance=2.0,
  window=5,
  kept=3,
  prompt_budget=4,
  words_budget=3,
  lanes=3,
)
PROMPTS = [(7, 8), (9,), ()]
WORDS = [(11,), (12, 13), ()]
LAYOUTS = ('tv2tv', 'think2v', 't2v')


def begin(engine, rows=(0, 1, 2), **changes):
  """Stories with a starting frame each; `changes` of their settings."""
  starts = np.random.default_rng(0).normal(size=(3, 1, 4, 4, 3)).astype('f4')
  settings = engine.config.settings._replace(**changes)
  return [engine.begin(starts[r], PROMPTS[r], 10 + r, settings) for r in rows]


def told(engine, rolls, chunks, words=None):
  """Told on; no story ends, for every chunk has the words of its turn."""
  while len(rolls[0].latents) < chunks:
    said = WORDS[len(rolls[0].latents) % 3] if words is None else words
    rolls = engine.advance(rolls, [roll_lib.Ask(said)] * len(rolls))
  return rolls


def free(engine, rolls, chunks):
  """Told on by the model alone."""
  while any(len(r.latents) < chunks and not r.ended for r in rolls):
    rolls = engine.advance(rolls)
  return rolls


def same(one, other):
  """Whether two stories are the same, to the bit."""
  assert one.words == other.words and one.ended == other.ended
  assert len(one.latents) == len(other.latents)
  for a, b in zip(one.latents, other.latents, strict=True):
    np.testing.assert_array_equal(a, b)
