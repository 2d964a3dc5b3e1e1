"""Random queries and keys in random stories, for tests of attention."""

from hypothesis import strategies
import jax.numpy as jnp
import numpy as np

from tv2tv_jax.interleave import timeline
from tv2tv_jax.nn import flash

ROWS, HEADS, GROUPS, QUERIES, KEYS, WIDTH = 2, 2, 3, 152, 296, 8
SIZES = (128, 128)  # 2 blocks of queries, 3 of keys.
WINDOW = (('window', 60), ('sink', 20))
LAYOUTS = strategies.fixed_dictionaries(
  dict(
    seed=strategies.integers(0, 2**31),
    stories=strategies.integers(1, 4),
    ordered=strategies.booleans(),
    longest=strategies.sampled_from([1, 30, 400, 100_000]),
  )
)


def arrays(seed, queries=QUERIES, keys=KEYS, dtype='float32'):
  """Queries, keys and values; cotangents of mean and weight."""
  rng = np.random.default_rng(seed)
  query = (ROWS, HEADS, GROUPS, queries, WIDTH)
  key = (ROWS, HEADS, keys, WIDTH)
  inputs = tuple(
    jnp.asarray(rng.normal(size=x), dtype) for x in (query, key, key)
  )
  bars = tuple(
    jnp.asarray(rng.normal(size=x), 'float32') for x in (query, query[:-1])
  )
  return inputs, bars


def seen(seed, stories=2, ordered=True, longest=400):
  """Random places in stories, with padding at the end or anywhere."""
  rng = np.random.default_rng(seed)

  def row(length):
    place = rng.integers(0, longest, length)
    shares = rng.dirichlet(np.full(stories, 0.5))  # Long and short stories.
    story = np.searchsorted(np.cumsum(shares)[:-1], np.linspace(0, 1, length))
    story[length - rng.integers(0, length // 2) :] = -1
    order = np.lexsort((place, np.where(story < 0, stories, story)))
    if not ordered:
      order = rng.permutation(length)
    return place[order], story[order]

  def rows(length):
    drawn = zip(*(row(length) for _ in range(ROWS)), strict=True)
    return [jnp.asarray(np.stack(each), jnp.int32) for each in drawn]

  place, story = rows(QUERIES)
  return flash.Seen(place + 1, story, *rows(KEYS))


def mask(seen, window=0, sink=0):
  """Who sees whom, as the model's timeline says."""

  def places(place, story):
    nothing = jnp.full_like(place, timeline.CLEAN)
    return timeline.Timeline(place, place, nothing, story)

  visible = timeline.visible(
    places(seen.horizon, seen.query_story),
    places(seen.index, seen.key_story),
    window=window,
    sink=sink,
  )
  return np.asarray(visible)


def seeing(seed):
  """Places under which every query sees something."""
  drawn = seen(seed, stories=1)
  story = jnp.zeros_like(drawn.query_story)
  return drawn._replace(horizon=drawn.horizon + 200, query_story=story)


def assert_agree(found, expected, tolerance=1e-5):
  for one, two in zip(found, expected, strict=True):
    one, two = np.asarray(one, 'float64'), np.asarray(two, 'float64')
    limit = tolerance * max(1.0, np.abs(two).max())
    np.testing.assert_allclose(one, two, atol=limit, rtol=0)
