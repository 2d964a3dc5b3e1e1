"""The studio films what is asked, and forks share their past."""

import io
import re
import zipfile

import av
import numpy as np
import pytest

from launch import story_folder
from tests.launch import browsing


@pytest.fixture
def studio():
  with browsing.studios() as opened:
    yield opened


def _names(events):
  return [event for _, event, _ in events]


def test_a_story_is_written_and_filmed_as_it_happens(studio):
  client, _ = studio()
  say = {'time': 1.1, 'text': 'turn left', 'hold': 0.5}
  name = client.ask(prompt='doom hall', seconds=2.1, seed=3, says=[say])
  events = client.events(name)
  assert [number for number, _, _ in events] == [*range(1, len(events) + 1)]
  assert _names(events)[0] == 'queued'
  assert _names(events)[-1] == 'ended'
  wrote = [data for _, event, data in events if event == 'wrote']
  filmed = [data for _, event, data in events if event == 'filmed']
  assert [each['chunk'] for each in wrote] == [1, 2, 3, 4]
  assert [each['chunk'] for each in filmed] == [0, 1, 2, 3, 4]
  assert [each['count'] for each in filmed] == [1, 4, 4, 4, 4]
  assert [each['time'] for each in filmed] == [0, 0.125, 0.625, 1.125, 1.625]
  assert wrote[2]['text'] == 'turn left'
  assert [each['told'] for each in wrote] == [False, False, True, False]
  assert browsing.pixels(filmed[1]).shape == (4, 12, 16, 3)

  state = client.state(name)
  assert (state['status'], state['reason']) == ('finished', 'length')
  assert (state['frames'], state['seed']) == (17, 3)
  assert [c['text'] for c in state['chunks']] == [
    '',
    *(w['text'] for w in wrote),
  ]
  assert all(chunk['filmed'] for chunk in state['chunks'])


def test_events_go_on_after_the_last_one_that_was_read(studio):
  client, _ = studio()
  name = client.ask(seconds=1)
  events = client.events(name)
  assert client.events(name, after=3) == events[3:]
  path = f'/api/stories/{name}/events'
  assert client.get(path, **{'Last-Event-ID': len(events)}).status == 204
  assert client.events(name, after='nonsense') == events


def test_a_fork_shares_its_past_and_films_only_what_is_new(studio):
  client, engine = studio()
  name = client.ask(seconds=3, seed=5)
  parent = client.film(name)
  engine.batches.clear()
  fork = client.fork(name, time=1.6, text='attack', hold=0.5)
  assert (fork['parent'], fork['chunk']) == (name, 4)
  events = client.events(fork['id'])
  assert engine.batches == [1] * 3
  shared = [d['chunk'] for _, e, d in events if e == 'filmed' and d['shared']]
  assert shared == [0, 1, 2, 3]
  assert _names(events)[: 2 * 4 - 1].count('queued') == 0

  film = client.film(fork['id'])
  assert [film[n] == parent[n] for n in range(7)] == [True] * 4 + [False] * 3
  assert film[4][:2] == ('attack', True)
  assert client.film(name) == parent
  say = {'time': 1.6, 'text': 'attack', 'hold': 0.5}
  assert client.film(client.ask(seconds=3, seed=5, says=[say])) == film
  state = client.state(fork['id'])
  assert (state['parent'], state['forked_at']) == (name, 4)


def test_a_story_is_forked_while_it_is_filmed_and_the_fork_again(studio):
  client, engine = studio(lanes=3)
  engine.held = 3
  engine.gate.clear()
  name = client.ask(seconds=4)
  with client.following(name) as events:
    while next(events)[2].get('chunk') != 2:
      pass
    fork = client.fork(name, time=0.1, text='go')
    deeper = client.fork(fork['id'], time=0.1, text='left', seconds=2)
    refused = client.send(
      'POST', f'/api/stories/{name}/fork', {'time': 2.6, 'text': 'go'}
    )
    assert (refused.status, refused.error) == (
      409,
      'time = 2.6: the story is not filmed so far',
    )
    engine.gate.set()
    films = [client.film(n) for n in (name, fork['id'], deeper['id'])]
  assert [len(film) for film in films] == [9, 9, 5]
  assert [film[1][0] for film in films] == ['', 'go', 'left']
  assert films[0][0] == films[1][0] == films[2][0]


