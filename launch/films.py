"""Films frame by frame, so that none is ever held whole."""

from collections.abc import Callable, Iterator
import contextlib
import fractions
import pathlib
from typing import NamedTuple

import av
import numpy as np

from data_pipelines import film as film_lib
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
  info = film_lib.probe(path)
  return Film(
    name=path.stem,
    where=info.where,
    width=info.width,
    height=info.height,
    rate=info.rate or _RATE,
    count=info.frame_count,
    frames=lambda: (frame for _, frame in film_lib.frames(path)),
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


def cropped(film: Film, rows: int, columns: int) -> film_lib.Box:
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
  return film_lib.Box(left, top, left + width, top + height, width, height)


def scaled(film: Film, width: int, height: int) -> film_lib.Box:
  """The largest middle of a film that has the shape of `width` x `height`."""
  return film_lib.middle((film.width, film.height), (width, height))


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


def _ranges(take: records.Take) -> Iterator[np.ndarray]:
  """The frames of a take."""
  for start in range(0, take.frame_count, _RANGE):
    yield from take.frames(start, min(start + _RANGE, take.frame_count))
