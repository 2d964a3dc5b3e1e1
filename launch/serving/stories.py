"""All stories of the studio: who waits, who is filmed, what is kept."""

import asyncio
from collections.abc import AsyncIterator
import contextlib
import pathlib
import sys

from launch import story_folder
from launch import storyteller as storyteller_lib
from launch.serving import downloads
from launch.serving import limits as limits_lib
from launch.serving import orders
from launch.serving import refused
from launch.serving import schema
from launch.serving import story as story_lib
from launch.serving import worker as worker_lib


class Stories:
  """The stories, oldest first; it belongs to the event loop's thread.

  Attributes:
    limits: the most that is done.
  """

  def __init__(
    self,
    teller: storyteller_lib.Storyteller,
    desk: orders.Desk,
    limits: limits_lib.Limits,
    folder: pathlib.Path | None = None,
  ):
    """Of a storyteller, none of them yet.

    Args:
      teller: films.
      desk: takes orders.
      limits: the most that is done.
      folder: gets a folder for each finished story; None: nothing is written.
    """
    self.limits = limits
    self._desk = desk
    self._teller = teller
    self._worker = worker_lib.Worker(teller)
    self._stories: dict[str, story_lib.Story] = {}
    self._line: list[story_lib.Story] = []
    self._checking = asyncio.Semaphore(2)
    self._folder = folder
    self._saves: set[asyncio.Task[None]] = set()

  @contextlib.asynccontextmanager
  async def open(self) -> AsyncIterator[None]:
    """While it is open stories are filmed, and those nobody reads cancelled."""
    self._worker.start(self._taken)
    watch = asyncio.create_task(self._watch())
    try:
      yield
    finally:
      watch.cancel()
      self.close()
      await asyncio.gather(*self._saves)
      await asyncio.to_thread(self._worker.stop)

  def close(self) -> None:
    """Nothing more is filmed, and whoever listens is told so."""
    for story in self._stories.values():
      story.cancel('the studio closed')

  def __getitem__(self, name: str) -> story_lib.Story:
    """A story by its id; reading it keeps it alive.

    Raises:
      RefusedError: there is none.
    """
    story = self._stories.get(name)
    if story is None:
      raise refused.RefusedError(
        f'no story {name[:40]!r}: there never was one, or it was dropped '
        f'({self.limits.stories} are kept)',
        404,
      )
    with story.read():
      return story

  async def ask(self, asked: schema.Asked) -> story_lib.Story:
    """A new story, in the queue.

    Raises:
      RefusedError: it cannot be filmed, or too many wait.
    """
    self.check_room()
    async with self._checking:  # A picture of many pixels takes memory.
      order = await asyncio.to_thread(self._desk.order, asked)
    self.check_room()
    return self._add(story_lib.Story(order, self._teller.time_of))

  async def fork(
    self, parent: story_lib.Story, asked: schema.ForkAsked
  ) -> story_lib.Story:
    """Another future of a story, in the queue.

    Raises:
      RefusedError: its moment is not filmed, it cannot be filmed, or too many
        wait.
    """
    self.check_room()
    order, chunk = self._desk.fork(parent.order, asked)
    telling = parent.telling
    if telling is None or chunk > len(telling.roll.latents):
      raise refused.RefusedError(
        f'time = {asked.time:g}: the story is not filmed so far', 409
      )
    await parent.reach(chunk)
    shots = parent.film(chunk)
    if len(shots) < chunk:
      raise refused.RefusedError(
        f'time = {asked.time:g}: the story ended before that was shown', 409
      )
    self.check_room()
    branch = story_lib.Branch(
      parent.id, chunk, telling.until(chunk), tuple(shots)
    )
    return self._add(story_lib.Story(order, self._teller.time_of, branch))

  def cancel(self, story: story_lib.Story, reason: str) -> None:
    """Ends a story; its place in the queue is free at once."""
    story.cancel(reason)
    self._leave(story)

  def check_room(self) -> None:
    """RefusedError if too many stories wait."""
    if len(self._line) >= self.limits.waiting:
      raise refused.RefusedError(
        f'{len(self._line)} stories wait already, which is the most here: try '
        'again in a minute',
        503,
      )

  def _add(self, story: story_lib.Story) -> story_lib.Story:
    self._stories[story.id] = story
    self._line.append(story)
    story.move(len(self._line))
    self._worker.give(story)
    if self._folder is not None:
      save = asyncio.create_task(self._save(story, self._folder / story.id))
      self._saves.add(save)
      save.add_done_callback(self._saves.discard)
    self._drop()
    return story

  def _taken(self, story: story_lib.Story) -> None:
    """The worker has begun with a story."""
    self._leave(story)
    story.move(0)

  def _leave(self, story: story_lib.Story) -> None:
    """The others move up."""
    if story not in self._line:
      return
    place = self._line.index(story)
    del self._line[place]
    for number, other in enumerate(self._line[place:], place + 1):
      other.move(number)

  def _drop(self) -> None:
    """Forgets stories that are over, the longest unread first, for room."""
    over = [story for story in self._stories.values() if story.over]
    over.sort(key=story_lib.Story.unread, reverse=True)
    count, size = len(self._stories), sum(s.bytes for s in over)
    for story in over:
      if count <= self.limits.stories and size <= self.limits.bytes:
        return
      del self._stories[story.id]
      count, size = count - 1, size - story.bytes

  async def _save(self, story: story_lib.Story, folder: pathlib.Path) -> None:
    """Writes a story once it is finished; why not, if it cannot be written."""
    await story.whole()
    if story.status != 'finished':
      return
    try:
      told = await asyncio.to_thread(downloads.finished, story)
      await asyncio.to_thread(story_folder.save, folder, told, self._teller)
    except (OSError, ValueError) as error:
      print(f'{folder}: not saved: {error}', file=sys.stderr)

  async def _watch(self) -> None:
    """Cancels what nobody has read for longer than the studio is patient."""
    while True:
      await asyncio.sleep(self.limits.patience / 4)
      for story in list(self._stories.values()):
        if not story.over and story.unread() > self.limits.patience:
          self.cancel(
            story, f'nobody read it for {self.limits.patience:g} seconds'
          )