def test_words_are_replaced_deleted_and_left_to_the_model(studio):
  client, _ = studio()
  says = [
    {'time': 0.6, 'text': 'turn left', 'hold': 1},
    {'time': 2.1, 'text': 'attack', 'hold': 0.5},
  ]
  name = client.ask(seconds=3, says=says)

  def told(**asked):
    film = client.film(client.fork(name, **asked)['id'])
    return [words if told else None for words, told, _ in film.values()]

  left = 'turn left'
  assert [w if t else None for w, t, _ in client.film(name).values()] == [
    None, None, left, left, None, 'attack', None,
  ]  # fmt: skip
  assert told(time=1.1, text='go', hold=0) == [
    None, None, left, 'go', None, 'attack', None,
  ]  # fmt: skip
  assert told(time=0.6, text='', hold=0) == [
    None, None, '', None, None, 'attack', None,
  ]  # fmt: skip
  assert told(time=0.6, text=None) == [
    None, None, None, None, None, 'attack', None,
  ]  # fmt: skip
  assert told(time=2.1, text=None, hold=0) == [
    None, None, left, left, None, None, None,
  ]  # fmt: skip
  refused = client.send(
    'POST', f'/api/stories/{name}/fork', {'time': 3.1, 'text': 'go'}
  )
  assert 'after the end of the story' in refused.error
  longer = client.fork(name, time=3.1, text='go', seconds=4)
  assert longer['chunk'] == 7
  assert len(client.film(longer['id'])) == 9


def test_the_model_may_end_a_story(studio):
  client, _ = studio()
  name = client.ask(prompt='end', seconds=6)
  assert client.events(name)[-1][1:] == ('ended', {'reason': 'eos'})
  assert client.state(name)['frames'] == 13


def test_a_story_is_taken_home_as_film_and_as_a_folder(studio, tmp_path):
  client, engine = studio()
  engine.gate.clear()
  name = client.ask(seconds=2, seed=1)
  for file in ('story.mp4', 'story.zip'):
    answer = client.get(f'/api/stories/{name}/{file}')
    assert answer.status == 409
    assert 'still' in answer.error
  engine.gate.set()
  client.film(name)
  fork = client.fork(
    name, time=1.1, text='go', hold=0, seed=9, settings={'guidance': 3.5}
  )['id']
  film = client.film(fork)
  answer = client.get(f'/api/stories/{fork}/story.mp4')
  assert answer.headers['content-type'] == 'video/mp4'
  with av.open(io.BytesIO(answer.body)) as video:
    assert sum(1 for _ in video.decode(video=0)) == 17

  archive = client.get(f'/api/stories/{fork}/story.zip').body
  assert archive == client.get(f'/api/stories/{fork}/story.zip').body
  with zipfile.ZipFile(io.BytesIO(archive)) as files:
    files.extractall(tmp_path)
  script, start, record = story_folder.load(tmp_path / 'story')
  assert (script.prompt, script.seed, script.chunks) == ('doom hall', 1, 5)
  assert script.asks == {3: 'go'}
  (turn,) = script.turns
  assert (turn.chunk, turn.seed, turn.settings.guidance) == (3, 9, 3.5)
  assert start.shape == (1, 12, 16, 3)
  assert record['frames'] == 17
  assert np.frombuffer(film[4][2], np.uint8).size == 4 * 12 * 16 * 3


def test_a_layout_without_words_takes_those_of_a_person(studio):
  client, _ = studio(layout='t2v')
  name = client.ask(seconds=2)
  told = client.ask(seconds=2, says=[{'time': 1, 'text': 'go'}])
  plain = client.film(name)
  fork = client.fork(name, time=1, text='go')['id']
  for film in map(client.film, (told, fork)):
    assert [film[n] == plain[n] for n in range(4)] == [True] * 3 + [False]


def test_every_part_of_the_page_is_served(studio):
  client, _ = studio()
  page = client.get('/')
  assert page.headers['content-type'] == 'text/html; charset=utf-8'
  parts = re.findall(
    r'(?:href|src)="([\w./-]+\.(?:css|js))"', page.body.decode()
  )
  while parts:
    part = client.get(f'/{parts.pop()}')
    assert part.status == 200
    if part.headers['content-type'].startswith('text/javascript'):
      parts += re.findall(r"from '\./(\w+\.js)'", part.body.decode())
