"""What every request passes before it is looked at, and every answer after."""

from collections.abc import Sequence
import json

from starlette import datastructures
from starlette import types

BODY = 14_000_000  # bytes: the largest picture in base64, and some words
_METHODS_WITH_BODY = ('POST', 'PUT', 'PATCH', 'DELETE')
# A page loads what is its own, and shows pictures that it was told.
_POLICY = '; '.join(
  (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data: blob:",
    "media-src 'self' data: blob:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  )
)
_HEADERS = {
  'content-security-policy': _POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
}
_LOCAL = ('localhost', '127.0.0.1', '[::1]')


class Guard:
  """Refuses foreign hosts and bodies that are huge or no UTF-8.

  A page of another site can make its own name mean this machine; the browser
  still sends that name.
  """

  def __init__(self, app: types.ASGIApp, hosts: Sequence[str] | None):
    """Guards an application.

    Args:
      app: what answers.
      hosts: names that it may be called by; None: any.
    """
    self._app = app
    self._hosts = hosts

  async def __call__(
    self, scope: types.Scope, receive: types.Receive, send: types.Send
  ) -> None:
    """Of ASGI."""
    if scope['type'] != 'http':
      await self._app(scope, receive, send)
      return

    async def marked(message: types.Message) -> None:
      if message['type'] == 'http.response.start':
        headers = datastructures.MutableHeaders(scope=message)
        for name, value in _HEADERS.items():
          headers.setdefault(name, value)
      await send(message)

    headers = datastructures.Headers(scope=scope)
    host = _name(headers.get('host', ''))
    if self._hosts is not None and host not in self._hosts:
      await _refuse(
        marked, 400, f'host {host[:80]!r}: not a name of this studio'
      )
      return
    if scope['method'] in _METHODS_WITH_BODY:
      try:
        receive = await _read(headers, receive)
      except _BodyError as error:
        await _refuse(marked, error.status, str(error))
        return
    await self._app(scope, receive, marked)


def hosts_of(host: str) -> Sequence[str] | None:
  """Names that a studio which listens on a host may be called by."""
  name = f'[{host}]' if ':' in host else host
  local = name in _LOCAL or name.startswith('127.')
  return (*_LOCAL, name) if local else None


class _BodyError(ValueError):
  """A body that is not read, or not to its end."""

  def __init__(self, line: str, status: int):
    super().__init__(line)
    self.status = status


async def _read(
  headers: datastructures.Headers, receive: types.Receive
) -> types.Receive:
  """Reads the body; what the application receives in its place."""
  large = _BodyError(f'body: over {BODY:,} bytes', 413)
  length = headers.get('content-length', '0')
  if length.isdecimal() and int(length[:20]) > BODY:
    raise large
  parts, size, more = [], 0, True
  while more:
    message = await receive()
    if message['type'] == 'http.disconnect':
      raise _BodyError('body: the connection was closed', 400)
    parts.append(message.get('body', b''))
    size += len(parts[-1])
    if size > BODY:
      raise large
    more = message.get('more_body', False)
  body = b''.join(parts)
  try:
    body.decode()
  except UnicodeDecodeError as error:
    raise _BodyError(
      f'body: not UTF-8 (byte 0x{body[error.start]:02x} at {error.start})', 400
    ) from None
  read = False

  async def again() -> types.Message:
    nonlocal read
    if read:
      return await receive()
    read = True
    return {'type': 'http.request', 'body': body, 'more_body': False}

  return again


async def _refuse(send: types.Send, status: int, line: str) -> None:
  body = json.dumps({'error': line}).encode()
  headers = [
    (b'content-type', b'application/json'),
    (b'content-length', str(len(body)).encode()),
    (b'connection', b'close'),  # What is left of the body is not read.
  ]
  await send(
    {'type': 'http.response.start', 'status': status, 'headers': headers}
  )
  await send({'type': 'http.response.body', 'body': body})


def _name(host: str) -> str:
  """A Host header without its port."""
  if host.startswith('['):
    return host.partition(']')[0].lower() + ']'
  return host.partition(':')[0].lower()
