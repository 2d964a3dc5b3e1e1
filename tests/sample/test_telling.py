"""Events come in order, and streamed frames are the whole story's."""

import dataclasses

import numpy as np
import pytest

from tests import tiny
from tests.vae import small
from tv2tv_jax.sample import film as film_lib
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import rollout
from tv2tv_jax.sample import settings as settings_lib
from tv2tv_jax.sample import telling
from tv2tv_jax.vae import latents as latents_lib
from tv2tv_jax.vae import program
from tv2tv_jax.vae import stream

_CONFIG = settings_lib.SampleConfig(
  steps=1, guidance=1.0, window=5, kept=3, words_budget=2, lanes=2
)
_STATISTICS = latents_lib.LatentStatistics(np.zeros(3), 0.5 * np.ones(3))


@pytest.fixture(scope='module')
def vae():
  return small.new(dataclasses.replace(small.FOLDS, latent_channels=3))


@pytest.fixture(scope='module')
def teller(vae):
  engine = rollout.Engine(tiny.model(), tiny.Numbers(), _CONFIG)
  return telling.Teller(engine, film_lib.Film(vae, _STATISTICS))


def _begin(teller, seed=0, frames=1):
  pictures = np.random.default_rng(seed).integers(
    0, 255, (frames, 32, 32, 3), np.uint8
  )
  return teller.begin(pictures, (7,), seed)


def _said(story, chunk):
  return roll_lib.Ask((9 + story, 11 + chunk % 3))


def _frames(events, story=0):
  """Of a story, all of them."""
  shown = [
    event.frames
    for event in events
    if isinstance(event, telling.Filmed) and event.story == story
  ]
  return np.concatenate(shown)


def _kinds(events, story=0):
  return [
    (type(event).__name__, getattr(event, 'chunk', event[1]))
    for event in events
    if event.story == story
  ]


def test_events_come_in_the_order_of_the_story(teller):
  """More stories than lanes, of several lengths."""
  stories = [_begin(teller, seed) for seed in range(3)]
  lengths = [4, 2, 3]
  events = list(teller.tell(stories, lengths, _said))
  for story, length in enumerate(lengths):
    wrote = [e for e in events if isinstance(e, telling.Wrote)]
    mine = [e for e in wrote if e.story == story]
    assert [e.chunk for e in mine] == list(range(1, length))
    assert all(e.words == _said(story, e.chunk).words for e in mine)
    assert all(e.told for e in mine)
    kinds = _kinds(events, story)
    films = [chunk for kind, chunk in kinds if kind == 'Filmed']
    assert films == list(range(length))
    assert kinds[-1] == ('Ended', length)
    for chunk in range(1, length):
      assert kinds.index(('Wrote', chunk)) < kinds.index(('Filmed', chunk))
    ended = next(
      e for e in events if isinstance(e, telling.Ended) and e.story == story
    )
    assert ended.reason == 'length'


@pytest.mark.parametrize('frames', [1, 5])
def test_streamed_frames_are_the_whole_story_decoded_at_once(
  teller, vae, frames
):
  """From a starting frame or clip, beyond the window."""
  told = _begin(teller, 1, frames)
  events = []
  for _ in range(6):
    (told,) = teller.advance([told], [_said(0, 0)], events.append)
  teller.wait()
  latents = latents_lib.restore(np.stack(told.roll.latents), _STATISTICS)
  whole = stream.Stream(vae, piece=8).frames(latents[None].astype('f4'))[0]
  found = _frames(events)
  assert len(found) == 1 + 4 * (len(told.roll.latents) - 1)
  off = np.abs(program.to_uint8(whole).astype(int) - found)
  assert off.max() <= 1 and (off > 0).mean() < 1e-3  # Rounding of halves.
  assert np.ptp(found) > 30


@pytest.mark.parametrize('at', [1, 4, 9])
def test_a_fork_shows_what_follows_and_nothing_again(teller, at):
  """Told the same, it shows the same frames, to the bit."""
  told, events = _begin(teller, 2), []
  for chunk in range(10):
    (told,) = teller.advance([told], [_said(0, chunk + 1)], events.append)
  fork, again = told.until(at), []
  for chunk in range(at, 11):
    (fork,) = teller.advance([fork], [_said(0, chunk)], again.append)
  teller.wait()
  first = next(e.chunk for e in again if isinstance(e, telling.Filmed))
  assert first == at
  whole = _frames(events)
  np.testing.assert_array_equal(_frames(again), whole[1 + 4 * (at - 1) :])


def test_one_may_stop_listening(teller):
  events = teller.tell([_begin(teller, 3)], [200], _said)
  assert next(events) is not None
  events.close()
  assert list(teller.tell([_begin(teller, 3)], [2], _said))


def test_what_goes_wrong_on_the_way_is_raised(teller):
  def ask(story, chunk):
    return roll_lib.Ask((9,) * (3 if chunk == 2 else 1))

  with pytest.raises(ValueError, match='3 tokens of words'):
    list(teller.tell([_begin(teller, 4)], [4], ask))


def test_a_decoder_that_fails_is_heard_of(teller, monkeypatch):
  def fail(latent, past=None):
    raise ValueError('no film')

  told = _begin(teller, 5)
  monkeypatch.setattr(teller.film, 'shown', fail)
  with pytest.raises(ValueError, match='no film'):
    list(teller.tell([told], [3], _said))
