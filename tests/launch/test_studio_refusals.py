"""What the studio refuses: one clear line, and it answers the next request."""

import base64
import io
import json
import socket
import struct
import zlib

import numpy as np
from PIL import Image
import pytest

from launch.serving import guards
from tests.launch import browsing
from tests.launch import fake_teller


@pytest.fixture(scope='module')
def client():
  with fake_teller.served(fake_teller.Storyteller()) as address:
    yield browsing.Client(address)


@pytest.fixture(autouse=True)
def _it_stays_up(client):
  yield
  assert client.events(client.ask(seconds=1))[-1][1] == 'ended'


def _picture(width, height, kind='png'):
  buffer = io.BytesIO()
  Image.new('RGB', (width, height), 'red').save(buffer, kind)
  return buffer.getvalue()


def _text(data):
  return base64.b64encode(data).decode()


def _promised(size):
  """A PNG whose header promises `size` x `size` pixels."""
  head = struct.pack('>IIBBBBB', size, size, 8, 2, 0, 0, 0)
  parts = [(b'IHDR', head), (b'IDAT', zlib.compress(b'')), (b'IEND', b'')]
  return b'\x89PNG\r\n\x1a\n' + b''.join(
    struct.pack('>I', len(data))
    + name
    + data
    + struct.pack('>I', zlib.crc32(name + data))
    for name, data in parts
  )


@pytest.mark.parametrize(
  'asked,status,error',
  [
    ({'prompt': ''}, 422, 'prompt: empty'),
    ({'prompt': ' '}, 422, 'prompt: empty'),
    ({'prompt': 'a' * 3000}, 422, 'prompt: 3000 characters, at most 2000'),
    ({'prompt': 'go ' * 40}, 422, 'prompt: 40 tokens, over the budget of 32'),
    ({'prompt': 'go\x00left'}, 422, "prompt: 'go\\x00left' has the character"),
    ({'prompt': 'go\u202b\x1b[2J'}, 422, 'has the character'),
    ({'prompt': '\ud800'}, 422, 'prompt'),
    ({'prompt': 7}, 422, 'prompt = 7: Input should be a valid string'),
    ({'start': 3}, 422, 'start = 3: there are 3 start frames, from 0 on'),
    ({'start': -1}, 422, 'start = -1'),
    ({'start': 10**300}, 422, 'start'),
    ({'start': True}, 422, 'start = True'),
    ({'seconds': 0}, 422, 'seconds = 0.0: from 0.625 to 64'),
    ({'seconds': 1e300}, 422, 'seconds = 1e+300'),
    ({'seconds': '6'}, 422, "seconds = '6'"),
    ({'seed': -1}, 422, 'seed = -1: from 0 to'),
    ({'seed': 2**32}, 422, 'seed = 4294967296'),
    ({'seed': 1.5}, 422, 'seed = 1.5'),
    ({'settings': {'steps': 1000}}, 422, 'settings.steps = 1000: from 1 to 64'),
    ({'settings': {'top_p': 0}}, 422, 'settings.top_p = 0.0: from 0.05 to 1'),
    ({'settings': {'guidance': 99}}, 422, 'settings.guidance = 99'),
    ({'settings': {'temperature': -1}}, 422, 'settings.temperature = -1'),
    ({'settings': {'stepz': 1}}, 422, 'settings.stepz: no such field'),
    ({'nonsense': 1}, 422, 'nonsense: no such field'),
    ({'says': [{'text': 'go'}]}, 422, 'says[0].time: missing'),
    ({'says': [{'time': 9, 'text': 'go'}]}, 422, 'says[0]: 9 s is after the'),
    ({'says': [{'time': -1, 'text': 'go'}]}, 422, 'says[0]: -1 s is no time'),
    (
      {'says': [{'time': 1, 'text': 'go', 'hold': -1}]},
      422,
      'says[0]: a hold of -1 s',
    ),
    (
      {'says': [{'time': 1, 'text': 'go'}, {'time': 1.01, 'text': 'left'}]},
      422,
      'says[0] and says[1] begin with the same chunk',
    ),
    (
      {'says': [{'time': 1, 'text': 'go ' * 20}]},
      422,
      'says[0]: text: 20 tokens, over the budget of 16',
    ),
    ({'says': [{'time': 1, 'text': '\r'}] * 300}, 422, 'says: 300 instruct'),
    ({'says': [{'time': 1, 'text': 'a\x07b'}]}, 422, 'says[0]: text: '),
    ({'picture': _text(_picture(20, 20))}, 422, 'prompt: missing'),
    ({'picture': 'no base64!'}, 422, 'picture: not base64'),
    ({'picture': 'é'}, 422, 'picture: not base64'),
    ({'picture': ''}, 422, 'picture: no PNG, JPEG or WebP'),
    ({'picture': _text(b'GIF89a' + bytes(50))}, 422, 'picture: no PNG'),
    ({'picture': _text(_picture(20, 20)[:60])}, 422, 'picture: no PNG'),
    (
      {'picture': _text(_promised(30000))},
      413,
      'picture: over 16 million pixels',
    ),
    ({'picture': _text(_promised(5000))}, 413, 'picture: 5000x5000 is over'),
    ({'picture': 'A' * 13_500_000}, 413, 'picture: over 10 MB'),
    ({'picture': _text(_picture(5, 5)), 'start': 1}, 422, 'start = 1 and a'),
  ],
)
def test_what_cannot_be_asked_is_named(client, asked, status, error):
  answer = client.send('POST', '/api/stories', asked)
  assert answer.error.startswith(error) or error in answer.error[:150]
  assert answer.status == status


