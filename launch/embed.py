"""Pictures and film as data URIs, so that a page is one file."""

import base64
import fractions
import io

import av
import numpy as np
from PIL import Image

# Without threads and look-ahead: the same frames then give the same bytes.
_OPTIONS = {
  'crf': '24',
  'preset': 'veryfast',
  'threads': '1',
  'x264-params': 'mbtree=0:lookahead-threads=1:sync-lookahead=0',
}
_QUALITY = 88  # of WebP; beyond it bytes grow and nothing is seen


def picture(frame: np.ndarray) -> str:
  """A frame uint8 [Y, X, 3], at its own size."""
  buffer = io.BytesIO()
  Image.fromarray(frame).save(buffer, 'webp', quality=_QUALITY, method=4)
  return uri('image/webp', buffer.getvalue())


def video(frames: np.ndarray, rate: float, scale: int = 5) -> str:
  """Frames uint8 [T, Y, X, 3] as H.264, enlarged smoothly."""
  return uri('video/mp4', mp4(frames, rate, scale))


def mp4(frames: np.ndarray, rate: float, scale: int = 5) -> bytes:
  """Frames uint8 [T, Y, X, 3] as a file that every player plays.

  Players soften a small video each in its own way; at `scale` times the size
  all show the same, and colour loses nothing to the halved chroma.
  """
  height, width = (scale * size // 2 * 2 for size in frames.shape[1:3])
  buffer = io.BytesIO()
  with av.open(buffer, 'w', format='mp4') as container:
    exact = fractions.Fraction(rate).limit_denominator(1000)
    stream = container.add_stream('libx264', rate=exact)
    stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
    stream.options = _OPTIONS
    for frame in frames:
      image = Image.fromarray(frame).resize((width, height), Image.BICUBIC)
      container.mux(stream.encode(av.VideoFrame.from_image(image)))
    container.mux(stream.encode())
  return buffer.getvalue()


def uri(kind: str, data: bytes) -> str:
  """Bytes of a media type as a data URI."""
  return f'data:{kind};base64,{base64.b64encode(data).decode()}'
