"""Films frame by frame, so that none is ever held whole."""

from collections.abc import Callable, Iterator
import contextlib
import fractions
import pathlib
from typing import NamedTuple

import av
import numpy as np
from PIL import Image

from data_pipelines import records

# Near the eye's limit, so that what is judged is not the codec.
_OPTIONS = {'crf': '12', 'preset': 'veryfast'}
_RATE = 25.0  # frames/s, where a film does not say its own
_RANGE = 64  # frames of a take that are decoded at once


class Film(NamedTuple):
  """A film that can be read from its beginning, again and again.

  Attributes:
    name: for files and tables.
    where: it is, for errors.
    width: of its pictures.
    height: of its pictures.
    rate: frames/s.
    count: frames, where it says so, else 0.
    frames: begins reading: uint8 [Y, X, 3] each.
  """

  name: str
  where: str
  width: int
  height: int
  rate: float
  count: int
  frames: Callable[[], Iterator[np.ndarray]]


def video(path: pathlib.Path) -> Film:
  """A video file.

  Raises:
    ValueError: no such file, not a video, no frame in it.
  """
  if not path.is_file():
    raise ValueError(f'{path}: no such file')
  try:
    with av.open(str(path)) as container:
      if not container.streams.video:
        raise ValueError(f'{path}: has sound but no pictures')
      stream = container.streams.video[0]
      rate, count = stream.average_rate, stream.frames
      first = next(container.decode(stream), None)
  except av.FFmpegError as error:
    raise ValueError(f'{path}: not a video ({error.strerror})') from None
  if first is None:
    raise ValueError(f'{path}: holds no frame')
  return Film(
    name=path.stem,
    where=str(path),
    width=first.width,
    height=first.height,
    rate=float(rate or _RATE),
    count=count,
    frames=lambda: _decoded(path),
  )


def takes(dataset: str, split: str) -> list[Film]:
  """The recorded takes of a split.

  Raises:
    ValueError: no such dataset or split.
  """
  source = records.Takes(dataset, split)
  return [
    Film(
      name=f'{split}_{index:04d}',
      where=take.where,
      width=take.width,
      height=take.height,
      rate=take.rate,
      count=take.frame_count,
      # Not the take itself: a split may be larger than memory.
      frames=lambda index=index: _ranges(source[index]),
    )
    for index, take in enumerate(source)
  ]


class Box(NamedTuple):
  """What of a picture is seen, scaled to `width` x `height`.

  Attributes:
    left: of what is seen, in the picture's own pixels; so are the next three.
    top: likewise.
    right: likewise.
    bottom: likewise.
    width: that it is scaled to.
    height: that it is scaled to.
  """

  left: float
  top: float
  right: float
  bottom: float
  width: int
  height: int

  def seen(self, frame: np.ndarray) -> np.ndarray:
    """The box of a frame uint8 [Y, X, 3]."""
    box = self[:4]
    if box == tuple(map(int, box)) and self._keeps_size():
      left, top, right, bottom = map(int, box)
      return frame[top:bottom, left:right]
    size = self.width, self.height
    picture = Image.fromarray(frame).resize(size, Image.LANCZOS, box=box)
    return np.asarray(picture)

  def _keeps_size(self) -> bool:
    wide, high = self.right - self.left, self.bottom - self.top
    return (wide, high) == (self.width, self.height)


def cropped(film: Film, rows: int, columns: int) -> Box:
  """The middle of a film, as large as multiples of `rows` and `columns`.

  Raises:
    ValueError: the film is smaller than one of them.
  """
  width = film.width // columns * columns
  height = film.height // rows * rows
  if not width or not height:
    raise ValueError(
      f'{film.where}: pictures of {film.width} x {film.height} (width x '
      f'height), the VAE needs {columns} x {rows} at least'
    )
  left, top = (film.width - width) // 2, (film.height - height) // 2
  return Box(left, top, left + width, top + height, width, height)


def scaled(film: Film, width: int, height: int) -> Box:
  """The largest middle of a film that has the shape of `width` x `height`."""
  scale = min(film.width / width, film.height / height)
  wide, high = width * scale, height * scale
  left, top = (film.width - wide) / 2, (film.height - high) / 2
  return Box(left, top, left + wide, top + high, width, height)


@contextlib.contextmanager
def written(
  path: pathlib.Path, rate: float, width: int, height: int
) -> Iterator[Callable[[np.ndarray], None]]:
  """Gives what writes the next frame, uint8 [Y, X, 3], to a video file.

  The file appears when it is whole.
  """
  partial = path.with_name(f'.partial.{path.name}')
  exact = fractions.Fraction(rate).limit_denominator(1001)
  odd = width % 2 or height % 2
  try:
    with av.open(str(partial), 'w', format='mp4') as container:
      stream = container.add_stream('libx264', rate=exact)
      stream.width, stream.height = width, height
      stream.pix_fmt = 'yuv444p' if odd else 'yuv420p'
      stream.options = _OPTIONS

      def write(frame: np.ndarray) -> None:
        image = av.VideoFrame.from_ndarray(frame, format='rgb24')
        container.mux(stream.encode(image))

      yield write
      container.mux(stream.encode())
    partial.replace(path)
  finally:
    partial.unlink(missing_ok=True)


def _decoded(path: pathlib.Path) -> Iterator[np.ndarray]:
  """The frames of a video file; ValueError says where it is damaged."""
  number = 0
  try:
    with av.open(str(path)) as container:
      for frame in container.decode(video=0):
        yield frame.to_ndarray(format='rgb24')
        number += 1
  except av.FFmpegError as error:
    raise ValueError(
      f'{path}: does not decode after {number} frames ({error})'
    ) from None


def _ranges(take: records.Take) -> Iterator[np.ndarray]:
  """The frames of a take."""
  for start in range(0, take.frame_count, _RANGE):
    yield from take.frames(start, min(start + _RANGE, take.frame_count))
