"""The released model films for 64 s, and nothing shows where windows end."""

import pathlib

import numpy as np
import pytest

from launch import storyteller as storyteller_lib
from tv2tv_jax.evaluate import flicker
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import telling

_RELEASED = pathlib.Path(storyteller_lib.__file__).parent / 'released' / 'doom'
_SAID = ('turn left', 'move forward', 'turn right', 'attack')


def _told(storyteller, chunks, seed):
  """What a person says before each chunk; it changes at no regular times."""
  rng, asks = np.random.default_rng(seed), []
  while len(asks) < chunks:
    said = storyteller.encode(_SAID[rng.integers(len(_SAID))])
    asks += [roll_lib.Ask(said)] * int(rng.integers(3, 16))
  return asks


@pytest.mark.slow
@pytest.mark.skipif(not _RELEASED.exists(), reason='nothing is released')
def test_a_long_film_does_not_jump_with_the_window():
  storyteller = storyteller_lib.Storyteller(_RELEASED, lanes=2, steps=4)
  chunks = storyteller.chunks_of(64.0)
  asks = [_told(storyteller, chunks, seed) for seed in (0, 1)]
  starts = [storyteller_lib.kept_start(_RELEASED, n) for n in (0, 1)]
  events = storyteller.teller.tell(
    [storyteller.begin(start, start.prompt, 3) for start in starts],
    [chunks] * 2,
    lambda story, chunk: asks[story][chunk],
  )
  shown = [[], []]
  for event in events:
    if isinstance(event, telling.Filmed):
      shown[event.story].append(event.frames)
  assert [len(story) for story in shown] == [chunks] * 2
  config, step = storyteller.config, storyteller.step
  period = step * (config.window - config.kept)
  found, jumps = [], []
  for story in shown:
    changes = flicker.changes(np.concatenate(story))[step * config.window :]
    assert changes.mean() > 0.5  # It is no still picture.
    found.append(flicker.strength(changes, period, step))
    jumps.append(flicker.jump(changes, period, step, period - step))
  assert np.mean(found) < 4 and np.max(found) < 6
  assert np.abs(np.mean(jumps)) < 3
