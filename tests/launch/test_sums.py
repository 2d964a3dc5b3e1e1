"""Likeness is a mean over frames, and a curve over the places of a clip."""

import numpy as np
import pytest

from launch.evaluation import sums
from tv2tv_jax.evaluate import pictures


def test_curves_are_means_at_each_place_of_a_clip():
  rng = np.random.default_rng(0)
  first, second = rng.integers(0, 256, (2, 2, 3, 2, 16, 16, 3), np.uint8)
  found = sums.Sums(4, 2)
  found.add(1, first[0], second[0])
  found.add(2, first[1], second[1])
  found.add(2, first[1][:1], first[1][:1])
  found.add(2, first[0][:0], first[0][:0])
  psnr = pictures.psnr(first[:2], second[:2])
  curves, means = found.curves('x/'), found.means('x/')
  assert curves['x/psnr'][:2] == pytest.approx(psnr[0].mean(axis=0).tolist())
  wanted = (psnr[1].sum(axis=0) + 99.0) / 4
  assert curves['x/psnr'][2:4] == pytest.approx(wanted.tolist())
  assert curves['x/psnr'][4:] == [None, None]  # No clip is so long.
  assert means['x/psnr'] == pytest.approx((psnr.sum() + 2 * 99.0) / 14)
  assert means['x/ssim'] < 0.3 and len(curves['x/ms_ssim']) == 6
  assert sums.Sums(4, 2).means() == sums.Sums(4, 2).curves() == {}
