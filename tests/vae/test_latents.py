"""Latents are normalised per channel and carry the name of their VAE."""

from flax import nnx
import jax.numpy as jnp
import numpy as np
import pytest

from tv2tv_jax.nn import conv
from tv2tv_jax.vae import latents


def _draws() -> np.ndarray:
  rng = np.random.default_rng(0)
  return rng.normal([1.0, -2.0, 30.0], [1.0, 0.1, 5.0], (4, 5, 6, 7, 3))


def test_statistics_of_parts_are_those_of_the_whole():
  draws = _draws()
  moments = latents.no_moments(3)
  for part in draws:
    moments = latents.add(moments, part)
  statistics = latents.statistics(moments)
  axes = (0, 1, 2, 3)
  np.testing.assert_allclose(statistics.mean, draws.mean(axes), rtol=1e-5)
  np.testing.assert_allclose(statistics.std, draws.std(axes), rtol=1e-5)
  normal = latents.normalise(draws, statistics)
  np.testing.assert_allclose(normal.std(axes), 1.0, rtol=1e-4)
  np.testing.assert_allclose(
    latents.restore(normal, statistics), draws, rtol=1e-5
  )


def test_statistics_of_nothing_are_refused():
  with pytest.raises(ValueError, match='no latents'):
    latents.statistics(latents.no_moments(3))


def test_what_is_saved_is_loaded(tmp_path):
  path = tmp_path / 'latents.json'
  saved = latents.statistics(latents.add(latents.no_moments(3), _draws()))
  latents.save(path, saved, 'abc')
  loaded, fingerprint = latents.load(path)
  assert fingerprint == 'abc'
  np.testing.assert_array_equal(loaded.mean, saved.mean)
  np.testing.assert_array_equal(loaded.std, saved.std)
  assert [file.name for file in tmp_path.iterdir()] == ['latents.json']


def test_a_missing_or_damaged_file_is_named(tmp_path):
  path = tmp_path / 'latents.json'
  with pytest.raises(ValueError, match='does not exist'):
    latents.load(path)
  path.write_text('{"mean": [0.0')
  with pytest.raises(ValueError, match='is damaged'):
    latents.load(path)
  path.write_text('{"mean": [0.0]}')
  with pytest.raises(ValueError, match=r"damaged .*'std'"):
    latents.load(path)


def test_a_fingerprint_changes_with_a_parameter_and_with_the_config():
  layer = conv.Conv2d(1, 1, rngs=nnx.Rngs(0))
  first = latents.fingerprint(layer, '{}')
  assert first == latents.fingerprint(layer, '{}')
  assert first != latents.fingerprint(layer, '{"taps": 3}')
  layer.bias[...] = jnp.ones(1)
  assert first != latents.fingerprint(layer, '{}')
