"""Frames of a story, uint8 [T, Y, X, 3]: what names them, and a sheet."""

import hashlib
import pathlib

from jaxtyping import UInt8
import numpy as np
from PIL import Image

_COLUMNS = 9  # of a sheet


def digest(frames: UInt8[np.ndarray, 'T Y X 3']) -> str:
  """SHA-256 of their size and their bits."""
  head = 'x'.join(map(str, frames.shape)).encode()
  return hashlib.sha256(head + np.ascontiguousarray(frames).data).hexdigest()


def digests(frames: UInt8[np.ndarray, 'T Y X 3'], step: int) -> list[str]:
  """A short one of each chunk: of one frame, then of `step` each."""
  chunks = np.split(frames, range(1, len(frames), step))
  return [digest(chunk)[:16] for chunk in chunks]


def sheet(frames: UInt8[np.ndarray, 'T Y X 3']) -> Image.Image:
  """Frames in rows at twice their size, the last row filled up with black."""
  blank = np.zeros_like(frames[:1])
  missing = -len(frames) % _COLUMNS
  frames = np.concatenate([frames, *[blank] * missing])
  rows = frames.reshape(-1, _COLUMNS, *frames.shape[1:])
  whole = np.concatenate([np.concatenate(list(row), 1) for row in rows])
  picture = Image.fromarray(whole)
  size = picture.width * 2, picture.height * 2
  return picture.resize(size, Image.NEAREST)


def strip(frames: UInt8[np.ndarray, 'T Y X 3']) -> Image.Image:
  """Frames one below another, as they are."""
  return Image.fromarray(frames.reshape(-1, *frames.shape[2:]))


def read_strip(path: pathlib.Path, count: int) -> UInt8[np.ndarray, 'T Y X 3']:
  """The frames of a strip; ValueError if it is none of so many."""
  try:
    with Image.open(path) as picture:
      frames = np.asarray(picture.convert('RGB'))
    return frames.reshape(count, -1, *frames.shape[1:])
  except (OSError, SyntaxError, ValueError, ZeroDivisionError) as error:
    raise ValueError(f'{path}: no {count} frames ({error})') from None
