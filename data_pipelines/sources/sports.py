"""Natural video as a source of film, made as the paper made its sports.

A folder of videos becomes scenes of 6 to 16 s. What a video's title or notes
do not promise is left out unopened; scenes that stand still, shake, are blurred
or show something else are left out with their scores. A vision-language model
writes a meta caption of each scene and, for each of its pieces, what changes
from the piece before. Filters judge scenes and not pieces: a story with holes
is none.

What the paper says: keyword filter, scenes of 6 to 16 s, a split at key frames,
filters for motion, semantics and quality, one meta caption and differential
captions, a text every 1.9 s on average. Everything else is a choice, and a
field.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import itertools
import json
from typing import Any, ClassVar

import cv2

from data_pipelines import container
from data_pipelines import film
from data_pipelines.natural import captioner
from data_pipelines.natural import chat as chat_lib
from data_pipelines.natural import filters
from data_pipelines.natural import key_frames
from data_pipelines.natural import metadata
from data_pipelines.natural import scenes
from data_pipelines.natural import shots
from data_pipelines.prepare import words
from data_pipelines.sources import places
from data_pipelines.sources import source

# Fields that do not change what is made.
_MANNER = frozenset(
  {
    'input',
    'address',
    'api_key_env',
    'requests_per_minute',
    'requests_at_once',
    'timeout',
    'retries',
    'cache',
  }
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sports(
  scenes.Cutting, key_frames.Splitting, filters.Limits, chat_lib.Server
):
  """Scenes of natural video with a meta caption and differential captions.

  How scenes are cut (`natural/scenes.py`) and split (`natural/key_frames.py`),
  what is kept (`natural/filters.py`) and who is asked (`natural/chat.py`) are
  fields as well.

  Attributes:
    input: folder of videos, searched with all folders in it; or one video.
    size: width x height of a frame, the middle of the picture: '128x128'.
      Videos that have fewer pixels are dropped.
    rate: frames/s: at each time the frame that is shown then.
    keywords: a video is kept if its name, title, description, tags or notes
      have one of them; all are kept if there are none.
    query: what a scene must show, in words for the model to judge by; '' for
      anything.
    captions: 'chat', or 'none' for scenes without words and without a server.
    pictures: how many of each piece the model sees.
    picture_size: pixels of the longer side of a picture that the model sees.
      It shows what the record shows, with no more pixels than the video has.
    license: of videos that do not say theirs in a JSON file.
    test_share: share of the videos that are held out.
  """

  name: ClassVar[str] = 'sports'

  input: str
  size: str = '128x128'
  rate: float = 16.0
  keywords: tuple[str, ...] = ()
  query: str = ''
  captions: str = 'chat'
  pictures: int = 4
  picture_size: int = 448
  license: str = ''
  test_share: float = 0.1

  def units(self) -> list[source.Unit]:
    """A unit per video."""
    self._check()
    names = [*places.files(self.input, *places.VIDEOS)]
    if not names:
      raise ValueError(
        f'input is {self.input!r}: no video is there '
        f'({", ".join(places.VIDEOS)})'
      )
    held_out = source.held_out(names, self.test_share)
    return [source.Unit(name, name in held_out, name) for name in names]

  def takes(self, unit: source.Unit) -> Iterator[source.Film | source.Dropped]:
    """The scenes of a video, and what is left out of it.

    Where the file is damaged, the scenes before come first.

    Raises:
      ValueError: the file or what is beside it is damaged, or the server gives
        no answer.
    """
    cv2.setNumThreads(1)  # Videos are worked on in parallel.
    path = places.root(self.input) / unit.work
    about = metadata.read(path)
    if self.keywords and not metadata.mentions(about.text, self.keywords):
      wanted = ', '.join(self.keywords)
      yield source.Dropped(unit.name, 'no keyword', f'wanted: {wanted}')
      return
    try:
      info = film.probe(path)
    except container.NoFilmError as error:
      yield source.Dropped(unit.name, 'no film in it', str(error))
      return
    boxes = self._boxes(info)
    if not boxes:
      found = f'{info.width}x{info.height}, wanted are {self.size} or more'
      yield source.Dropped(unit.name, 'picture too small', found)
      return
    plan = shots.plan_of(path, self.rate, film.parse_size(self.size), self)
    for start, stop in plan.short:
      seconds = (stop - 1 - start) / self.rate
      found = f'{seconds:.3f} s, wanted are {self.shortest_scene:g} or more'
      name = self._name(unit.name, start)
      yield source.Dropped(name, 'scene too short', found)
    with contextlib.ExitStack() as stack:
      chat = None
      if self.captions == 'chat':
        chat = stack.enter_context(chat_lib.Chat(self))
      for shot in shots.shots_of(path, self.rate, plan.parts, *boxes):
        yield self._take(unit.name, about, shot, chat)
    if plan.damage:
      raise plan.damage

  def recipe(self) -> dict[str, Any]:
    """Settings, prompts, names and sizes of files; not who serves the model."""
    settings = {
      field.name: getattr(self, field.name)
      for field in dataclasses.fields(self)
      if field.name not in _MANNER
    }
    return {
      **settings,
      **(captioner.recipe() if self.captions == 'chat' else {}),
      'keywords': list(self.keywords),
      **places.recipe(places.files(self.input)),
    }

  def _boxes(self, info: film.Info) -> tuple[film.Box, film.Box] | None:
    """What the record and the model see; None if there are too few pixels."""
    size = film.parse_size(self.size)
    box = film.middle((info.width, info.height), size, info.aspect)
    larger = min(
      (box.right - box.left) / box.width, (box.bottom - box.top) / box.height
    )
    if larger < 1:
      return None
    larger = min(larger, self.picture_size / max(size))
    width, height = (max(1, round(side * larger)) for side in size)
    return box, box._replace(width=width, height=height)

  def _take(
    self,
    unit: str,
    about: metadata.Metadata,
    shot: shots.Shot,
    chat: chat_lib.Chat | None,
  ) -> source.Film | source.Dropped:
    """A take of what is seen, or what is wrong with it."""
    name = self._name(unit, shot.part.start)
    scores = filters.scores_of(shot.frames, self.rate)
    fault = filters.fault_of(scores, self)
    segments = []
    if chat and not fault:
      bounds = key_frames.pieces_of(shot.frames, self.rate, self)
      seen = shots.pictures_of(shot, bounds, self.pictures)
      whole = [piece[0] for piece in seen] + [shot.views[-1]]
      scene = captioner.scene_of(chat, whole, self.query, name)
      if self.query:
        scores['relevance'] = scene.relevance
        fault = filters.fault_of(scores, self)
      if not fault:
        changes = captioner.changes_of(
          chat, scene.caption, seen, self.requests_at_once, name
        )
        segments = self._segments(scene.caption, changes, bounds, shot)
    if fault:
      return source.Dropped(name, fault[0], f'{fault[1]}; {json.dumps(scores)}')
    return source.Film(
      name=name,
      frames=shot.frames,
      rate=self.rate,
      segments=segments,
      origin=unit,
      start=shot.part.start / self.rate,
      ended=shot.part.ended,
      license=about.license or self.license,
      details={'title': about.title, 'scores': scores},
    )

  def _segments(self, prompt, changes, bounds, shot) -> list[words.Segment]:
    """The meta caption, and the caption of each piece."""
    end = len(shot.frames) / self.rate
    times = [source.CHUNK * start / self.rate for start, _ in bounds] + [end]
    return [
      words.Segment(start=0.0, end=end, kind=words.PROMPT, text=prompt)
    ] + [
      words.Segment(start=start, end=stop, kind=words.CAPTION, text=change)
      for (start, stop), change in zip(
        itertools.pairwise(times), changes, strict=True
      )
    ]

  def _name(self, unit: str, frame: int) -> str:
    """Of what begins at a frame of a video."""
    return f'{self.name}-{unit}-{frame / self.rate:09.3f}'

  def _check(self):
    """ValueError names the setting that is wrong."""
    film.parse_size(self.size)
    if not 0 < self.rate <= source.FASTEST:
      raise ValueError(
        f'rate is {self.rate}: give up to {source.FASTEST} frames/s'
      )
    for name in ('pictures', 'picture_size'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name} is {getattr(self, name)}, below 1')
    if not all(keyword.strip() for keyword in self.keywords):
      raise ValueError(f'keywords are {self.keywords!r}: one is empty')
    self.scene_chunks(self.rate)
    self.piece_chunks(self.rate)
    if self.shortest_scene < self.shortest_piece:
      raise ValueError(
        f'shortest_scene is {self.shortest_scene} s, less than shortest_piece, '
        f'{self.shortest_piece} s'
      )
    self.check_limits()
    if self.captions == 'chat':
      self.check_server()
    elif self.captions != 'none':
      raise ValueError(f"captions is {self.captions!r}, not 'chat' or 'none'")
    elif self.query:
      raise ValueError(
        f"query is {self.query!r}, and captions 'none': who shall judge?"
      )
