"""A client of the studio: requests over real HTTP, events as they come."""

import base64
from collections.abc import Iterator
import contextlib
import http.client
import json
from typing import NamedTuple
import urllib.parse

from launch.serving import limits as limits_lib
from launch.serving import pictures
from tests.launch import fake_teller

_PATIENCE = 60  # seconds of a test for an answer


class Answer(NamedTuple):
  """To a request."""

  status: int
  headers: http.client.HTTPMessage
  body: bytes

  @property
  def json(self):
    return json.loads(self.body)

  @property
  def error(self):
    """The only thing that a refusal says: one line."""
    (line,) = self.json.values()
    assert '\n' not in line
    return line


class Client:
  """Asks one address, each time over a connection of its own."""

  def __init__(self, address: str):
    self.host = urllib.parse.urlsplit(address).netloc

  def _connection(self) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(self.host, timeout=_PATIENCE)

  def send(self, method, path, body=None, **headers) -> Answer:
    """A request; the body may be bytes, or what becomes JSON."""
    if body is not None and not isinstance(body, bytes):
      body = json.dumps(body).encode()
      headers = {'content-type': 'application/json', **headers}
    with contextlib.closing(self._connection()) as connection:
      connection.request(method, path, body, headers)
      response = connection.getresponse()
      return Answer(response.status, response.headers, response.read())

  def get(self, path, **headers) -> Answer:
    return self.send('GET', path, **headers)

  def ask(self, **asked) -> str:
    """A story that is taken on: its id."""
    answer = self.send('POST', '/api/stories', asked)
    assert answer.status == 202, answer.body
    return answer.json['id']

  def fork(self, name, **asked):
    """A fork that is taken on."""
    answer = self.send('POST', f'/api/stories/{name}/fork', asked)
    assert answer.status == 202, answer.body
    return answer.json

  def state(self, name):
    answer = self.get(f'/api/stories/{name}')
    assert answer.status == 200, answer.body
    return answer.json

  @contextlib.contextmanager
  def following(self, name, after=0) -> Iterator[Iterator[tuple]]:
    """(number, event, data) as they come; left, the socket is closed."""
    with contextlib.closing(self._connection()) as connection:
      connection.request(
        'GET', f'/api/stories/{name}/events', headers={'Last-Event-ID': after}
      )
      response = connection.getresponse()
      assert response.status == 200
      assert response.headers['content-type'].startswith('text/event-stream')
      yield _events(response)

  def events(self, name, after=0) -> list[tuple]:
    """All events, once the story is over."""
    with self.following(name, after) as events:
      return list(events)

  def film(self, name) -> dict:
    """(words, told, frames) of each chunk of a story, once it is over."""
    words, frames = {0: ('', False)}, {}
    for _, event, data in self.events(name):
      if event == 'wrote':
        words[data['chunk']] = data['text'], data['told']
      if event == 'filmed':
        frames[data['chunk']] = pixels(data)
    return {chunk: (*words[chunk], frames[chunk].tobytes()) for chunk in frames}


@contextlib.contextmanager
def studios():
  """Opens studios: a client and the engine, for lanes, layout and limits."""
  with contextlib.ExitStack() as opened:

    def open_one(lanes=2, layout='tv2tv', patience=600, **limits):
      teller = fake_teller.Storyteller(layout=layout, lanes=lanes)
      limits = limits_lib.Limits(patience=patience, **limits)
      studio = fake_teller.served(teller, limits)
      return Client(opened.enter_context(studio)), teller.engine

    yield open_one


def pixels(filmed):
  """The frames of an event `filmed`."""
  kind, _, data = filmed['strip'].partition(',')
  assert kind == 'data:image/webp;base64'
  return pictures.frames(base64.b64decode(data), filmed['count'])


def _events(response) -> Iterator[tuple]:
  fields = {}
  for line in response:
    name, _, value = line.decode().rstrip('\n').partition(': ')
    if name:
      fields[name] = value
    elif 'event' in fields:
      yield int(fields['id']), fields['event'], json.loads(fields['data'])
      fields = {}
    else:
      fields = {}
