"""Stories told as they happen: words, then frames, chunk by chunk.

The VAE decodes in a thread of its own while the model goes on.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
import functools
import queue
import threading
from typing import Any, NamedTuple, TypeAlias

from jaxtyping import UInt8
import numpy as np

from tv2tv_jax.sample import film as film_lib
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import rollout
from tv2tv_jax.sample import settings as settings_lib

_EVERY = 8  # chunks after which the decoder's past is kept, for forks
_KEPT = 8  # such pasts of a story at most


class Wrote(NamedTuple):
  """A story has its words before a chunk, perhaps none.

  Attributes:
    story: its number among those told.
    chunk: its number.
    words: token ids.
    told: whether a person put them there.
  """

  story: int
  chunk: int
  words: roll_lib.Words
  told: bool


class Filmed(NamedTuple):
  """The frames of a story's chunk are there: one of the first, or four."""

  story: int
  chunk: int
  frames: UInt8[np.ndarray, 'T Y X 3']


class Ended(NamedTuple):
  """A story is over after so many chunks.

  Attributes:
    story: its number among those told.
    chunks: of it.
    reason: `length`: it has as many chunks as it should; `eos`: the model
      ended it.
  """

  story: int
  chunks: int
  reason: str


Event: TypeAlias = Wrote | Filmed | Ended
Emit: TypeAlias = Callable[[Event], None]


class Telling(NamedTuple):
  """A story up to now, and how far it has been shown. A value, as a roll is.

  Attributes:
    roll: the story.
    shown: chunks whose frames were told of.
    pasts: of the decoder, after so many chunks, the last one newest.
  """

  roll: roll_lib.Roll
  shown: int = 0
  pasts: tuple[tuple[int, futures.Future], ...] = ()

  def until(self, chunks: int) -> 'Telling':
    """The story when it had so many chunks, all of them shown.

    Raises:
      ValueError: it never had so many.
    """
    roll = self.roll.until(chunks)
    pasts = tuple(past for past in self.pasts if past[0] <= chunks)
    return Telling(roll, min(chunks, self.shown), pasts)


class Teller:
  """Tells stories with an engine and a VAE; it holds no story."""

  def __init__(self, engine: rollout.Engine, film: film_lib.Film):
    self.engine, self.film = engine, film
    self._decoder = futures.ThreadPoolExecutor(1, 'decoder')
    self._shows: list[futures.Future] = []

  def begin(
    self,
    frames: UInt8[np.ndarray, 'T Y X 3'],
    prompt: Sequence[int],
    seed: int,
    settings: settings_lib.Settings | None = None,
  ) -> Telling:
    """A story that begins with a frame, or with a clip of `1 + 4n`.

    Args as of `Engine.begin`, errors too.
    """
    latents = self.film.encode(frames)
    return Telling(self.engine.begin(latents, prompt, seed, settings))

  def advance(
    self,
    tellings: Sequence[Telling],
    asks: Sequence[roll_lib.Ask] | None,
    emit: Emit,
  ) -> list[Telling]:
    """Every story that is not over, with one chunk more.

    Args:
      tellings: as many as the engine has lanes, or fewer.
      asks: what a person wants of each.
      emit: told of words at once; of frames, when they are decoded, from
        another thread, in the order of the story.
    """
    asks = asks or [roll_lib.Ask()] * len(tellings)

    def wrote(story: int, words: roll_lib.Words) -> None:
      chunk = len(tellings[story].roll.latents)
      emit(Wrote(story, chunk, words, asks[story].words is not None))

    before = [telling.roll for telling in tellings]
    rolls = self.engine.advance(before, asks, wrote)
    return [
      self._show(telling._replace(roll=roll), story, emit)
      for story, (telling, roll) in enumerate(zip(tellings, rolls, strict=True))
    ]

  def wait(self) -> None:
    """Returns when all frames that are due were emitted, or raises for them."""
    shows, self._shows = self._shows, []
    futures.wait(shows)
    for show in shows:
      show.result()

  def tell(
    self,
    tellings: Sequence[Telling],
    chunks: Sequence[int],
    asks: Callable[[int, int], roll_lib.Ask] = lambda s, c: roll_lib.Ask(),
  ) -> Iterator[Event]:
    """What happens while stories are told, as it happens.

    Args:
      tellings: any number of stories; the lane of one that is over is the next
        one's.
      chunks: that each story is to have, its start among them.
      asks: what a person wants of a story's chunk, by their numbers.
    """
    happened: queue.SimpleQueue[Any] = queue.SimpleQueue()
    stop = threading.Event()

    def tell() -> None:
      try:
        self._tell(tellings, chunks, asks, happened.put, stop)
        self.wait()
        happened.put(None)
      except BaseException as error:
        happened.put(error)

    thread = threading.Thread(target=tell, name='teller', daemon=True)
    thread.start()
    try:
      while (event := happened.get()) is not None:
        if isinstance(event, BaseException):
          raise event
        yield event
    finally:
      stop.set()
      thread.join()

  def _tell(
    self,
    tellings: Sequence[Telling],
    chunks: Sequence[int],
    asks: Callable[[int, int], roll_lib.Ask],
    emit: Emit,
    stop: threading.Event,
  ) -> None:
    """Advances all stories until they are over."""
    lanes: list[int] = []  # The stories that are being told.
    waiting = list(range(len(tellings)))
    told = dict(enumerate(tellings))
    while (lanes or waiting) and not stop.is_set():
      while waiting and len(lanes) < self.engine.lanes:
        lanes.append(waiting.pop(0))
      due = [s for s in lanes if len(told[s].roll.latents) < chunks[s]]
      advanced = self.advance(
        [told[story] for story in due],
        [asks(story, len(told[story].roll.latents)) for story in due],
        functools.partial(_renamed, emit, tuple(due)),
      )
      told |= zip(due, advanced, strict=True)
      for story in list(lanes):
        roll = told[story].roll
        if roll.ended or len(roll.latents) >= chunks[story]:
          lanes.remove(story)
          self._end(story, roll, emit)

  def _end(self, story: int, roll: roll_lib.Roll, emit: Emit) -> None:
    """Tells of the end, after the last frames."""
    reason = 'eos' if roll.ended else 'length'
    event = Ended(story, len(roll.latents), reason)
    self._shows.append(self._decoder.submit(emit, event))

  def _show(self, telling: Telling, story: int, emit: Emit) -> Telling:
    """Has the frames decoded that were not shown yet."""
    roll, pasts = telling.roll, telling.pasts
    count = len(roll.latents)
    if telling.shown == count:
      return telling
    after, past = pasts[-1] if pasts else (0, None)

    def show() -> Any:
      held = past and past.result()
      for chunk in range(after, count):
        frames, held = self.film.shown(roll.latents[chunk], held)
        if chunk >= telling.shown:
          emit(Filmed(story, chunk, frames))
      return held

    done = self._decoder.submit(show)
    self._shows = [each for each in self._shows if not each.done()]
    self._shows.append(done)
    kept = [each for each in pasts if each[0] % _EVERY == 0][-_KEPT:]
    return Telling(roll, count, (*kept, (count, done)))


def _renamed(emit: Emit, stories: tuple[int, ...], event: Event) -> None:
  """Tells of a story under its own number, not that of its lane."""
  emit(event._replace(story=stories[event.story]))
