"""How far pictures are from their originals."""

from jaxtyping import Float, UInt8
import numpy as np

_PEAK = 255.0


def psnr(
  pictures: UInt8[np.ndarray, '*B Y X C'],
  originals: UInt8[np.ndarray, '...'],
) -> Float[np.ndarray, '*B']:
  """Peak signal-to-noise ratio of each picture, in dB; at most 99.

  Raises:
    ValueError: pictures and originals of different shapes.
  """
  if pictures.shape != originals.shape:
    raise ValueError(
      f'pictures are {pictures.shape}, their originals {originals.shape}'
    )
  error = pictures.astype(np.float32) - originals.astype(np.float32)
  mean = np.square(error).mean(axis=(-3, -2, -1))
  least = _PEAK**2 * 10**-9.9
  return 10 * np.log10(_PEAK**2 / np.maximum(mean, least))


def psnr_over_time(
  films: UInt8[np.ndarray, 'B T Y X C'],
  originals: UInt8[np.ndarray, 'B T Y X C'],
) -> Float[np.ndarray, 'T']:
  """PSNR at each frame index, in dB, averaged over films."""
  return psnr(films, originals).mean(axis=0)


def to_uint8(pixels: Float[np.ndarray, '*B']) -> UInt8[np.ndarray, '*B']:
  """Pixels in [-1, 1], or a little beyond, as bytes."""
  return np.clip(np.rint((np.asarray(pixels) + 1) * 127.5), 0, 255).astype(
    np.uint8
  )
