"""PSNR, SSIM, and SSIM over scales."""

import numpy as np
import pytest
from scipy import signal
from skimage import metrics

from tv2tv_jax.evaluate import pictures


def test_psnr_is_the_textbook_one():
  original = np.full((2, 3, 4, 4, 3), 100, np.uint8)
  copy = original.copy()
  copy[:, 1] += 10
  copy[:, 2] += 20
  places = pictures.psnr_over_time(copy, original)
  expected = [99.0, 20 * np.log10(255 / 10), 20 * np.log10(255 / 20)]
  np.testing.assert_allclose(places, expected, rtol=1e-5)


def test_ssim_is_the_published_one():
  """Of even pictures only the term of means is left; copies have 1."""
  even = np.full((2, 3, 16, 20, 3), 100, np.uint8)
  copy = even.copy()
  copy[:, 1] += 10
  copy[0, 2] += 90
  found = pictures.ssim(copy, even)
  c1 = (0.01 * 255) ** 2

  def expected(a, b):
    return (2 * a * b + c1) / (a * a + b * b + c1)

  row = [1.0, expected(110, 100), expected(190, 100)]
  np.testing.assert_allclose(found, [row, [*row[:2], 1.0]], rtol=1e-6)


def test_ssim_minds_structure_more_than_light():
  rng = np.random.default_rng(0)
  original = rng.integers(40, 200, (1, 24, 24, 3), dtype=np.uint8)
  lighter = original + np.uint8(10)
  noise = rng.choice(np.array([-10, 10]), original.shape)
  noisy = (original + noise).astype(np.uint8)
  assert pictures.psnr(lighter, original) == pictures.psnr(noisy, original)
  assert pictures.ssim(lighter, original) > pictures.ssim(noisy, original)


def _pair(*shape: int) -> tuple[np.ndarray, np.ndarray]:
  """Smooth random pictures, and the same with noise."""
  rng = np.random.default_rng(0)
  original = rng.uniform(0, 255, shape)
  for axis in (-3, -2):
    original = sum(np.roll(original, n, axis) for n in range(5)) / 5
  noisy = original + rng.normal(0, 25, shape)
  return noisy.clip(0, 255).astype('u1'), original.astype('u1')


def test_ssim_is_scikit_images():
  noisy, original = _pair(2, 3, 24, 33, 3)
  found = pictures.ssim(noisy, original)
  for at in np.ndindex(2, 3):
    wanted = metrics.structural_similarity(
      noisy[at],
      original[at],
      gaussian_weights=True,
      sigma=1.5,
      use_sample_covariance=False,
      data_range=255,
      channel_axis=-1,
    )
    assert found[at] == pytest.approx(wanted, abs=1e-12)
  over_time = pictures.ssim_over_time(noisy, original)
  np.testing.assert_allclose(over_time, found.mean(axis=0))


def _by_scipy(x: np.ndarray, y: np.ndarray, weights: list[float]) -> float:
  """MS-SSIM of one channel as the equations of the paper stand."""
  place = np.arange(-5, 6)
  window = np.exp(-(place**2 + place[:, None] ** 2) / (2 * 1.5**2))

  def mean(z):
    return signal.correlate2d(z, window / window.sum(), 'valid')

  value, c1, c2 = 1.0, 2.55**2, 7.65**2
  for scale, weight in enumerate(weights):
    if scale:
      quarter = np.full((2, 2), 0.25)
      x, y = (signal.correlate2d(z, quarter, 'valid')[::2, ::2] for z in (x, y))
    a, b = mean(x), mean(y)
    both = mean(x * y) - a * b
    either = mean(x * x) - a * a + mean(y * y) - b * b
    term = (2 * both + c2) / (either + c2)
    if scale == len(weights) - 1:
      term *= (2 * a * b + c1) / (a * a + b * b + c1)
    value *= term.mean() ** weight
  return value


@pytest.mark.parametrize(
  ('shape', 'scales'),
  [((176, 177), 5), ((175, 200), 4), ((48, 64), 3), ((11, 11), 1)],
)
def test_ms_ssim_has_as_many_scales_as_fit(shape, scales):
  noisy, original = _pair(1, *shape, 2)
  published = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333][:scales]
  weights = [weight / sum(published) for weight in published]
  wanted = np.mean(
    [
      _by_scipy(noisy[0, ..., n] * 1.0, original[0, ..., n] * 1.0, weights)
      for n in range(2)
    ]
  )
  found = pictures.ms_ssim(noisy, original)
  assert found == pytest.approx(wanted, abs=1e-9) and 0 < wanted < 1
  assert pictures.ms_ssim(original, original) == pytest.approx(1.0)


def test_ms_ssim_of_what_is_turned_over_is_zero():
  _, original = _pair(24, 24, 3)
  assert pictures.ms_ssim(255 - original, original) == 0.0


@pytest.mark.parametrize('measure', [pictures.ssim, pictures.ms_ssim])
def test_pictures_too_small_for_ssim_are_said(measure):
  small = np.zeros((1, 16, 8, 3), np.uint8)
  with pytest.raises(ValueError, match=r'8 x 16 .* SSIM needs 11 x 11'):
    measure(small, small)


@pytest.mark.parametrize(
  'measure', [pictures.psnr, pictures.ssim, pictures.ms_ssim]
)
def test_shapes_that_differ_are_named(measure):
  with pytest.raises(ValueError, match=r'\(2, 4, 4, 3\).*\(1, 4, 4, 3\)'):
    measure(np.zeros((2, 4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3), np.uint8))
