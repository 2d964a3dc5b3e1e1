"""How far pictures are from their originals."""

from jaxtyping import Float, UInt8
import numpy as np
from skimage import metrics

_PEAK = 255.0
_WINDOW = 11  # pixels that SSIM looks at in a row


def psnr(
  pictures: UInt8[np.ndarray, '*B Y X C'],
  originals: UInt8[np.ndarray, '...'],
) -> Float[np.ndarray, '*B']:
  """Peak signal-to-noise ratio of each picture, in dB; at most 99.

  Raises:
    ValueError: pictures and originals of different shapes.
  """
  _check(pictures, originals)
  error = pictures.astype(np.float32) - originals.astype(np.float32)
  mean = np.square(error).mean(axis=(-3, -2, -1))
  least = _PEAK**2 * 10**-9.9
  return 10 * np.log10(_PEAK**2 / np.maximum(mean, least))


def ssim(
  pictures: UInt8[np.ndarray, '*B Y X C'],
  originals: UInt8[np.ndarray, '...'],
) -> Float[np.ndarray, '*B']:
  """Structural similarity of each picture, at most 1 (Wang et al., 2004).

  As published: a Gaussian window of deviation 1.5, population variances; the
  mean over channels.

  Raises:
    ValueError: pictures and originals of different shapes, or smaller than the
      window.
  """
  _check(pictures, originals)
  rows, columns = pictures.shape[-3:-1]
  if min(rows, columns) < _WINDOW:
    raise ValueError(
      f'pictures have {columns} x {rows} (width x height) pixels: SSIM needs '
      f'{_WINDOW} x {_WINDOW}'
    )
  shape = (-1, *pictures.shape[-3:])
  found = [
    metrics.structural_similarity(
      picture,
      original,
      gaussian_weights=True,
      sigma=1.5,
      use_sample_covariance=False,
      data_range=_PEAK,
      channel_axis=-1,
    )
    for picture, original in zip(
      pictures.reshape(shape), originals.reshape(shape), strict=True
    )
  ]
  return np.array(found).reshape(pictures.shape[:-3])


def psnr_over_time(
  films: UInt8[np.ndarray, 'B T Y X C'],
  originals: UInt8[np.ndarray, 'B T Y X C'],
) -> Float[np.ndarray, 'T']:
  """PSNR at each frame index, in dB, averaged over films."""
  return psnr(films, originals).mean(axis=0)


def _check(pictures: np.ndarray, originals: np.ndarray) -> None:
  """ValueError if the shapes differ."""
  if pictures.shape != originals.shape:
    raise ValueError(
      f'pictures are {pictures.shape}, their originals {originals.shape}'
    )
