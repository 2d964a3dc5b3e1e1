"""Where processes of one run may meet."""

import socket


def free() -> int:
  """A port of this machine that was free a moment ago."""
  with socket.socket() as found:
    found.bind(('localhost', 0))
    return found.getsockname()[1]
