"""Pictures as they come and go: uploads in, strips of frames out."""

import base64
import binascii
import io

from jaxtyping import UInt8
import numpy as np
from PIL import Image
from PIL import ImageOps

from launch.serving import refused

BYTES = 10_000_000  # of an upload at most
_PIXELS = 16_000_000
_FORMATS = ('PNG', 'JPEG', 'WEBP')


def uploaded(text: str, size: tuple[int, int]) -> UInt8[np.ndarray, 'Y X 3']:
  """The middle of a picture in base64, scaled to rows and columns.

  Raises:
    RefusedError: it is no picture, or too large a one.
  """
  if len(text) * 3 // 4 > BYTES + 2:
    raise refused.RefusedError(f'picture: over {BYTES // 1_000_000} MB', 413)
  try:
    data = base64.b64decode(text, validate=True)
  except (binascii.Error, ValueError) as error:
    raise refused.RefusedError(f'picture: not base64 ({error})') from None
  try:
    # What libraries raise over broken files is not of one kind.
    with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
      if picture.width * picture.height > _PIXELS:
        raise refused.RefusedError(
          f'picture: {picture.width}x{picture.height} is over '
          f'{_PIXELS // 1_000_000} million pixels',
          413,
        )
      upright = ImageOps.exif_transpose(picture.convert('RGB'))
  except refused.RefusedError:
    raise
  except Image.DecompressionBombError:
    raise refused.RefusedError(
      f'picture: over {_PIXELS // 1_000_000} million pixels', 413
    ) from None
  except Exception as error:
    kind = ' '.join(str(error).split())[:120]
    raise refused.RefusedError(
      f'picture: no PNG, JPEG or WebP that can be read ({kind})'
    ) from None
  rows, columns = size
  return np.asarray(ImageOps.fit(upright, (columns, rows), Image.LANCZOS))


def strip(frames: UInt8[np.ndarray, 'T Y X 3']) -> bytes:
  """Frames from left to right in one WebP, lossless."""
  buffer = io.BytesIO()
  picture = Image.fromarray(np.concatenate(list(frames), axis=1))
  picture.save(buffer, 'webp', lossless=True, quality=50, method=0)
  return buffer.getvalue()


def frames(data: bytes, count: int) -> UInt8[np.ndarray, 'T Y X 3']:
  """The frames of a strip."""
  with Image.open(io.BytesIO(data)) as picture:
    whole = np.asarray(picture.convert('RGB'))
  return np.stack(np.split(whole, count, axis=1))


def png(frame: UInt8[np.ndarray, 'Y X 3']) -> bytes:
  """A frame as a file of its own size."""
  buffer = io.BytesIO()
  Image.fromarray(frame).save(buffer, 'png')
  return buffer.getvalue()
