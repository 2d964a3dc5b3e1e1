"""A cache holds each row's own past, in order, and padding is never seen."""

import jax.numpy as jnp
import numpy as np

from tests import tiny
from tv2tv_jax.interleave import timeline
from tv2tv_jax.mot import cache as cache_lib
from tv2tv_jax.mot import past


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
  np.testing.assert_array_equal(cache.length, [3, 1])
  seen = np.asarray(cache.places.story) >= 0
  np.testing.assert_array_equal(
    seen, np.array([[1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]], bool)
  )
  values = np.asarray(cache.memory.key)[0, :, 0, :3, 0]
  np.testing.assert_array_equal(values, [[1, 1, 2], [2, 2, 0]])
  np.testing.assert_array_equal(cache.memory.value, -cache.memory.key)


def test_a_draft_takes_what_is_read():
  """And the cache that it belongs to stays as it is."""
  towers = tiny.config().towers
  cache, draft = (
    cache_lib.empty(towers, 2, slots, jnp.dtype('float32')) for slots in (6, 3)
  )
  places = _places([[0, 0], [0, -1]], 0)
  whole = cache_lib.appended(cache, _memory(1.0, 2), places)
  both = cache_lib.appended(
    whole._replace(draft=draft), _memory(2.0, 2), places
  )
  np.testing.assert_array_equal(both.length, whole.length)
  np.testing.assert_array_equal(both.memory.key, whole.memory.key)
  np.testing.assert_array_equal(both.draft.length, [2, 1])
  assert (both.draft.memory.key[..., :2, :] == 2.0).all()
  assert len(both.pieces) == 2 and len(whole.pieces) == 1


def test_a_large_cache_is_whole_blocks():
  towers = tiny.config(depth=1).towers
  cache = cache_lib.empty(towers, 1, past.BLOCK + 1, jnp.dtype('float32'))
  assert cache.places.story.shape == (1, 2 * past.BLOCK)


def test_layers_that_are_apart_have_buffers_of_their_own():
  towers = tiny.config(unroll=2).towers
  cache = cache_lib.empty(towers, 2, 6, jnp.dtype('float32'))
  memory = tuple(
    cache_lib.Memory(*(part[at] for part in _memory(1.0, 2))) for at in range(2)
  )
  cache = cache_lib.appended(cache, memory, _places([[0, 0]] * 2, 0))
  assert len(cache.memory) == towers.depth == 2
  for each in cache.memory:
    np.testing.assert_array_equal(each.key[0, 0, :3, 0], [1, 1, 0])
