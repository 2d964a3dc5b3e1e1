"""The one thread that has the model: stories advance in it side by side.

A story joins when a lane is free and leaves when it is over, between two
chunks. What happens is called in the event loop's thread.
"""

import asyncio
from collections.abc import Callable, Sequence
import contextlib
import functools
import queue
import sys
import threading
import traceback

from launch import storyteller as storyteller_lib
from launch.serving import pictures
from launch.serving import story as story_lib
from tv2tv_jax.sample import settings as settings_lib
from tv2tv_jax.sample import telling as telling_lib

_CLOSING = 300.0  # seconds for the chunk under way, which may be compiled


class Worker:
  """Films the stories it is given, first come, first served."""

  def __init__(self, teller: storyteller_lib.Storyteller):
    self._teller = teller
    self._given: queue.SimpleQueue[story_lib.Story | None] = queue.SimpleQueue()
    self._closing = False
    self._thread = threading.Thread(
      target=self._work, name='filming', daemon=True
    )
    self._loop: asyncio.AbstractEventLoop | None = None
    self._taken: Callable[[story_lib.Story], None] = lambda _: None

  def start(self, taken: Callable[[story_lib.Story], None]) -> None:
    """Begins to work for the running loop.

    Args:
      taken: told of each story whose turn has come.
    """
    self._loop = asyncio.get_running_loop()
    self._taken = taken
    self._thread.start()

  def give(self, story: story_lib.Story) -> None:
    """Another story to be filmed after all that were given before."""
    self._given.put(story)

  def stop(self) -> None:
    """Ends the work after the chunk under way."""
    self._closing = True
    self._given.put(None)
    self._thread.join(_CLOSING)

  def _work(self) -> None:
    going: list[story_lib.Story] = []
    while not self._closing:
      for story in going:
        if story.over:  # Cancelled, since the last chunk.
          _rest(story)
      going = [story for story in going if not story.over]
      going += self._joining(len(going))
      if going and not self._closing:
        going = self._advanced(going)

  def _joining(self, going: int) -> list[story_lib.Story]:
    """Stories for the lanes that are free; waits for one if all are."""
    joining: list[story_lib.Story] = []
    while going + len(joining) < self._teller.engine.lanes:
      try:
        story = self._given.get(block=not going and not joining)
      except queue.Empty:
        break
      if story is None:
        break
      if not story.over and self._begun(story):
        joining.append(story)
    return joining

  def _begun(self, story: story_lib.Story) -> bool:
    """Whether a story could be begun."""
    self._tell(self._taken, story)
    order, turn = story.order, story.order.turn
    try:
      if story.branch is None:
        story.telling = self._teller.begin(
          order.start, order.script.prompt, turn.seed, turn.settings
        )
      else:
        story.telling = _unseated(
          story.branch.telling, turn.seed, turn.settings
        )
    except Exception as error:
      self._failed(story, error)
      return False
    return True

  def _advanced(
    self, stories: Sequence[story_lib.Story]
  ) -> list[story_lib.Story]:
    """Films a chunk of each story; those that go on.

    Where that fails they are filmed one by one, and only the guilty one ends.
    """
    before = [story.telling for story in stories]
    try:
      self._film(stories)
      if any(map(_is_told, stories)):
        self._teller.teller.wait()
    except Exception:
      for story, telling in zip(stories, before, strict=True):
        story.telling = telling
      stories = [story for story in stories if self._films_alone(story)]
    going = []
    for story in stories:
      if not _is_told(story):
        going.append(story)
        continue
      _rest(story)
      ended = story.telling.roll.ended
      self._tell(story.end, 'eos' if ended else 'length')
    return going

  def _films_alone(self, story: story_lib.Story) -> bool:
    """Whether the next chunk of a story can be filmed and shown."""
    try:
      self._film([story])
      self._teller.teller.wait()
    except Exception as error:
      _rest(story)
      self._failed(story, error)
      return False
    return True

  def _film(self, stories: Sequence[story_lib.Story]) -> None:
    """The next chunk of each story; its frames come when they are decoded."""
    chunks = [len(story.telling.roll.latents) for story in stories]
    tellings = self._teller.teller.advance(
      [story.telling for story in stories],
      [s.order.ask(chunk) for s, chunk in zip(stories, chunks, strict=True)],
      functools.partial(self._happened, tuple(stories)),
    )
    for story, telling in zip(stories, tellings, strict=True):
      story.telling = telling

  def _happened(
    self,
    stories: Sequence[story_lib.Story],
    event: telling_lib.Wrote | telling_lib.Filmed | telling_lib.Ended,
  ) -> None:
    """Tells a story what was written or filmed; in any thread."""
    story = stories[event.story]
    if isinstance(event, telling_lib.Wrote):
      text = self._teller.tokenizer.decode(event.words)
      self._tell(story.wrote, event.chunk, text, event.told)
    elif isinstance(event, telling_lib.Filmed):
      strip = pictures.strip(event.frames)
      self._tell(story.filmed, event.chunk, strip, len(event.frames))

  def _failed(self, story: story_lib.Story, error: Exception) -> None:
    """Ends a story that cannot be filmed; a defect of ours is shown here."""
    line = ' '.join(str(error).split())[:500]
    if not isinstance(error, ValueError):
      traceback.print_exception(error, file=sys.stderr)
      line = f'{type(error).__name__}: {line}'
    self._tell(story.fail, line)

  def _tell(self, function: Callable[..., None], *arguments) -> None:
    """Calls in the loop's thread; nobody hears it once that is closed."""
    with contextlib.suppress(RuntimeError):
      self._loop.call_soon_threadsafe(function, *arguments)


def _rest(story: story_lib.Story) -> None:
  """Nothing of a story stays in the memory of the model."""
  roll = story.telling.roll
  story.telling = _unseated(story.telling, roll.seed, roll.settings)


def _unseated(
  telling: telling_lib.Telling, seed: int, settings: settings_lib.Settings
) -> telling_lib.Telling:
  """The same past, in no memory of the model's, to be told on in some way."""
  roll = telling.roll._replace(seed=seed, settings=settings, seat=None)
  return telling._replace(roll=roll)


def _is_told(story: story_lib.Story) -> bool:
  """Whether a story has its last chunk."""
  roll = story.telling.roll
  return roll.ended or len(roll.latents) >= story.order.script.chunks
