"""Many ask at once: a queue, a limit, stories side by side, one that fails."""

from concurrent import futures
import socket

import pytest

from launch.serving import story as story_lib
from tests.launch import browsing


@pytest.fixture
def studio():
  with browsing.studios() as opened:
    yield opened


def _names(events):
  return [event for _, event, _ in events]


def test_stories_wait_in_line_and_move_up(studio):
  client, engine = studio(lanes=1)
  engine.gate.clear()
  first = client.ask(seconds=1)
  with client.following(first) as events:
    assert [next(events)[2], next(events)[2]] == [
      {'position': 1},
      {'position': 0},
    ]
  second, third, fourth = (client.ask(seconds=1) for _ in range(3))
  assert [client.state(n)['position'] for n in (second, third, fourth)] == [
    1,
    2,
    3,
  ]
  assert client.send('DELETE', f'/api/stories/{second}').status == 204
  assert client.state(second)['status'] == 'cancelled'
  assert client.state(fourth)['position'] == 2
  engine.gate.set()
  places = [d['position'] for _, e, d in client.events(fourth) if e == 'queued']
  assert places == [3, 2, 1, 0]
  assert _names(client.events(second)) == ['queued', 'cancelled']
  assert client.state(first)['status'] == 'finished'


def test_a_full_queue_says_so_and_cancelling_makes_room(studio):
  client, engine = studio(lanes=1, waiting=2)
  engine.gate.clear()
  filming = client.ask(seconds=1)
  with client.following(filming) as events:
    while next(events)[2] != {'position': 0}:
      pass
    waiting = [client.ask(seconds=1) for _ in range(2)]
    refused = client.send('POST', '/api/stories', {'seconds': 1})
    assert refused.status == 503
    assert refused.error.startswith('2 stories wait already')
    client.send('DELETE', f'/api/stories/{waiting[0]}')
    waiting.append(client.ask(seconds=1))
    client.send('DELETE', f'/api/stories/{filming}')
    assert client.state(filming)['status'] == 'cancelled'
    engine.gate.set()
  assert _names(client.events(waiting[-1]))[-1] == 'ended'
  assert client.state(filming)['frames'] <= 1


def test_stories_of_several_people_are_filmed_side_by_side(studio):
  client, engine = studio(lanes=4)
  engine.gate.clear()
  names = [client.ask(seconds=2, seed=seed) for seed in range(6)]
  engine.gate.set()
  films = [client.film(name) for name in names]
  assert max(engine.batches) == 4
  assert len({film[4] for film in films}) == 6
  alone = client.film(client.ask(seconds=2, seed=5))
  assert alone == films[5]


def test_fifty_clients_at_once_are_all_answered(studio):
  client, _ = studio(lanes=4, waiting=20)

  def visit(number):
    asked = {'seconds': 1, 'seed': number}
    answer = client.send('POST', '/api/stories', asked)
    if answer.status == 503:
      return answer.error
    return _names(client.events(answer.json['id']))[-1]

  with futures.ThreadPoolExecutor(50) as clients:
    ends = list(clients.map(visit, range(50)))
  assert ends.count('ended') >= 20
  assert all(e == 'ended' or 'stories wait already' in e for e in ends)
  assert client.get('/api/model').status == 200


@pytest.mark.parametrize(
  'asked,error',
  [
    ({'prompt': 'fail'}, 'RuntimeError: no memory for this story'),
    (
      {'says': [{'time': 1, 'text': 'fail'}]},
      'RuntimeError: no memory for this story',
    ),
    (
      {'says': [{'time': 1, 'text': 'dark'}]},
      'RuntimeError: nothing to be seen',
    ),
  ],
)
def test_a_story_that_fails_fails_alone(studio, asked, error):
  client, engine = studio(lanes=3)
  engine.gate.clear()
  names = [client.ask(seconds=2, seed=seed, **extra)
           for seed, extra in enumerate(({}, asked, {}))]  # fmt: skip
  engine.gate.set()
  ends = [client.events(name)[-1][1:] for name in names]
  assert ends[1] == ('failed', {'error': error})
  assert ends[0] == ends[2] == ('ended', {'reason': 'length'})
  assert client.state(names[1])['status'] == 'failed'
  again = client.film(client.ask(seconds=2, seed=2))
  assert again == client.film(names[2])


def test_a_story_that_nobody_reads_any_more_is_cancelled(studio):
  client, engine = studio(lanes=1, patience=0.5)
  engine.gate.clear()
  filming = client.ask(seconds=1)
  with client.following(filming) as events:
    while next(events)[2] != {'position': 0}:
      pass
    left = client.ask(seconds=1)
    with client.following(left) as others:
      next(others)
    # Its socket is closed in the middle of the stream.
    last = client.ask(seconds=1)
    with client.following(last) as moves:
      assert [next(moves)[2]['position'] for _ in range(2)] == [2, 1]
    assert client.state(left)['reason'] == 'nobody read it for 0.5 seconds'
    assert client.state(filming)['status'] == 'filming'
  engine.gate.set()


def test_the_stories_longest_unread_are_dropped(studio):
  client, _ = studio(stories=2)
  names = []
  for _ in range(2):
    names.append(client.ask(seconds=1))
    client.events(names[-1])
  client.state(names[0])
  names.append(client.ask(seconds=1))
  assert client.events(names[2])[-1][1] == 'ended'
  answer = client.get(f'/api/stories/{names[1]}')
  assert answer.status == 404
  assert '(2 are kept)' in answer.error
  assert client.state(names[0])['status'] == 'finished'


def test_film_that_takes_too_much_memory_is_dropped(studio):
  client, _ = studio(bytes=1)
  name = client.ask(seconds=1)
  client.events(name)
  client.events(client.ask(seconds=1))
  assert client.get(f'/api/stories/{name}').status == 404


def test_a_client_that_goes_in_the_middle_of_its_question_is_forgotten(studio):
  client, _ = studio()
  with socket.create_connection(client.host.split(':')) as connection:
    connection.sendall(
      b'POST /api/stories HTTP/1.1\r\nHost: localhost\r\n'
      b'Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{'
    )
  assert client.events(client.ask(seconds=1))[-1][1] == 'ended'


def test_who_follows_a_story_that_waits_hears_signs_of_life(
  studio, monkeypatch
):
  monkeypatch.setattr(story_lib, 'HEARTBEAT', 0.05)
  client, engine = studio(lanes=1)
  engine.gate.clear()
  name = client.ask(seconds=1)
  with socket.create_connection(client.host.split(':')) as connection:
    asked = f'GET /api/stories/{name}/events HTTP/1.1\r\nHost: localhost'
    connection.sendall(f'{asked}\r\n\r\n'.encode())
    with connection.makefile() as lines:
      assert ': still here\n' in lines