def test_a_body_that_is_no_json_is_refused(client):
  for body, error in (
    (b'{"prompt": "\xff"}', 'body: not UTF-8 (byte 0xff at 12)'),
    (b'{"prompt": ', 'body: no JSON'),
    (b'', 'body: send a JSON object'),
    (b'[]', 'body: send a JSON object'),
    (b'"go"', 'body: send a JSON object'),
    (b'[' * 100_000, 'body'),
    (b'{"seconds": NaN}', 'seconds = nan'),
    (b'{"seconds": 1e999}', 'seconds = inf'),
    (b'{"seed": ' + b'9' * 5000 + b'}', 'body'),
  ):
    answer = client.send(
      'POST', '/api/stories', body, **{'content-type': 'application/json'}
    )
    assert answer.status in (400, 422)
    assert error in answer.error, body[:20]


def test_another_site_cannot_send_a_form(client):
  answer = client.send(
    'POST', '/api/stories', b'{"seconds": 1}', **{'content-type': 'text/plain'}
  )
  assert (answer.status, answer.error) == (
    400,
    'body: send a JSON object, as application/json',
  )


def test_a_huge_body_is_refused_before_it_is_read(client):
  with socket.create_connection(client.host.split(':')) as connection:
    connection.sendall(
      b'POST /api/stories HTTP/1.1\r\nHost: localhost\r\n'
      b'Content-Type: application/json\r\n'
      b'Content-Length: 99999999999\r\n\r\n{'
    )
    assert b' 413 ' in connection.recv(100)


