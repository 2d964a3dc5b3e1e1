"""PSNR."""

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


def test_pixels_round_and_stay_in_range():
  pixels = np.array([-1.4, -1.0, 0.0, 1 / 127.5, 1.0, 1.2])
  assert pictures.to_uint8(pixels).tolist() == [0, 0, 128, 128, 255, 255]


def test_shapes_that_differ_are_named():
  with pytest.raises(ValueError, match=r'\(2, 4, 4, 3\).*\(1, 4, 4, 3\)'):
    pictures.psnr(
      np.zeros((2, 4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3), np.uint8)
    )
