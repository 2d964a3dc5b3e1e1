"""What a client takes home: a film, a folder that replays."""

import io
import pathlib
import tempfile
import zipfile

from launch import embed
from launch import story_folder
from launch import storyteller as storyteller_lib
from launch.serving import refused
from launch.serving import story as story_lib


def finished(story: story_lib.Story) -> story_folder.Finished:
  """A story that is over, as far as it was filmed.

  Raises:
    RefusedError: it is not over, or has no film.
  """
  if not story.over:
    raise refused.RefusedError(
      f'story {story.id}: it is {story.status} still', 409
    )
  shots = story.film()
  script = story.order.script
  if len(shots) < 2:
    raise refused.RefusedError(
      f'story {story.id}: nothing of it was filmed', 409
    )
  told = {n: text for n, text in script.asks.items() if n < len(shots)}
  turns = tuple(turn for turn in script.turns if turn.chunk < len(shots))
  script = script._replace(chunks=len(shots), asks=told, turns=turns)
  return story_folder.Finished(
    script=script,
    start=story.order.start.frames,
    words=[shot.text for shot in shots],
    frames=story.frames(),
    ended='eos' if story.reason == 'eos' else 'length',
  )


def mp4(
  told: story_folder.Finished, teller: storyteller_lib.Storyteller
) -> bytes:
  """The film."""
  return embed.mp4(told.frames, teller.rate)


def zipped(
  told: story_folder.Finished, teller: storyteller_lib.Storyteller
) -> bytes:
  """Its folder, which `launch.generate --replay` films again."""
  buffer = io.BytesIO()
  with tempfile.TemporaryDirectory(prefix='story-') as parent:
    folder = pathlib.Path(parent) / 'story'
    story_folder.save(folder, told, teller)
    with zipfile.ZipFile(buffer, 'w') as archive:
      for path in sorted(folder.iterdir()):
        # Without the time of day: the same story is the same bytes.
        entry = zipfile.ZipInfo(f'story/{path.name}')
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, path.read_bytes())
  return buffer.getvalue()
