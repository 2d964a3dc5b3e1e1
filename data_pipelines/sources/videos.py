"""Videos with captions beside them as a source of film.

They lie in a folder, in folders in it, or in TAR files there (shards, as
WebDataset has them). What may lie beside a video is said in `beside.py`, how
captions are written in `captions.py`. A video becomes takes one after another;
the last frame of a take is the first of the next one.
"""

from collections.abc import Iterator
import dataclasses
import pathlib
import posixpath
from typing import Any, ClassVar

import numpy as np

from data_pipelines import container
from data_pipelines import film
from data_pipelines.prepare import words
from data_pipelines.sources import beside
from data_pipelines.sources import captions as captions_lib
from data_pipelines.sources import places
from data_pipelines.sources import source

SHARD = '.tar'

_LARGEST = 2**30  # bytes of a take's frames
_ORPHANS = 'captions without a video'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Videos:
  """Videos, cut into takes of a few seconds.

  Attributes:
    input: folder that is searched, with all folders in it; or one video or
      TAR file. A TAR file is worked on by one process and its videos are all
      held out, or none.
    size: width x height of a frame, such as '128x128': the largest middle of
      that shape is scaled; '' leaves pictures as they are.
    rate: frames/s: at each time the frame that is shown then; 0: of each video
      its own, on average.
    seconds: length of a take at most, 16 or less.
    prompt: of videos that have none beside them.
    license: likewise.
    language: of captions whose names have one: 'en' for `a.en.vtt`.
    test_share: share of videos and TAR files that are held out.
    captions_required: drop videos without captions.
  """

  name: ClassVar[str] = 'videos'

  input: str
  size: str = ''
  rate: float = 0.0
  seconds: float = 8.0
  prompt: str = ''
  license: str = ''
  language: str = 'en'
  test_share: float = 0.1
  captions_required: bool = False

  def units(self) -> list[source.Unit]:
    """A unit per video and TAR file, and one for captions without a video.

    Raises:
      ValueError: a setting is wrong, or there is no video.
    """
    self._check()
    files, wanted = places.files(self.input), (*places.VIDEOS, SHARD)
    names = [name for name in files if places.suffix(name) in wanted]
    if not names:
      raise ValueError(
        f'input is {self.input!r}: no video is there ({", ".join(wanted)})'
      )
    held_out = source.held_out(names, self.test_share)
    units = [source.Unit(name, name in held_out, name) for name in names]
    orphans = _orphans(files)
    if orphans:
      units.append(source.Unit(_ORPHANS, False, orphans))
    return units

  def takes(self, unit: source.Unit) -> Iterator[source.Film | source.Dropped]:
    """The takes of a video or a TAR file, and what is left out.

    Where a video is damaged, the takes before come first. In a TAR file it is
    dropped and the next one follows.

    Raises:
      ValueError: the video, the TAR file or what lies beside it is damaged.
    """
    if unit.name == _ORPHANS:
      for name in unit.work:
        yield source.Dropped(name, _ORPHANS)
    elif places.suffix(unit.work) == SHARD:
      yield from self._takes_of_shard(
        places.root(self.input) / unit.work, unit.name
      )
    else:
      folder = places.Folder(places.root(self.input))
      yield from self._takes_of_video(folder, unit.work, unit.name)

  def recipe(self) -> dict[str, Any]:
    """Settings, and the names and sizes of all files; not where they lie."""
    settings = dataclasses.asdict(self)
    del settings['input']
    return {**settings, **places.recipe(places.files(self.input))}

  def _takes_of_shard(
    self, path: pathlib.Path, unit: str
  ) -> Iterator[source.Film | source.Dropped]:
    """The takes of the videos in a TAR file."""
    with places.opened(path) as shard:
      for name in shard.members:
        if places.suffix(name) not in places.VIDEOS:
          continue
        origin = f'{unit}/{name}'
        try:
          yield from self._takes_of_video(shard, name, origin)
        except ValueError as error:
          yield source.Dropped(origin, 'unreadable', str(error))
      for name in _orphans(shard.members):
        yield source.Dropped(f'{unit}/{name}', _ORPHANS)
      if shard.damage:
        raise ValueError(shard.damage)

  def _takes_of_video(
    self, place: places.Place, name: str, origin: str
  ) -> Iterator[source.Film | source.Dropped]:
    """The takes of a video."""
    where, video = place.where(name), place.video(name)
    about = beside.read(place, name, self.language)
    if about.captions is None and self.captions_required:
      yield source.Dropped(origin, 'no captions')
      return
    try:
      info = film.probe(video, where=where)
      length = film.length(video, where=where) if about.captions else 0.0
    except container.NoFilmError as error:
      yield source.Dropped(origin, 'no film in it', str(error))
      return
    captions = captions_lib.of_video(about.captions or (), length)
    for reason, found in (
      ('captions without words', captions.empty),
      ('captions cut where the video ends', captions.cut),
    ):
      if found:
        yield source.Dropped(origin, reason, '; '.join(found))
    for index, (start, frames, ended) in enumerate(self._pieces(video, info)):
      rate = self._rate(info)
      yield source.Film(
        name=f'{origin}-{index:04d}',
        frames=frames,
        rate=rate,
        segments=_segments(
          about.prompt or self.prompt,
          captions.segments,
          (start, len(frames), ended),
          rate,
        ),
        origin=origin,
        start=start / rate,
        ended=ended,
        license=about.license or self.license,
        details={
          'width': info.width,
          'height': info.height,
          'rate': info.rate,
        },
      )

  def _pieces(
    self, video: str | bytes, info: film.Info
  ) -> Iterator[tuple[int, np.ndarray, bool]]:
    """First frame, frames, and whether no piece follows.

    All but the last piece have as many frames, `1 + 4n`; up to three frames
    after the last whole chunk stay with the last one.
    """
    rate, size = self._rate(info), self.size and film.parse_size(self.size)
    chunks = int(self.seconds * rate / source.CHUNK + 1e-6)
    if not chunks:
      raise ValueError(
        f'{info.where}: at {rate} frames/s, {self.seconds} s hold no chunk of '
        f'{source.CHUNK} frames: give another rate'
      )
    count = 1 + source.CHUNK * chunks
    width, height = size or (info.width, info.height)
    if count * width * height * 3 > _LARGEST:
      raise ValueError(
        f'{info.where}: {count} frames of {width}x{height} take more than '
        f'{_LARGEST / 2**30:g} GiB: give a smaller size or fewer seconds'
      )
    start, piece = 0, []
    shown = film.frames(video, rate=rate, size=size or None, where=info.where)
    for _, frame in shown:
      piece.append(frame)
      if len(piece) == count + source.CHUNK:
        yield start, np.stack(piece[:count]), False
        start, piece = start + count - 1, piece[count - 1 :]
    yield start, np.stack(piece), True

  def _rate(self, info: film.Info) -> float:
    """Frames per second of the takes of a video."""
    rate = self.rate or info.rate
    if not 0 < rate <= source.FASTEST:
      raise ValueError(
        f'{info.where}: says {rate} frames/s, wanted are {source.FASTEST} at '
        'most: give a rate'
      )
    return rate

  def _check(self):
    """ValueError names the setting that is wrong."""
    if self.size:
      film.parse_size(self.size)
    if not 0 <= self.rate <= source.FASTEST:
      raise ValueError(
        f'rate is {self.rate}: give 0 to {source.FASTEST} frames/s'
      )
    if not 0 < self.seconds <= source.LONGEST:
      raise ValueError(
        f'seconds is {self.seconds}: give up to {source.LONGEST} s'
      )


def _segments(prompt, captions, piece, rate) -> list[words.Segment]:
  """The words of a piece: its first frame, how many, whether it is the last."""
  start, count, last = piece
  length = count / rate
  end = (start + count if last else start + count - 1) / rate
  told = captions_lib.of_take(captions, start / rate, end, length)
  if not prompt:
    return told
  whole = words.Segment(start=0.0, end=length, kind=words.PROMPT, text=prompt)
  return [whole, *told]


def _orphans(files) -> tuple[str, ...]:
  """Files of captions for which there is no video."""
  stems = {
    posixpath.splitext(name)[0]
    for name in files
    if places.suffix(name) in places.VIDEOS
  }
  return tuple(
    name
    for name in files
    if (found := beside.of_caption_file(name)) and not stems & set(found)
  )
