"""Any video file, frame by frame, each with the time at which it is shown.

Times count from the first frame, so a file that begins at another time, is
cut by an edit list or has frames before its first shown one gives what a
player shows. Pictures stand upright: turns by quarters and mirrors that a file
asks for are done. Colour is turned to RGB by the matrix and the range that the
file names; alpha is left out, grey is made RGB, more than 8 bits are rounded,
and high dynamic range is not mapped to a lower one.

No film is ever held whole, and nothing is fetched from a network, whatever a
file names.
"""

from collections.abc import Iterator
import fractions
import math
import os
import re
from typing import Any, NamedTuple

import av
from av.sidedata import sidedata
from av.video import reformatter
import numpy as np
from PIL import Image

from data_pipelines import container as container_lib

# A container's times are rounded to its tick; a tick may be a whole frame.
_ROUNDING = fractions.Fraction(1, 2000)


class Info(NamedTuple):
  """What a film says of itself.

  Attributes:
    where: it is, for errors.
    width: of its pictures, upright.
    height: of its pictures, upright.
    aspect: width of a pixel over its height, 1 almost always.
    rate: frames/s on average, 0 where it does not say.
    seconds: its length, 0 where it does not say.
    frame_count: 0 where it does not say.
  """

  where: str
  width: int
  height: int
  aspect: float
  rate: float
  seconds: float
  frame_count: int


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
    left, top = math.floor(self.left), math.floor(self.top)
    inside = frame[top : math.ceil(self.bottom), left : math.ceil(self.right)]
    # Reduced by whole numbers first, down to twice the size: half the time,
    # and 53 dB from what is not (1280x720 to 128x128).
    picture = Image.fromarray(inside).resize(
      (self.width, self.height),
      Image.LANCZOS,
      box=(
        self.left - left,
        self.top - top,
        self.right - left,
        self.bottom - top,
      ),
      reducing_gap=2.0,
    )
    return np.asarray(picture)

  def _keeps_size(self) -> bool:
    wide, high = self.right - self.left, self.bottom - self.top
    return (wide, high) == (self.width, self.height)


def middle(
  picture: tuple[int, int], size: tuple[int, int], aspect: float = 1.0
) -> Box:
  """The largest middle of a picture that has the shape of `size`.

  Args:
    picture: its width and height.
    size: width and height that the middle is scaled to.
    aspect: width of the picture's pixels over their height.
  """
  scale = min(picture[0] * aspect / size[0], picture[1] / size[1])
  wide, high = size[0] * scale / aspect, size[1] * scale
  left, top = (picture[0] - wide) / 2, (picture[1] - high) / 2
  return Box(left, top, left + wide, top + high, *size)


def parse_size(size: str) -> tuple[int, int]:
  """Width and height of '128x96'; ValueError if it is no size."""
  found = re.fullmatch(r'([1-9]\d{0,3})x([1-9]\d{0,3})', size, re.ASCII)
  if not found:
    raise ValueError(f'size is {size!r}: give WIDTHxHEIGHT, such as 128x128')
  return int(found[1]), int(found[2])


def probe(video: str | os.PathLike | bytes, *, where: str = '') -> Info:
  """What a video file, or the bytes of one, says of itself.

  Args:
    video: the path of a file, or its bytes.
    where: a name for bytes, for errors; a path has its own.

  Raises:
    container.NoFilmError: no pictures, or no frame in it; a ValueError.
    ValueError: no such file, not a video, cut short.
  """
  where = container_lib.name(video, where)
  with container_lib.opened(video, where) as (container, stream):
    with container_lib.decoding(f'{where}: its first frame does not decode'):
      first = next(container.decode(stream), None)
    if first is None:
      raise container_lib.NoFilmError(f'{where}: holds no frame')
    turned, _, _ = _turn(first, where)
    width, height = first.width, first.height
    aspect = _aspect(stream, where)
    seconds = 0.0
    if stream.duration:
      seconds = float(stream.duration * stream.time_base)
    elif container.duration:
      seconds = container.duration / av.time_base
    return Info(
      where=where,
      width=height if turned else width,
      height=width if turned else height,
      aspect=1 / aspect if turned else aspect,
      rate=float(stream.average_rate or 0),
      seconds=max(seconds, 0.0),
      frame_count=stream.frames,
    )


def length(video: str | os.PathLike | bytes, *, where: str = '') -> float:
  """Seconds from the first frame to the end of the last one.

  What the packets of the whole file say, not its head: nothing is decoded.

  Args:
    video: the path of a file, or its bytes.
    where: a name for bytes, for errors; a path has its own.

  Raises:
    container.NoFilmError: no pictures, or no frame in it; a ValueError.
    ValueError: not a video, cut short, damaged.
  """
  where = container_lib.name(video, where)
  with container_lib.opened(video, where) as (container, stream):
    return float(container_lib.length(container, stream, where))


