"""Films whose every frame shows its number, legible after any codec."""

from collections.abc import Sequence
import fractions
import io
from typing import Any

import av
import numpy as np

_ROWS, _COLUMNS = 2, 4  # of blocks, one a bit
MILLISECOND = fractions.Fraction(1, 1000)


def drawn(number: int, width: int = 64, height: int = 48) -> np.ndarray:
  """A picture uint8 [Y, X, 3] of a number below 256."""
  bits = np.array([number >> bit & 1 for bit in range(_ROWS * _COLUMNS)])
  blocks = np.where(bits, 220, 30).astype(np.uint8).reshape(_ROWS, _COLUMNS)
  rows = np.arange(height) * _ROWS // height
  columns = np.arange(width) * _COLUMNS // width
  grey = blocks[rows][:, columns]
  return np.repeat(grey[:, :, None], 3, axis=2)


def read(picture: np.ndarray) -> int:
  """The number that a picture shows, the whole of it or scaled."""
  height, width = picture.shape[:2]
  rows = (2 * np.arange(_ROWS) + 1) * height // (2 * _ROWS)
  columns = (2 * np.arange(_COLUMNS) + 1) * width // (2 * _COLUMNS)
  bits = picture[rows][:, columns].mean(-1).ravel() > 125
  return int(sum(1 << bit for bit, on in enumerate(bits) if on))


def film(
  count: int = 24,
  kind: tuple[str, str] = ('mp4', 'libx264'),
  *,
  rate: Any = 25,
  size: tuple[int, int] = (64, 48),
  times: Sequence[int] | None = None,
  pix_fmt: str = 'yuv420p',
  options: dict[str, str] | None = None,
) -> bytes:
  """The bytes of a film that counts from 0.

  Args:
    count: of its frames.
    kind: container and codec.
    rate: frames/s.
    size: width and height.
    times: of frames, in milliseconds; () for the rate's.
    pix_fmt: of the codec.
    options: of the codec; those of the container begin with '+'.
  """
  options = options or {}
  buffer = io.BytesIO()
  of_container = {k[1:]: v for k, v in options.items() if k[0] == '+'}
  with av.open(buffer, 'w', format=kind[0], options=of_container) as container:
    stream = container.add_stream(
      kind[1],
      rate=rate,
      options={k: v for k, v in options.items() if k[0] != '+'},
    )
    stream.width, stream.height = size
    stream.pix_fmt = pix_fmt
    stream.codec_context.thread_count = 1
    if times:
      stream.codec_context.time_base = MILLISECOND
    for number in range(count):
      frame = av.VideoFrame.from_ndarray(drawn(number, *size), format='rgb24')
      if times:
        frame.pts, frame.time_base = times[number], MILLISECOND
      container.mux(stream.encode(frame))
    container.mux(stream.encode())
  return buffer.getvalue()


def sound(picture: np.ndarray | None = None) -> bytes:
  """The bytes of an mp4 without film; with a picture for its sleeve or not."""
  buffer = io.BytesIO()
  with av.open(buffer, 'w', format='mp4') as container:
    stream = container.add_stream('aac', rate=16000)
    sleeve = None
    if picture is not None:
      sleeve = container.add_stream('png')
      sleeve.height, sleeve.width = picture.shape[:2]
      sleeve.pix_fmt = 'rgb24'
      sleeve.disposition = av.stream.Disposition.attached_pic
    for start in range(0, 8000, 1000):
      samples = np.zeros((1, 1000), np.float32)
      frame = av.AudioFrame.from_ndarray(samples, 'fltp', layout='mono')
      frame.sample_rate, frame.pts = 16000, start
      container.mux(stream.encode(frame))
    container.mux(stream.encode())
    if sleeve:
      frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
      container.mux(sleeve.encode(frame))
      container.mux(sleeve.encode())
  return buffer.getvalue()
