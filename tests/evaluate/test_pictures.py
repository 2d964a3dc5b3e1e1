"""PSNR and SSIM."""

import numpy as np
import pytest

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


def test_pictures_too_small_for_ssim_are_said():
  small = np.zeros((1, 16, 8, 3), np.uint8)
  with pytest.raises(ValueError, match=r'8 x 16 .* SSIM needs 11 x 11'):
    pictures.ssim(small, small)


@pytest.mark.parametrize('measure', [pictures.psnr, pictures.ssim])
def test_shapes_that_differ_are_named(measure):
  with pytest.raises(ValueError, match=r'\(2, 4, 4, 3\).*\(1, 4, 4, 3\)'):
    measure(np.zeros((2, 4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3), np.uint8))
