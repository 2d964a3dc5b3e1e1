"""One story of the studio: its log, which any number of clients follow.

All of it belongs to the thread of the event loop. The thread that films reads
`over` and owns `telling`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
import contextlib
import secrets
import time
from typing import Literal, NamedTuple

import jax
from jaxtyping import UInt8
import numpy as np

from launch.serving import limits as limits_lib
from launch.serving import orders
from launch.serving import pictures
from launch.serving import schema
from tv2tv_jax.sample import telling as telling_lib

HEARTBEAT = 15.0  # seconds between signs of life


class Shot(NamedTuple):
  """A chunk: its words, and its frames as a strip once they are there."""

  text: str
  told: bool
  strip: bytes = b''
  count: int = 0


class Event(NamedTuple):
  """Something that happened; `data` in parts where it is large."""

  name: str
  data: schema.Event
  strip: bytes = b''


class Branch(NamedTuple):
  """Where a fork leaves its parent."""

  parent: str
  chunk: int
  telling: telling_lib.Telling
  shots: tuple[Shot, ...]


class Story:
  """A story from its place in the queue to its end.

  Attributes:
    id: no one can guess it.
    order: what is to be filmed.
    branch: where it leaves its parent; None if it has none.
    status: as clients see it.
    position: in the queue, 1 the next one; 0 if it is not there.
    shots: its chunks so far.
    telling: the story itself, once there is something of it.
    reason: why it ended.
    error: why it failed.
    last_read: when a client last read it, on the monotonic clock.
  """

  def __init__(
    self,
    order: orders.Order,
    time_of: Callable[[int], float],
    branch: Branch | None = None,
  ):
    self.id = secrets.token_hex(8)
    self.order = order
    self.branch = branch
    self.status: schema.Status = 'waiting'
    self.position = 0
    self.shots = [] if branch else [Shot('', False)] * order.begun
    self.telling = branch.telling if branch else None
    self.reason: str | None = None
    self.error: str | None = None
    self.last_read = time.monotonic()
    self._time_of = time_of
    self._events: list[Event] = []
    self._changed = asyncio.Event()
    self._readers = 0
    for number, shot in enumerate(branch.shots if branch else ()):
      if number < order.begun:  # Before the start nobody writes.
        self.shots.append(Shot('', False))
      else:
        self.wrote(number, shot.text, shot.told)
      self.filmed(number, shot.strip, shot.count)

  @property
  def over(self) -> bool:
    """Whether nothing more will come."""
    return self.status not in ('waiting', 'filming')

  @property
  def bytes(self) -> int:
    """That it keeps, without what it shares with its parent."""
    first = self.branch.chunk if self.branch else 0
    film = sum(len(shot.strip) for shot in self.shots[first:])
    pasts = self.telling.pasts if self.telling else ()
    # Of the decoder, so that forks need not begin from the start.
    own = [past for chunks, past in pasts if chunks > first]
    return film + sum(
      leaf.nbytes
      for past in own
      if past.done() and not past.exception()
      for leaf in jax.tree.leaves(past.result())
    )

  @property
  def last_event(self) -> int:
    """The number of the newest event; the first is 1."""
    return len(self._events)

  def move(self, position: int) -> None:
    """It has another place in the queue; 0: it is taken out to be filmed."""
    if self.over:
      return
    self.position = position
    self.status = 'waiting' if position else 'filming'
    self._add('queued', schema.Queued(position=position))

  def wrote(self, chunk: int, text: str, told: bool) -> None:
    """The words before a chunk are known; said again, they are not heard."""
    if self.over or chunk != len(self.shots):
      return
    self.shots.append(Shot(text, told))
    data = schema.Wrote(
      chunk=chunk,
      time=self._time_of(chunk),
      text=text,
      told=told,
      shared=self._shares(chunk),
    )
    self._add('wrote', data)

  def filmed(self, chunk: int, strip: bytes, count: int) -> None:
    """The frames of a chunk are there; again, they are not looked at."""
    if self.over or self.shots[chunk].count:
      return
    self.shots[chunk] = self.shots[chunk]._replace(strip=strip, count=count)
    data = schema.Filmed(
      chunk=chunk,
      time=self._time_of(chunk),
      count=count,
      strip='',
      shared=self._shares(chunk),
    )
    self._add('filmed', data, strip)

  def end(self, reason: Literal['length', 'eos']) -> None:
    """It is whole."""
    if not self.over:
      self.status, self.reason = 'finished', reason
      self._add('ended', schema.Ended(reason=reason))

  def fail(self, error: str) -> None:
    """It cannot go on."""
    if not self.over:
      self.status, self.error = 'failed', error
      self._add('failed', schema.Failed(error=error))

  def cancel(self, reason: str) -> None:
    """It is not wanted any more."""
    if not self.over:
      self.status, self.reason = 'cancelled', reason
      self._add('cancelled', schema.Cancelled(reason=reason))

  async def reach(self, chunks: int) -> None:
    """Returns when so many chunks are filmed, or no more will come."""
    while not self.over and len(self.film(chunks)) < chunks:
      await self._changed.wait()

  async def whole(self) -> None:
    """Returns when no more will come."""
    while not self.over:
      await self._changed.wait()

  @contextlib.contextmanager
  def read(self) -> Iterator[None]:
    """While a client reads, the story is wanted."""
    self._readers += 1
    try:
      yield
    finally:
      self._readers -= 1
      self.last_read = time.monotonic()

  def unread(self) -> float:
    """Seconds for which no client has read it."""
    return 0.0 if self._readers else time.monotonic() - self.last_read

  async def follow(self, after: int) -> AsyncIterator[tuple[int, Event] | None]:
    """Its events with their numbers from one on; None as a sign of life."""
    while True:
      while after < len(self._events):
        after += 1
        yield after, self._events[after - 1]
      if self.over:
        return
      try:
        async with asyncio.timeout(HEARTBEAT):
          await self._changed.wait()
      except TimeoutError:
        yield None

  def film(self, chunks: int | None = None) -> list[Shot]:
    """The chunks from the first one on whose frames are there."""
    whole = []
    for shot in self.shots[:chunks]:
      if not shot.count:
        break
      whole.append(shot)
    return whole

  def frames(self) -> UInt8[np.ndarray, 'T Y X 3']:
    """All pictures that are there."""
    parts = [pictures.frames(s.strip, s.count) for s in self.film()]
    return np.concatenate(parts)

  def state(self) -> schema.Story:
    """All but the pictures."""
    turn = self.order.turn
    return schema.Story(
      id=self.id,
      parent=self.branch.parent if self.branch else None,
      forked_at=self.branch.chunk if self.branch else None,
      status=self.status,
      position=self.position,
      prompt=self.order.script.prompt,
      seed=turn.seed,
      settings=limits_lib.chosen(turn.settings),
      seconds=self.order.seconds,
      chunks=[
        schema.Chunk(
          number=number,
          time=self._time_of(number),
          text=shot.text,
          told=shot.told,
          filmed=shot.count > 0,
        )
        for number, shot in enumerate(self.shots)
      ],
      frames=sum(shot.count for shot in self.shots),
      reason=self.reason,
      error=self.error,
    )

  def _shares(self, chunk: int) -> bool:
    return self.branch is not None and chunk < self.branch.chunk

  def _add(self, name: str, data: schema.Event, strip: bytes = b'') -> None:
    self._events.append(Event(name, data, strip))
    self._changed.set()
    self._changed = asyncio.Event()
