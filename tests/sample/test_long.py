"""A story of 64 s: memory, programs and work stay as they are; no flicker."""

import dataclasses
import gc

import jax
import numpy as np
import pytest

from tests import tiny
from tests.vae import small
from tv2tv_jax.evaluate import flicker
from tv2tv_jax.sample import film as film_lib
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import rollout
from tv2tv_jax.sample import settings as settings_lib
from tv2tv_jax.sample import telling
from tv2tv_jax.vae import latents as latents_lib

_CONFIG = settings_lib.SampleConfig(
  steps=1, window=9, kept=5, prompt_budget=2, words_budget=2, lanes=1
)
_PERIOD = _CONFIG.window - _CONFIG.kept
_CHUNKS = 281  # 64.2 s of 17.5 frames/s, four of them a chunk.
_LOOKS = (100, 160, 220, 280)  # Chunks; the last pasts for forks are kept then.
_COMPILED = '/jax/core/compile/backend_compile_duration'


class _Watched:
  """A long story, and what was seen while it was told.

  Attributes:
    live: count and bytes of the arrays that are alive, at some chunks.
    programs: compiled so far, after each chunk.
    reads: blocks of words read so far, after each chunk.
    frames: of the story.
  """

  def __init__(self, engine: rollout.Engine, film: film_lib.Film):
    self.live, self.programs, self.reads = [], [], []
    self._compiled = self._read = 0
    self._shown = []
    _counted(engine._reader, self._count)
    teller = telling.Teller(engine, film)
    picture = np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3))
    told = teller.begin(picture.astype(np.uint8), (7,), 3)
    jax.monitoring.register_event_duration_secs_listener(self._listen)
    try:
      for chunk in range(1, _CHUNKS):
        (told,) = teller.advance([told], [_said(chunk)], self._emit)
        teller.wait()
        self.programs.append(self._compiled)
        self.reads.append(self._read)
        if chunk + 1 in _LOOKS:
          gc.collect()
          sizes = [array.nbytes for array in jax.live_arrays()]
          self.live.append((len(sizes), sum(sizes)))
    finally:
      jax.monitoring.unregister_event_duration_listener(self._listen)
    self.frames = np.concatenate(self._shown)

  def _listen(self, event: str, seconds: float, **_) -> None:
    self._compiled += event == _COMPILED

  def _count(self) -> None:
    self._read += 1

  def _emit(self, event: telling.Event) -> None:
    if isinstance(event, telling.Filmed):
      self._shown.append(event.frames)


def _counted(reader, count):
  """Counts the blocks of words that a reader reads."""
  read = reader._read_text

  def counting(*args):
    count()
    return read(*args)

  reader._read_text = counting


def _said(chunk):
  """What a person says, so that no story ends before."""
  return roll_lib.Ask(((11,), (12, 13), ())[chunk % 3])


@pytest.fixture(scope='module')
def story():
  engine = rollout.Engine(tiny.model(depth=1), tiny.Numbers(), _CONFIG)
  vae = small.new(dataclasses.replace(small.FOLDS, latent_channels=3))
  statistics = latents_lib.LatentStatistics(np.zeros(3), 0.5 * np.ones(3))
  return _Watched(engine, film_lib.Film(vae, statistics))


def test_memory_is_flat(story):
  """But for what the decoder's thread has not let go of yet."""
  sizes = [size for _, size in story.live]
  assert len(sizes) == len(_LOOKS)
  assert max(sizes) <= 1.01 * min(sizes), story.live


def test_nothing_is_compiled_once_a_window_has_been_full(story):
  full = _CONFIG.window + 1
  assert story.programs[full] == story.programs[-1] > 0


def test_a_chunk_costs_what_it_did_a_period_ago(story):
  """A window is read again once a period, and is never longer."""
  reads = np.diff(story.reads[_CONFIG.window :])
  np.testing.assert_array_equal(reads[_PERIOD:], reads[:-_PERIOD])
  assert sorted(set(reads)) == [1, 1 + 1 + _CONFIG.kept]


def test_no_jump_has_the_period_of_the_window(story):
  assert len(story.frames) == 1 + 4 * (_CHUNKS - 1)
  changes = flicker.changes(story.frames)[4 * _CONFIG.window :]
  assert changes.std() > 0.1
  for period in (4 * _PERIOD, 4 * _CONFIG.window):
    assert flicker.strength(changes, period, 4) < 4
