"""The server: one address that listens, and ends when it is interrupted."""

import socket

from starlette import types
import uvicorn

from launch.serving import stories as stories_lib

_CONNECTIONS = 1000  # at once; beyond, a client is told to come again


class Server(uvicorn.Server):
  """Closes the studio before it waits for those who listen."""

  def __init__(
    self,
    application: types.ASGIApp,
    stories: stories_lib.Stories,
    greeting: str = '',
  ):
    """Serves an application.

    Args:
      application: answers.
      stories: end with it.
      greeting: is printed once it listens.
    """
    config = uvicorn.Config(
      application,
      # The same whatever else is installed.
      loop='asyncio',
      http='h11',
      ws='none',
      lifespan='on',
      proxy_headers=False,
      log_level='error',
      access_log=False,
      server_header=False,
      limit_concurrency=_CONNECTIONS,
      timeout_graceful_shutdown=5,
    )
    super().__init__(config)
    self._stories = stories
    self._greeting = greeting

  async def startup(self, sockets: list[socket.socket] | None = None) -> None:
    """Begins to listen, and says so."""
    await super().startup(sockets)
    if self._greeting:
      print(self._greeting, flush=True)

  async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
    """Ends streams, then connections, then the filming."""
    self._stories.close()
    await super().shutdown(sockets)


def bound(host: str, port: int) -> tuple[socket.socket, str]:
  """A socket that nobody else has, and the address of its page.

  Raises:
    OSError: there is no such host here, or the port is taken.
  """
  try:
    (family, kind, _, _, place), *_ = socket.getaddrinfo(
      host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(place)
  except OSError as error:
    raise OSError(
      f'--host={host} --port={port}: {error.strerror or error}'
    ) from None
  name = f'[{host}]' if ':' in host else host
  return listener, f'http://{name}:{listener.getsockname()[1]}/'
