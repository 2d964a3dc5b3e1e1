"""A server of the chat API on this machine that can be told to misbehave."""

import base64
from collections.abc import Callable
import contextlib
from http import server
import io
import json
import threading
from typing import Any, NamedTuple

from PIL import Image

PATH = '/v1/chat/completions'


class Asked(NamedTuple):
  """A request, its pictures decoded."""

  model: str
  text: str  # of all texts of the first message, a line each
  pictures: list[Image.Image]
  body: dict[str, Any]
  key: str


class Sent(NamedTuple):
  """A response."""

  body: bytes
  status: int = 200
  headers: tuple[tuple[str, str], ...] = (('Content-Type', 'application/json'),)


def failing(status: int, wait: str = '0.01') -> Sent:
  """An error after which the client shall wait for so many seconds."""
  return Sent(b'{"error": "no"}', status, (('Retry-After', wait),))


def hang(handler: server.BaseHTTPRequestHandler) -> None:
  """Nothing is said until the server is closed."""
  handler.server.closing.wait(20)


def hang_up(handler: server.BaseHTTPRequestHandler) -> None:
  """The connection is closed without a word."""
  handler.close_connection = True


def answer(content: Any, finish_reason: str = 'stop') -> Sent:
  """What a server sends when its model says `content`."""
  message = {'role': 'assistant', 'content': content}
  choice = {'index': 0, 'message': message, 'finish_reason': finish_reason}
  return Sent(json.dumps({'id': '1', 'choices': [choice]}).encode())


def caption(asked: Asked) -> Sent:
  """A caption that tells its request from others."""
  number = sum(asked.text.encode()) + len(asked.pictures)
  return answer(json.dumps({'caption': f'thing {number}', 'score': 8}))


class Server:
  """What was asked of it, and what it shall do.

  Attributes:
    address: to give to the client.
    asked: every request, in order.
    script: what to do with the next requests: a response, or a function of the
      handler. When it is used up, requests get what `reply` makes of them.
    reply: of a request that is in order.
  """

  def __init__(self, address: str):
    self.address = address
    self.asked: list[Asked] = []
    self.script: list[Sent | Callable[[Any], None]] = []
    self.reply: Callable[[Asked], Sent] = caption


@contextlib.contextmanager
def running():
  """A server on a free port."""
  http = server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
  http.daemon_threads = True
  http.lock = threading.Lock()
  http.closing = threading.Event()
  http.told = Server(f'http://127.0.0.1:{http.server_port}/v1')
  thread = threading.Thread(target=http.serve_forever, args=(0.01,))
  thread.start()
  try:
    yield http.told
  finally:
    http.closing.set()
    http.shutdown()
    thread.join()
    http.server_close()


class _Handler(server.BaseHTTPRequestHandler):
  protocol_version = 'HTTP/1.1'

  def do_POST(self):
    body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
    told = self.server.told
    asked = _asked(body, self.headers.get('Authorization', ''))
    with self.server.lock:
      told.asked.append(asked)
      step = told.script.pop(0) if told.script else None
    if step is None:
      step = told.reply(asked)
    if not isinstance(step, Sent):
      step(self)
      return
    assert self.path == PATH, self.path
    self.send_response(step.status)
    for name, value in step.headers:
      self.send_header(name, value)
    self.send_header('Content-Length', str(len(step.body)))
    self.end_headers()
    self.wfile.write(step.body)

  def log_message(self, *_):
    pass


def _asked(body, key) -> Asked:
  parts = body['messages'][0]['content']
  pictures = []
  for part in parts:
    if part['type'] == 'image_url':
      head, _, data = part['image_url']['url'].partition(',')
      assert head == 'data:image/jpeg;base64'
      picture = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
      assert picture.format == 'JPEG'
      picture.load()
      pictures.append(picture)
  texts = [part['text'] for part in parts if part['type'] == 'text']
  return Asked(body['model'], '\n'.join(texts), pictures, body, key)