def frames(
  video: str | os.PathLike | bytes,
  *,
  rate: float = 0,
  size: tuple[int, int] | None = None,
  where: str = '',
) -> Iterator[tuple[float, np.ndarray]]:
  """The frames of a film: (seconds from the first, uint8 [Y, X, 3]).

  Args:
    video: the path of a file, or its bytes.
    rate: 0: every frame at its own time. Otherwise frames/s: at the times
      `k / rate` the frame that is shown then, the last whose time is not
      after. A time counts as reached half a tick of the file before it (half
      a millisecond at most), for the file has rounded it.
    size: width and height to which the largest middle of that shape is
      scaled; None leaves pictures as they are.
    where: a name for bytes, for errors; a path has its own.

  A frame that is shown at several times is one array: not to be written to.

  Raises:
    container.NoFilmError: no pictures, or no frame in it; a ValueError.
    ValueError: not a video, cut short; damaged, or of changing size, at the
      frame named; a frame before the one before it, or shown for a minute.
  """
  where = container_lib.name(video, where)
  if rate and not 1e-3 <= rate <= 1e3:
    raise ValueError(
      f'{where}: rate is {rate}: give frames/s, 0.001 to 1000, or 0'
    )
  if size and min(size) < 1:
    raise ValueError(f'{where}: size is {size}: give a width and a height')
  with container_lib.opened(video, where) as (container, stream):
    pictures = _Pictures(size, _aspect(stream, where), where)
    shown = container_lib.timed(container, stream, where)
    if not rate:
      for number, (seconds, _, frame) in enumerate(shown):
        yield float(seconds), pictures.of(frame, number)
      return
    step = 1 / fractions.Fraction(rate).limit_denominator(10**6)
    early = min(stream.time_base / 2, _ROUNDING)
    at = 0
    for number, (_, end, frame) in enumerate(shown):
      if at * step >= end - early:
        continue
      picture = pictures.of(frame, number)
      while at * step < end - early:
        yield float(at * step), picture
        at += 1


class _Pictures:
  """Decoded frames as pictures, all of one size."""

  def __init__(self, size: tuple[int, int] | None, aspect: float, where: str):
    self._size, self._aspect, self._where = size, aspect, where
    self._converter = reformatter.VideoReformatter()
    self._shape, self._box = None, None

  def of(self, frame: av.VideoFrame, number: int) -> np.ndarray:
    """Frame `number` as uint8 [Y, X, 3]."""
    where = f'{self._where}: frame {number}'
    with container_lib.decoding(f'{where} does not become a picture'):
      rgb = self._converter.reformat(frame, format='rgb24', threads=1)
      picture = rgb.to_ndarray()
    turned, *steps = _turn(frame, where)
    if turned:
      picture = picture.swapaxes(0, 1)
    picture = picture[:: steps[0], :: steps[1]]
    shape = picture.shape[1::-1]
    if self._shape is None:
      self._shape = shape
      aspect = 1 / self._aspect if turned else self._aspect
      self._box = self._size and middle(shape, self._size, aspect)
    if shape != self._shape:
      raise ValueError(
        f'{where} is {shape[0]}x{shape[1]}, those before are '
        f'{self._shape[0]}x{self._shape[1]}'
      )
    seen = self._box.seen(picture) if self._box else picture
    return np.ascontiguousarray(seen)


def _aspect(stream: Any, where: str) -> float:
  """Width of a film's pixels over their height, before it is turned."""
  aspect = float(stream.sample_aspect_ratio or 1)
  if not 0.1 <= aspect <= 10:
    raise ValueError(
      f'{where}: pixels are {aspect:.4g} times as wide as high: wanted are '
      '0.1 to 10'
    )
  return aspect


def _turn(frame: av.VideoFrame, where: str) -> tuple[bool, int, int]:
  """Whether rows become columns; then the steps, 1 or -1, of rows and columns.

  The matrix that a frame carries says where a point is shown: at x' = a x + c y
  and y' = b x + d y (ISO/IEC 14496-12, 8.5.3).
  """
  matrix = frame.side_data.get(sidedata.Type.DISPLAYMATRIX)
  if matrix is None:
    return False, 1, 1
  a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5] / 65536
  if not b and not c and abs(a) == abs(d) == 1:
    return False, int(d), int(a)
  if not a and not d and abs(b) == abs(c) == 1:
    return True, int(b), int(c)
  raise ValueError(
    f'{where}: pictures are to be shown through the matrix '
    f'({a}, {b}; {c}, {d}): only quarter turns and mirrors are done'
  )
