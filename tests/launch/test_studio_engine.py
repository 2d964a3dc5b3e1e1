"""The studio with the real engine: what it streams is what the engine films."""

import dataclasses

import numpy as np
import pytest

from launch import storyteller as storyteller_lib
from tests import tiny
from tests.launch import browsing
from tests.launch import fake_teller
from tests.vae import small
from tv2tv_jax.sample import film as film_lib
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import rollout
from tv2tv_jax.sample import telling as telling_lib
from tv2tv_jax.vae import latents as latents_lib

_SIZE = 32, 32


class _Storyteller(fake_teller.Storyteller):
  """Of a tiny model that was never trained."""

  def __init__(self):
    super().__init__(
      steps=1, guidance=1.0, window=5, kept=3, words_budget=2, lanes=2
    )
    self.size, self.tokenizer = _SIZE, tiny.Numbers()
    vae = small.new(dataclasses.replace(small.FOLDS, latent_channels=3))
    statistics = latents_lib.LatentStatistics(np.zeros(3), 0.5 * np.ones(3))
    engine = rollout.Engine(tiny.model(), self.tokenizer, self.config)
    film = film_lib.Film(vae, statistics)
    self.teller = telling_lib.Teller(engine, film)


@pytest.fixture(scope='module')
def teller():
  return _Storyteller()


@pytest.fixture(scope='module')
def starts():
  frames = np.random.default_rng(0).integers(0, 255, (2, 1, *_SIZE, 3))
  return [storyteller_lib.Start(f.astype(np.uint8), '7') for f in frames]


def _told(teller, start, seed, asks, chunks):
  """The story as the engine tells it to whoever asks: words and frames."""
  telling = teller.begin(start, start.prompt, seed, teller.config.settings)
  words, frames = {0: ''}, {}
  for event in teller.teller.tell(
    [telling], [chunks], lambda _, chunk: asks.get(chunk, roll_lib.Ask())
  ):
    if isinstance(event, telling_lib.Wrote):
      words[event.chunk] = teller.tokenizer.decode(event.words)
    if isinstance(event, telling_lib.Filmed):
      frames[event.chunk] = event.frames.tobytes()
  return {chunk: (words[chunk], frames[chunk]) for chunk in frames}


def test_streamed_stories_and_forks_are_the_engines_to_the_bit(teller, starts):
  with fake_teller.served(teller, frames=starts) as place:
    client = browsing.Client(place)

    def film(name):
      return {n: (w, f) for n, (w, _, f) in client.film(name).items()}

    free = client.ask(seconds=4, seed=0)
    say = {'time': 0, 'text': '6', 'hold': 9}
    told = client.ask(seconds=4, seed=1, start=1, says=[say])
    films = [film(free), film(told)]
    fork = client.fork(told, time=2.1, text='9 10', hold=0)
    films.append(film(fork['id']))
    assert fork['chunk'] == 5
    deeper = client.fork(fork['id'], time=2.6, text=None, hold=9)
    films.append(film(deeper['id']))
  assert films[0] == _told(teller, starts[0], 0, {}, 9)
  asks = {chunk: roll_lib.Ask((6,)) for chunk in range(1, 9)}
  assert films[1] == _told(teller, starts[1], 1, asks, 9)
  # What was held at the moment of the fork ends there.
  asks = {n: ask for n, ask in asks.items() if n < 5} | {
    5: roll_lib.Ask((9, 10))
  }
  assert films[2] == _told(teller, starts[1], 1, asks, 9)
  assert films[3] == films[2]
  assert films[2] != films[1]
