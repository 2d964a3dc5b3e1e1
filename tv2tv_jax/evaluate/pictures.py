"""How far pictures are from their originals."""

from collections.abc import Iterator

from jaxtyping import Float, UInt8
import numpy as np
from skimage import filters
from skimage import metrics

_PEAK = 255.0
_WINDOW = 11  # pixels that SSIM looks at in a row
_GAUSSIAN = dict(sigma=1.5, truncate=3.5)  # What that window weighs them by.
_LUMINANCE = (0.01 * _PEAK) ** 2  # SSIM's first constant
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # weights, finest first


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
  _check_size(pictures)
  found = [
    _similarity(picture, original).mean()
    for picture, original in _pairs(pictures, originals)
  ]
  return np.array(found).reshape(pictures.shape[:-3])


def ms_ssim(
  pictures: UInt8[np.ndarray, '*B Y X C'],
  originals: UInt8[np.ndarray, '...'],
) -> Float[np.ndarray, '*B']:
  """Structural similarity over scales, at most 1 (Wang et al., 2003).

  The published five weights: contrast and structure at every scale, light at
  the coarsest. Each scale is the mean over squares of 2 x 2 of the one before,
  an odd last row or column left out. Five need 176 pixels in rows and columns;
  smaller pictures have the scales at which the window fits, with their weights
  scaled to add up to 1, so that only pictures of one size compare. What is
  negative at a scale counts as zero; the mean over channels.

  Raises:
    ValueError: pictures and originals of different shapes, or smaller than the
      window.
  """
  _check(pictures, originals)
  _check_size(pictures)
  least = min(pictures.shape[-3:-1])
  fit = [weight for n, weight in enumerate(_SCALES) if least >> n >= _WINDOW]
  weights = np.array(fit)[:, None] / sum(fit)
  found = []
  for picture, original in _pairs(pictures, originals):
    terms = []
    for scale in range(len(weights)):
      if scale:
        picture, original = _halved(picture), _halved(original)
      term = _similarity(picture, original)
      if scale < len(weights) - 1:
        term /= _light(picture, original)
      terms.append(term.mean(axis=(0, 1)))
    powers = np.maximum(terms, 0.0) ** weights
    found.append(powers.prod(axis=0).mean())
  return np.array(found).reshape(pictures.shape[:-3])


def _similarity(
  picture: Float[np.ndarray, 'Y X C'], original: Float[np.ndarray, 'Y X C']
) -> Float[np.ndarray, 'V U C']:
  """SSIM wherever the window lies within the picture, for each channel."""
  _, found = metrics.structural_similarity(
    picture,
    original,
    gaussian_weights=True,
    use_sample_covariance=False,
    data_range=_PEAK,
    channel_axis=-1,
    full=True,
    **_GAUSSIAN,
  )
  return _inner(found)


def _light(
  picture: Float[np.ndarray, 'Y X C'], original: Float[np.ndarray, 'Y X C']
) -> Float[np.ndarray, 'V U C']:
  """The factor of SSIM that compares means, at the same places."""
  a, b = (
    _inner(filters.gaussian(x, **_GAUSSIAN, mode='reflect', channel_axis=-1))
    for x in (picture, original)
  )
  return (2 * a * b + _LUMINANCE) / (a * a + b * b + _LUMINANCE)


def _inner(
  picture: Float[np.ndarray, 'Y X C'],
) -> Float[np.ndarray, 'V U C']:
  """Without the rim at which the window hangs over."""
  rim = _WINDOW // 2
  return picture[rim:-rim, rim:-rim]


def _pairs(
  pictures: UInt8[np.ndarray, '...'], originals: UInt8[np.ndarray, '...']
) -> Iterator[tuple[Float[np.ndarray, 'Y X C'], Float[np.ndarray, 'Y X C']]]:
  """Each picture beside its original, in floats."""
  shape = (-1, *pictures.shape[-3:])
  for picture, original in zip(
    pictures.reshape(shape), originals.reshape(shape), strict=True
  ):
    yield picture.astype(np.float64), original.astype(np.float64)


def _halved(
  picture: Float[np.ndarray, 'Y X C'],
) -> Float[np.ndarray, 'V U C']:
  """The means of squares of 2 x 2."""
  rows, columns, channels = picture.shape
  rows, columns = rows // 2, columns // 2
  even = picture[: 2 * rows, : 2 * columns]
  return even.reshape(rows, 2, columns, 2, channels).mean(axis=(1, 3))


def psnr_over_time(
  films: UInt8[np.ndarray, 'B T Y X C'],
  originals: UInt8[np.ndarray, 'B T Y X C'],
) -> Float[np.ndarray, 'T']:
  """PSNR at each frame index, in dB, averaged over films."""
  return psnr(films, originals).mean(axis=0)


def ssim_over_time(
  films: UInt8[np.ndarray, 'B T Y X C'],
  originals: UInt8[np.ndarray, 'B T Y X C'],
) -> Float[np.ndarray, 'T']:
  """SSIM at each frame index, averaged over films."""
  return ssim(films, originals).mean(axis=0)


def _check(pictures: np.ndarray, originals: np.ndarray) -> None:
  """ValueError if the shapes differ."""
  if pictures.shape != originals.shape:
    raise ValueError(
      f'pictures are {pictures.shape}, their originals {originals.shape}'
    )


def _check_size(pictures: np.ndarray) -> None:
  """ValueError if SSIM's window does not fit."""
  rows, columns = pictures.shape[-3:-1]
  if min(rows, columns) < _WINDOW:
    raise ValueError(
      f'pictures have {columns} x {rows} (width x height) pixels: SSIM needs '
      f'{_WINDOW} x {_WINDOW}'
    )
