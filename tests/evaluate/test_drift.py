"""Films that change by a known amount drift by that amount."""

import numpy as np
import pytest

from tv2tv_jax.evaluate import drift

_RATE = 17.5


def _film(shades: np.ndarray) -> np.ndarray:
  """Gray film uint8 [T, Y, X, 3] of shades [T, Y, X]."""
  return np.repeat(np.round(shades)[..., None], 3, axis=-1).astype(np.uint8)


def _slopes(film: np.ndarray) -> dict[str, float]:
  return {
    name: drift.slope(values, _RATE)
    for name, values in drift.statistics(film).items()
  }


def _texture(seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).uniform(60, 120, (24, 32))


def test_a_still_film_does_not_drift():
  film = _film(np.tile(_texture(), (40, 1, 1)))
  assert _slopes(film) == pytest.approx(dict.fromkeys(drift.STATISTICS, 0.0))
  np.testing.assert_array_equal(drift.statistics(film)['change'], 0.0)


def test_a_film_that_brightens_has_that_slope():
  """A gray level a frame is 60 * 17.5 a minute, and a change of 1 a frame."""
  shades = _texture().round() + np.arange(60)[:, None, None]
  slopes = _slopes(_film(shades))
  assert slopes.pop('brightness') == pytest.approx(60 * _RATE)
  assert slopes == pytest.approx(dict.fromkeys(slopes, 0.0), abs=1e-3)
  change = drift.statistics(_film(shades))['change']
  np.testing.assert_allclose(change, 1.0, atol=1e-4)


def test_a_film_that_fades_loses_contrast_and_sharpness_alike():
  share = np.linspace(1.0, 0.5, 41)[:, None, None]
  texture = 4 * np.round(_texture() / 4)
  texture -= 4 * np.round(texture.mean() / 4)
  found = drift.statistics(_film(88 + share * texture))
  for name in ('contrast', 'sharpness'):
    assert found[name][-1] / found[name][0] == pytest.approx(0.5, rel=0.02)
  assert np.ptp(found['brightness']) < 0.05 * np.ptp(found['contrast'])


def test_a_film_that_blurs_loses_sharpness_first():
  shades = [_texture()]
  for _ in range(20):
    soft = shades[-1]
    for axis in (0, 1):
      beside = np.roll(soft, 1, axis) + np.roll(soft, -1, axis)
      soft = 0.8 * soft + 0.1 * beside
    shades.append(soft)
  found = drift.statistics(_film(np.stack(shades)))
  lost = {
    name: found[name][-1] / found[name][0]
    for name in ('sharpness', 'contrast', 'brightness')
  }
  assert lost['sharpness'] < 0.5 * lost['contrast'] < 0.5
  assert lost['brightness'] == pytest.approx(1.0, abs=0.01)


def test_colours_that_pale_lose_saturation_alone():
  """The luma of the colour given is 100, whatever its share."""
  luma = np.array([0.2126, 0.7152, 0.0722])
  colour = np.array([60.0, -20.0, 0.0])
  colour[2] = -(luma @ colour) / luma[2]
  share = np.linspace(1.0, 0.0, 31)[:, None]
  film = np.tile((100 + share * colour)[:, None, None], (1, 4, 4, 1))
  slopes = _slopes(film.round().astype(np.uint8))
  assert slopes['saturation'] == pytest.approx(-80 * 60 * _RATE / 30, rel=0.02)
  assert abs(slopes['brightness']) < 0.03 * 60 * _RATE


@pytest.mark.parametrize('step', [-2, 0, 1, 3])
def test_a_film_that_is_shifted_travels_as_far(step):
  """Of a ramp of 4 gray levels a pixel each shift changes every pixel by 4."""
  wall = np.random.default_rng(1).normal(size=(48, 300))
  for axis in (0, 1, 0, 1):
    wall = (np.roll(wall, 1, axis) + 2 * wall + np.roll(wall, -1, axis)) / 4
  at = 150 + np.arange(64) - step * np.arange(21)[:, None]
  film = _film((128 + 150 * wall[:, at]).clip(0, 255).transpose(1, 0, 2))
  travel = drift.travel(film)
  assert len(travel) == 21 and travel[0] == 0
  assert travel[-1] == pytest.approx(20 * step, abs=3)
  assert drift.slope(travel, _RATE) == pytest.approx(
    60 * _RATE * step, abs=0.15 * 60 * _RATE
  )
  ramp = _film(np.tile((4 * (at % 63))[:, None], (1, 24, 1)))[:, :, 8:40]
  if (at[:, 8:40] // 63 == at[0, 8] // 63).all():
    np.testing.assert_allclose(
      drift.statistics(ramp)['change'], 4 * abs(step), rtol=1e-5
    )


def test_bins_are_whole_seconds_of_film():
  values = np.arange(106.0)  # 6 s at 17.5 frames/s, and a frame
  np.testing.assert_allclose(drift.binned(values, 17.5, 2.0), [17, 52, 87])
  assert drift.bins(106, 17.5, 2.0) == 3
  # At 30000 / 1001 frames/s a second ends between two frames.
  rate = 30000 / 1001
  values = np.floor(np.arange(90) / rate)
  np.testing.assert_array_equal(drift.binned(values, rate, 1.0), [0, 1, 2])
  # A bin of 15 frames is, in floats, a little more than 15 frames.
  assert rate * (15 / rate) > 15
  values = np.repeat([3.0, 5.0], 15)
  np.testing.assert_array_equal(drift.binned(values, rate, 15 / rate), [3, 5])


def test_shorter_films_count_as_long_as_they_last():
  curve = drift.averaged([np.array([1.0, 5.0]), np.array([3.0])])
  np.testing.assert_array_equal(curve.count, [2, 1])
  np.testing.assert_array_equal(curve.mean, [2.0, 5.0])
  np.testing.assert_array_equal(curve.error, [1.0, np.nan])


def test_what_has_no_drift_is_named():
  with pytest.raises(ValueError, match='1 frames of 4 x 3'):
    drift.statistics(np.zeros((1, 3, 4, 3), np.uint8))
  with pytest.raises(ValueError, match=r'17 frames at 17.5 .* than 1.0 s'):
    drift.binned(np.zeros(17), 17.5, 1.0)
  with pytest.raises(ValueError, match='less than a frame'):
    drift.binned(np.zeros(17), 17.5, 0.05)
  with pytest.raises(ValueError, match='1 frames have no slope'):
    drift.slope(np.zeros(1), 17.5)
  with pytest.raises(ValueError, match='no curves'):
    drift.averaged([])