def test_a_body_of_unsaid_length_is_refused_once_it_is_huge(client):
  piece = b'100000\r\n' + bytes(2**20) + b'\r\n'
  with socket.create_connection(client.host.split(':')) as connection:
    connection.sendall(
      b'POST /api/stories HTTP/1.1\r\nHost: localhost\r\n'
      b'Transfer-Encoding: chunked\r\n\r\n'
    )
    for _ in range(1 + guards.BODY // 2**20):
      connection.sendall(piece)
    assert b' 413 ' in connection.recv(100)


@pytest.mark.parametrize(
  'path',
  [
    '/api/starts/../../etc/passwd',
    '/api/starts/%2e%2e/%2e%2e/etc/passwd',
    '/api/starts/..%2f..%2fetc%2fpasswd.png',
    '/api/starts/-1.png',
    '/api/starts/1e3.png',
    '/api/starts/3.png',
    '/api/starts/' + '9' * 400 + '.png',
    '/../launch/studio.py',
    '/studio.py',
    '/..',
    '/%2e%2e',
    '/..%2froutes.py',
    '/page',
    '/page/index.html',
    '//etc/passwd',
    '/api/stories/..%2f..%2fetc%2fpasswd/story.zip',
    '/api/stories/nobody',
    '/api/stories/nobody/events',
    '/api/stories/nobody/story.mp4',
    '/docs',
  ],
)
def test_nothing_else_is_served(client, path):
  answer = client.get(path)
  assert answer.status == 404
  assert answer.error


def test_other_methods_are_refused(client):
  assert client.send('DELETE', '/api/model').status == 405
  assert client.send('PUT', '/studio.js', b'x').status == 405
  assert client.send('DELETE', '/api/stories/nobody').status == 404
  fork = {'time': 1, 'text': 'go'}
  assert client.send('POST', '/api/stories/nobody/fork', fork).status == 404


@pytest.mark.parametrize(
  'host,status',
  [
    ('localhost', 200),
    ('127.0.0.1:80', 200),
    ('[::1]:8000', 200),
    ('evil.example', 400),
    ('127.0.0.1.evil.example', 400),
    ('', 400),
  ],
)
def test_the_name_of_another_site_is_refused(client, host, status):
  assert client.get('/api/model', host=host).status == status


def test_who_listens_for_every_machine_has_any_name():
  assert guards.hosts_of('0.0.0.0') is None
  assert guards.hosts_of('::') is None
  assert '[::1]' in guards.hosts_of('::1')
  assert '127.0.0.2' in guards.hosts_of('127.0.0.2')


def test_every_answer_lets_a_page_load_only_what_is_its_own(client):
  for path in ('/api/model', '/nowhere', '/openapi.json'):
    headers = client.get(path).headers
    assert "default-src 'none'" in headers['content-security-policy']
    assert headers['x-content-type-options'] == 'nosniff'
    assert 'access-control-allow-origin' not in headers


def test_a_picture_is_cut_to_the_size_of_the_model(client):
  frame = np.zeros((40, 100, 3), np.uint8)
  frame[:, 25:75] = 255, 0, 0
  buffer = io.BytesIO()
  Image.fromarray(frame).save(buffer, 'webp', lossless=True)
  name = client.ask(
    picture=_text(buffer.getvalue()), prompt='doom hall', seconds=1
  )
  data = client.events(name)[-1]
  assert data[1] == 'ended'
  first = np.frombuffer(client.film(name)[0][2], np.uint8)
  assert first.reshape(12, 16, 3)[..., 1:].max() <= 60


def test_the_api_documents_itself(client):
  document = client.get('/openapi.json').json
  paths = document['paths']
  assert sorted(paths) == [
    '/',
    '/api/model',
    '/api/starts',
    '/api/starts/{number}.png',
    '/api/stories',
    '/api/stories/{name}',
    '/api/stories/{name}/events',
    '/api/stories/{name}/fork',
    '/api/stories/{name}/story.mp4',
    '/api/stories/{name}/story.zip',
    '/{name}',
  ]
  for methods in paths.values():
    for operation in methods.values():
      assert operation['description']
  stream = paths['/api/stories/{name}/events']['get']['responses']['200']
  events = json.dumps(stream['content']['text/event-stream'])
  for name in ('Queued', 'Wrote', 'Filmed', 'Ended', 'Failed', 'Cancelled'):
    assert name in events
    assert document['components']['schemas'][name]['description']


def test_start_frames_are_shown_at_their_own_size(client):
  starts = client.get('/api/starts').json
  assert [start['number'] for start in starts] == [0, 1, 2]
  answer = client.get('/api/starts/2.png')
  assert answer.headers['content-type'] == 'image/png'
  assert Image.open(io.BytesIO(answer.body)).size == (16, 12)
  assert client.get('/api/model').json['starts'] == 3
