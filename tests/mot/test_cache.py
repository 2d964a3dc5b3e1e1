"""A cache holds each row's own past, in order, and padding is never seen."""

import jax.numpy as jnp
import numpy as np

from tests import tiny
from tv2tv_jax.interleave import timeline
from tv2tv_jax.mot import cache as cache_lib


def _memory(value: float, tokens: int) -> cache_lib.Memory:
  towers = tiny.config().towers
  shape = (towers.depth, 2, towers.key_heads, tokens, towers.head_width)
  return cache_lib.Memory(jnp.full(shape, value), jnp.full(shape, -value))


def _places(story: list[list[int]], start: int) -> timeline.Timeline:
  story = jnp.array(story)
  index = start + jnp.arange(story.shape[1]) + jnp.zeros_like(story)
  return timeline.of_text(index, story)


def test_rows_fill_at_their_own_pace():
  cache = cache_lib.empty(tiny.config().towers, 2, 6, jnp.dtype('float32'))
  first = _places([[0, 0], [-1, -1]], 0)
  cache = cache_lib.appended(cache, _memory(1.0, 2), first)
  np.testing.assert_array_equal(cache.length, [2, 0])
  cache = cache_lib.appended(cache, _memory(2.0, 2), _places([[0, -1]] * 2, 2))
  np.testing.assert_array_equal(cache.length, [4, 2])
  seen = np.asarray(cache.places.story) >= 0
  np.testing.assert_array_equal(
    seen, np.array([[1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]], bool)
  )
  values = np.asarray(cache.memory.key)[0, :, 0, :3, 0]
  np.testing.assert_array_equal(values, [[1, 1, 2], [2, 2, 0]])
  np.testing.assert_array_equal(cache.memory.value, -cache.memory.key)
