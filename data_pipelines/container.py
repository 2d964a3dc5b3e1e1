"""A video file opened: its stream of pictures, and when each is shown."""

from collections.abc import Iterator
import contextlib
import fractions
import io
import itertools
import math
import os
from typing import Any, BinaryIO

import av

# Without 'explode' the codec paints over damage and says nothing; a damaged
# header may ask for a picture larger than memory.
_OPTIONS = {'err_detect': 'explode', 'max_pixels': str(2**26)}
_HEAD = 4096  # bytes of a file, more than a header has
_MATROSKA, _SEGMENT = b'\x1a\x45\xdf\xa3', b'\x18\x53\x80\x67'
_BOXES = frozenset(
  b'ftyp styp moov moof mdat mfra free skip wide sidx udta meta uuid'.split()
)
_TICK = fractions.Fraction(1, 1000)  # s of a last frame of unknown length
_STILL = 60  # s that a frame may be shown: a longer one is a wrong time


class NoFilmError(ValueError):
  """A file in which there is no film."""


def name(video: str | os.PathLike | bytes, where: str) -> str:
  """What errors call a film."""
  return where or ('video' if isinstance(video, bytes) else os.fspath(video))


@contextlib.contextmanager
def opened(video: str | os.PathLike | bytes, where: str) -> Iterator[Any]:
  """The container of a film and its stream of pictures.

  Raises:
    NoFilmError: there are no bytes, or no pictures.
    ValueError: no such file, not a video, cut short.
  """
  with contextlib.ExitStack() as stack:
    if isinstance(video, bytes):
      file = io.BytesIO(video)
    elif os.path.isfile(video):
      file = stack.enter_context(open(video, 'rb'))
    else:
      raise ValueError(f'{where}: no such file')
    _check_whole(file, where)
    file.seek(0)
    with decoding(f'{where}: not a video'):
      container = av.open(
        file,
        options={'protocol_whitelist': 'file'},
        metadata_errors='replace',
      )
    stack.enter_context(container)
    yield container, _stream(container, where)


def _stream(container: Any, where: str) -> Any:
  """The stream of pictures, ready to decode."""
  streams = [
    stream
    for stream in container.streams.video
    # The picture on a record's sleeve is no film.
    if not stream.disposition & av.stream.Disposition.attached_pic
  ]
  if not streams:
    sound = ' (it has sound)' if container.streams.audio else ''
    raise NoFilmError(f'{where}: has no pictures{sound}')
  context = streams[0].codec_context
  if context is None:
    raise ValueError(f'{where}: its codec is unknown')
  context.options = _OPTIONS
  # Two take 2 % (slices) or 15 % (frames) more CPU at 1280x720, more still for
  # small pictures; and corpora are read by a process for each core.
  context.thread_count = 1
  return streams[0]


def _check_whole(file: BinaryIO, where: str) -> None:
  """ValueError if a file says that it is longer than it is.

  Readers take its end for the end of the film.
  """
  length = file.seek(0, os.SEEK_END)
  if not length:
    raise NoFilmError(f'{where}: has no bytes')
  file.seek(0)
  head = file.read(_HEAD)
  if head.startswith(b'RIFF'):
    wanted = 8 + int.from_bytes(head[4:8], 'little')
  elif head.startswith(_MATROSKA):
    wanted = _end_of_segment(head)
  else:
    wanted = _end_of_boxes(file, length)
  if length < wanted:
    raise ValueError(f'{where}: is cut short: has {length} of {wanted} bytes')


def _end_of_segment(head: bytes) -> int:
  """Where Matroska's one segment ends, after a header; 0 if it is not said.

  An element is an id, a size and as many bytes (RFC 8794, RFC 9559).
  """
  start, size = _element_size(head, len(_MATROSKA))
  at = start + size
  if head[at : at + len(_SEGMENT)] != _SEGMENT:
    return 0
  start, size = _element_size(head, at + len(_SEGMENT))
  return start + size


def _element_size(head: bytes, at: int) -> tuple[int, int]:
  """Where the bytes of an element begin, and how many; 0 if it is not said."""
  if at >= len(head) or not head[at]:
    return at, 0
  length = 9 - head[at].bit_length()
  size = int.from_bytes(head[at : at + length]) - (1 << 7 * length)
  unknown = size == (1 << 7 * length) - 1
  return at + length, 0 if unknown else size


