"""Processes of one run end together.

JAX joins processes well, but where one of them dies it aborts the others from
C++, and where one ends by an exception it waits for minutes. So a TCP
connection stays from each process to process 0: whatever ends one of them is
one line on all, within a second.
"""

from collections.abc import Mapping
import contextlib
import json
import os
import selectors
import socket
import sys
import threading
import time
from typing import Any, NoReturn

import jax

LOST = 75  # Exit status where another one is gone: EX_TEMPFAIL, "try again".
WHOLE = 5  # seconds for a message to be whole
# Seconds for process 0 to answer; in which the end of a neighbour shows after
# an error that it causes.
_ANSWER, _AFTERMATH = 5, 5
_LONGEST = 1 << 20  # bytes of a message


class Peer:
  """Another process, at the end of a connection.

  Attributes:
    connection: to it.
    process: its number.
    name: what people call it.
    heard: when it last said something, by the monotonic clock.
  """

  def __init__(self, connection: socket.socket, process: int, name: str):
    self.connection = connection
    self.process = process
    self.name = name
    self.heard = time.monotonic()
    self._rest = b''
    self._sending = threading.Lock()

  def send(self, message: Mapping[str, Any]) -> None:
    """Sends a message, if the other is still there to hear it."""
    with self._sending, contextlib.suppress(OSError):
      self.connection.sendall(json.dumps(message).encode() + b'\n')

  def receive(self) -> list[dict[str, Any]]:
    """Messages that have come, after at most one wait.

    Raises:
      EOFError: the other end is closed.
      ValueError: what came is no message.
    """
    try:
      part = self.connection.recv(1 << 16)
    except TimeoutError:
      raise
    except OSError:
      part = b''
    if not part:
      raise EOFError
    self.heard = time.monotonic()
    *lines, self._rest = (self._rest + part).split(b'\n')
    messages = [json.loads(line) for line in lines]
    if len(self._rest) > _LONGEST or not all(
      isinstance(message, dict) for message in messages
    ):
      raise ValueError('no message')
    return messages

  def first(self, seconds: float) -> dict[str, Any]:
    """The first message alone; what follows it stays to be received.

    Raises:
      OSError, EOFError, ValueError: none came.
    """
    self.connection.settimeout(seconds)
    line = b''
    while not line.endswith(b'\n') and len(line) < _LONGEST:
      part = self.connection.recv(1 << 16, socket.MSG_PEEK)
      end = part.find(b'\n') + 1
      line += self.connection.recv(end or len(part))
      if not part:
        raise EOFError
    return json.loads(line)


class Bond:
  """What holds the processes of a run together: all go on, or none does."""

  def __init__(
    self, process: int, name: str, peers: list[Peer], silence: float
  ):
    """Watches over `peers` from here on.

    Args:
      process: the number of this one.
      name: what people call it.
      peers: all others for process 0; process 0 for each other.
      silence: seconds after which a process that says nothing is lost.
    """
    self._leads = process == 0
    self._name = name
    self._peers = peers
    self._silence = silence
    self._over = False
    self._ending = threading.Lock()
    for peer in peers:
      peer.connection.settimeout(WHOLE)
    os.register_at_fork(after_in_child=self._close)
    threading.Thread(target=self._watch, name='bond', daemon=True).start()

  def fail(self, text: str, status: int) -> NoReturn:
    """Ends all processes with one line on standard error.

    Where two fail at a time, process 0 says whose line it is.
    """
    line = f'{"error: " if status else ""}{self._name}: {text}'
    if not self._leads:
      self._peers[0].send({'line': line, 'status': status})
      time.sleep(_ANSWER)  # It ends here, in the other thread.
    self._end(line, status)

  def aftermath(self) -> None:
    """Waits for the end of another process, of which an error may tell.

    A collective operation fails here a moment before it is known why. Returns
    if all others live.
    """
    time.sleep(_AFTERMATH)

  def leave(self, *, early: bool = False) -> None:
    """Waits until all processes have come to their end.

    Args:
      early: this one was told to stop, as the others should have been: they end
        with it, also if they were not.
    """
    told = ('was told to stop: run the same command to go on', 0)
    timer = threading.Timer(self._silence, self.fail, told)
    timer.daemon = True
    if early:
      timer.start()
    jax.distributed.shutdown()
    timer.cancel()
    self._over = True
    for peer in self._peers:
      peer.send({'left': True})

  def _watch(self) -> None:
    """Hears what the others say, and that they are there."""
    selector = selectors.DefaultSelector()
    for peer in self._peers:
      peer.heard = time.monotonic()
      selector.register(peer.connection, selectors.EVENT_READ, peer)
    beat = time.monotonic()
    while selector.get_map():
      for key, _ in selector.select(self._silence / 8):
        if self._left(key.data):
          selector.unregister(key.fileobj)
      now = time.monotonic()
      if now - beat > self._silence / 4:
        beat = now
        for key in selector.get_map().values():
          key.data.send({})
      for key in selector.get_map().values():
        if now - key.data.heard > self._silence:
          self._end(
            f'error: {key.data.name} has said nothing for {self._silence:g} s: '
            'look at its log and its machine',
            LOST,
          )

  def _left(self, peer: Peer) -> bool:
    """Whether a process, of which there is news, has come to its end."""
    try:
      messages = peer.receive()
    except TimeoutError:
      return False
    except (EOFError, ValueError):
      if self._over:
        return True
      self._end(f'error: {peer.name} has died: its log says why', LOST)
    for message in messages:
      if 'line' in message:
        self._end(message['line'], message['status'])
      if 'left' in message:
        return True
    return False

  def _end(self, line: str, status: int) -> NoReturn:
    """Ends this process at once; process 0 tells all others to."""
    self._ending.acquire()  # Never released: the first line is the only one.
    if self._leads:
      for peer in self._peers:
        peer.send({'line': line, 'status': status})
    with contextlib.suppress(OSError, ValueError):  # Nobody may be listening.
      # After a progress bar the line is a line of its own.
      print(f'\n{line}', file=sys.stderr)
      sys.stdout.flush()
      sys.stderr.flush()
    # Not sys.exit: JAX would wait for processes that are gone.
    os._exit(status)

  def _close(self) -> None:
    """In a forked process: it must not keep alive what has died."""
    for peer in self._peers:
      peer.connection.close()
