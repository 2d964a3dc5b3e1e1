"""Words are drawn as the taste says."""

import jax
import jax.numpy as jnp
import numpy as np

from tv2tv_jax.sample import words

_CHANCES = np.array([0.1, 0.4, 0.2, 0.3])


def _drawn(temperature, top_p, count=4000):
  keys = jax.random.split(jax.random.key(0), count)
  logits = jnp.tile(jnp.log(_CHANCES), (count, 1))
  taste = words.Taste(jnp.full(count, temperature), jnp.full(count, top_p))
  tokens = np.asarray(words.drawn(keys, logits, taste))
  return np.bincount(tokens, minlength=4) / count


def test_chances_are_those_of_the_softmax():
  np.testing.assert_allclose(_drawn(1.0, 1.0), _CHANCES, atol=0.03)


def test_temperature_sharpens():
  squares = _CHANCES**2 / (_CHANCES**2).sum()
  np.testing.assert_allclose(_drawn(0.5, 1.0), squares, atol=0.03)


def test_no_temperature_takes_the_likeliest():
  np.testing.assert_array_equal(_drawn(0.0, 1.0), [0, 1, 0, 0])


def test_top_p_draws_from_the_likeliest():
  np.testing.assert_allclose(_drawn(1.0, 0.6), [0, 4 / 7, 0, 3 / 7], atol=0.03)
  np.testing.assert_array_equal(_drawn(1.0, 0.3), [0, 1, 0, 0])


def test_rows_have_their_own_taste():
  keys = jax.random.split(jax.random.key(1), 2)
  logits = jnp.tile(jnp.log(_CHANCES), (2, 1))
  taste = words.Taste(jnp.array([0.0, 1.0]), jnp.array([1.0, 1.0]))
  both = words.drawn(keys, logits, taste)
  alone = words.drawn(
    keys[1:], logits[1:], words.Taste(*(x[1:] for x in taste))
  )
  assert int(both[0]) == 1 and int(both[1]) == int(alone[0])