def _end_of_boxes(file: BinaryIO, length: int) -> int:
  """Where the boxes of an ISO media file end; 0 if it has none.

  A box is a size, a type and what is left of the size (ISO/IEC 14496-12, 4.2).
  """
  at = 0
  while at < length:
    file.seek(at)
    head = file.read(16)
    size = int.from_bytes(head[:4])
    if head[4:8] not in _BOXES or not size:
      break
    if size == 1:
      size = int.from_bytes(head[8:])
    at += max(size, 8)
  return at


@contextlib.contextmanager
def decoding(problem: str) -> Iterator[None]:
  """Errors of the decoder become ValueErrors that begin with `problem`."""
  try:
    yield
  # A damaged file asks for places before its beginning: OSError, ValueError.
  except (
    av.FFmpegError,
    OSError,
    ValueError,
    IndexError,
    ArithmeticError,
  ) as error:
    reason = getattr(error, 'strerror', None) or error
    raise ValueError(f'{problem} ({reason})') from None


def length(container: Any, stream: Any, where: str) -> fractions.Fraction:
  """Seconds from the first frame to the end of the last one, undecoded.

  Raises:
    NoFilmError: there is no frame.
    ValueError: the file is damaged.
  """
  start, end, count = math.inf, -math.inf, 0
  with decoding(f'{where}: cannot be read to its end'):
    for packet in container.demux(stream):
      # The last packet is an empty one; an edit list may leave others out.
      if packet.pts is None or packet.is_discard:
        continue
      count += 1
      start = min(start, packet.pts)
      end = max(end, packet.pts + (packet.duration or 0))
  if not count:
    raise NoFilmError(f'{where}: holds no frame')
  if container.format.name == 'avi' and stream.average_rate:
    return count / stream.average_rate
  return max((end - start) * stream.time_base, _TICK)


def timed(
  container: Any, stream: Any, where: str
) -> Iterator[tuple[fractions.Fraction, fractions.Fraction, av.VideoFrame]]:
  """Each frame with its time and the next one's, in seconds from the first.

  Raises:
    NoFilmError: there is no frame.
    ValueError: a frame is damaged, has no time, comes before the one before it
      or is shown for more than a minute.
  """
  shown = itertools.pairwise(_shown(container, stream, where))
  for number, ((start, frame), (end, _)) in enumerate(shown):
    if not 0 <= end - start <= _STILL:
      raise ValueError(
        f'{where}: frame {number} is shown from {float(start):.6g} to '
        f'{float(end):.6g} s: wanted are times in order, {_STILL} s apart at '
        'most'
      )
    yield start, end, frame


def _shown(
  container: Any, stream: Any, where: str
) -> Iterator[tuple[fractions.Fraction, av.VideoFrame | None]]:
  """Each frame with its time from the first; last the end, without a frame."""
  decoded = container.decode(stream)
  first, frame = None, None
  for number in itertools.count():
    before = frame
    with decoding(f'{where}: does not decode after {number} frames'):
      frame = next(decoded, None)
    if frame is None:
      break
    if frame.is_corrupt:
      raise ValueError(f'{where}: frame {number} is damaged')
    seconds = _seconds(container, stream, frame, number, where)
    first = seconds if first is None else first
    yield seconds - first, frame
  if before is None:
    raise NoFilmError(f'{where}: holds no frame')
  lasts = max((before.duration or 0) * stream.time_base, 0)
  if not lasts and stream.average_rate:
    lasts = 1 / stream.average_rate
  yield seconds - first + (lasts or _TICK), None


def _seconds(container, stream, frame, number, where) -> fractions.Fraction:
  """When a frame is shown, on the file's own timeline."""
  # The format has no times, and where its frames are stored in another order
  # than shown, what stands in for them is wrong.
  if container.format.name == 'avi' and stream.average_rate:
    return number / stream.average_rate
  if frame.pts is None:
    raise ValueError(f'{where}: frame {number} has no time')
  return frame.pts * stream.time_base
