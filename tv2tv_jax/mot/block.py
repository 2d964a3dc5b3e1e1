"""Every tower projects its own tokens; all tokens attend to one another."""

from collections.abc import Sequence
import functools
from typing import NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tv2tv_jax import sharding
from tv2tv_jax.interleave import deal
from tv2tv_jax.interleave import plan as plan_lib
from tv2tv_jax.interleave import streams as streams_lib
from tv2tv_jax.interleave import timeline
from tv2tv_jax.mot import cache as cache_lib
from tv2tv_jax.mot import past as past_lib
from tv2tv_jax.mot import tower
from tv2tv_jax.nn import attention
from tv2tv_jax.nn import flash
from tv2tv_jax.nn import rope

Streams = streams_lib.Streams
Cached = tuple[cache_lib.Memory, ...]  # One layer of a cache, and of its draft.
_Group = tuple[str, ...]  # Names of streams that go through a tower together.
_MODALITY = {'text': 'text', 'clean': 'video', 'noisy': 'video'}


class Glance(NamedTuple):
  """What a piece of the queries sees of the past.

  Attributes:
    piece: which queries, and how many keys of text and clean video.
    seen: which keys of each group: of the cache, of its draft, of text and
      clean video, as what is added to their scores; or of all, as integers.
  """

  piece: plan_lib.Piece
  seen: tuple[past_lib.Seen, ...]


class Sight(NamedTuple):
  """Who sees whom, the same in every layer.

  Attributes:
    turn: by which the queries and keys of each group of streams are turned.
    past: what each piece sees of cache, text and clean video. A noisy token
      also sees its own chunk, which needs no mask.
    chunks: noisy chunks of a row.
    filled: slots of the cache that any row has filled; None without one.
    order: what is known of the order of the rows.
  """

  turn: dict[_Group, rope.Turn]
  past: tuple[Glance, ...]
  chunks: int
  filled: Int[Array, ''] | None
  order: deal.Order


def sight(
  config: tower.MotConfig,
  places: Streams,
  cache: cache_lib.Cache | None,
  *,
  chunks: int,
  order: deal.Order,
) -> Sight:
  """Who sees whom.

  Args:
    config: how far tokens see.
    places: the `Timeline` of each stream.
    cache: the past of the rows.
    chunks: chunks of a row.
    order: what is known of the order of the rows.

  Raises:
    ValueError: a noisy chunk without any past.
  """
  if all(part is None for part in (cache, places.text, places.clean)):
    raise ValueError('a noisy chunk needs a past: a cache, text or clean video')
  frequency = rope.frequencies(config.head_width, config.rope)
  lengths = Streams(*(part and part.index.shape[1] for part in places))
  turn = {
    group: rope.turn(
      streams_lib.woven([getattr(places, name).index for name in group]),
      frequency,
    )
    for group in _groups(lengths)
  }
  keys = deal.whole(places, order)
  plan = order if isinstance(order, plan_lib.Plan) else None
  if sharding.splits('length') or config.attention == 'flash':
    plan = None  # Queries are cut by device, or by the engine.
  glances = []
  for piece in plan_lib.pieces(plan, lengths, chunks):
    queries = _rows(getattr(places, piece.stream), piece.begin, piece.end)
    text, clean = (
      part and _rows(part, 0, count)
      for part, count in (
        (keys.text, piece.text),
        (keys.clean, piece.clean),
      )
    )
    past = [each.places for each in cache.pieces] if cache else []
    if text is not None or clean is not None:
      past.append(streams_lib.joined_places(text, clean))
    glances.append(Glance(piece, past_lib.seen(config, queries, past)))
  filled = cache and jnp.max(cache.length)
  return Sight(turn, tuple(glances), chunks, filled, order)


def _rows(places: timeline.Timeline, begin: int, end: int) -> timeline.Timeline:
  """Some tokens of a stream."""
  if end - begin == places.index.shape[1]:
    return places
  return timeline.Timeline(*(part[:, begin:end] for part in places))


class Block(nnx.Module):
  """One layer: a tower per modality and one global attention (paper)."""

  def __init__(self, config: tower.MotConfig, *, rngs: nnx.Rngs):
    self.config = config
    self.text = tower.Tower(config, rngs=rngs)
    self.video = tower.Tower(config, rngs=rngs)

  def __call__(
    self,
    x: Streams,
    sight: Sight,
    cached: Cached = (),
  ) -> tuple[Streams, cache_lib.Memory | None]:
    """The streams after the layer, and the clean keys and values to keep.

    Args:
      x: `B L D` for each stream that is there.
      sight: who sees whom.
      cached: keys and values of the past, and of its draft.
    """
    tokens, brought = {}, {}
    for group, turn in sight.turn.items():
      tokens[group] = streams_lib.woven([getattr(x, name) for name in group])
      projected = self._tower(group).project(tokens[group], turn)
      pieces = (streams_lib.unwoven(a, len(group), axis=-2) for a in projected)
      for name, *each in zip(group, *pieces, strict=True):
        brought[name] = tower.Projected(*each)
    brought = _with_whole_keys(brought, sight.order)
    attended = self._attended(brought, sight, cached)
    out = {}
    for group in sight.turn:
      heads = streams_lib.woven([attended[name] for name in group], axis=-2)
      after = self._tower(group).finish(tokens[group], heads)
      pieces = streams_lib.unwoven(after, len(group))
      out |= dict(zip(group, pieces, strict=True))
    clean = [brought[name] for name in ('text', 'clean') if name in brought]
    memory = clean and cache_lib.Memory(
      _together(*(each.key for each in clean)),
      _together(*(each.value for each in clean)),
    )
    return Streams(**out), memory or None

  def _attended(
    self,
    brought: dict[str, tower.Projected],
    sight: Sight,
    cached: Cached,
  ) -> dict[str, Float[Array, 'B K G L H']]:
    """Attention of every stream: to the clean past; if noisy, to its chunk."""
    parts = {name: [] for name in brought}
    for piece, seen in sight.past:
      query = brought[piece.stream].query
      if piece.end - piece.begin < query.shape[-2]:
        query = query[..., piece.begin : piece.end, :]
      own = [
        tuple(
          each[..., : getattr(piece, name), :]
          for each in (brought[name].key, brought[name].value)
        )
        for name in ('text', 'clean')
        if name in brought
      ]
      parts[piece.stream].append(
        self._past(query, own, cached, seen, sight.filled)
      )
    attended = {}
    for name, pieces in parts.items():
      groups = [
        attention.Part(
          _together(*(part.mean for part in group)),
          streams_lib.joined(*(part.weight for part in group), axis=-1),
        )
        for group in zip(*pieces, strict=True)
      ]
      if name == 'noisy':
        own = self._engine(
          *(_in_chunks(each, sight.chunks) for each in brought[name])
        )
        groups.append(_in_a_row(own))
      attended[name] = attention.merged(groups)
    return attended

  def _past(
    self,
    query: jax.Array,
    own: Sequence[past_lib.Keyed],
    cached: Cached,
    seen: tuple[past_lib.Seen, ...],
    filled: jax.Array | None,
  ) -> list[attention.Part]:
    """Attention to each group of keys of the past, or to all as one."""
    held = [tuple(x.astype(query.dtype) for x in each) for each in cached]
    if self.config.attention == 'dense':
      return past_lib.parts(query, held, own, seen, filled)
    whole = [_together(*each) for each in zip(*held, *own, strict=True)]
    return [self._engine(query, *whole, *seen)]

  def _engine(
    self,
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    seen: jax.Array | flash.Seen | None = None,
  ) -> attention.Part:
    """Attention of queries to the keys that they see, by the engine."""
    if self.config.attention == 'dense':
      return attention.attended(query, key, value, seen)
    far = dict(window=self.config.window, sink=self.config.sink)
    return flash.engine(query, key, value, seen, **far)

  def _tower(self, group: _Group) -> tower.Tower:
    """The tower of a group of streams."""
    return getattr(self, _MODALITY[group[0]])


def _groups(lengths: Streams) -> list[_Group]:
  """The streams that are there; those of one tower and one length together."""
  groups = {}
  for name in lengths.present:
    key = _MODALITY[name], getattr(lengths, name)
    groups[key] = (*groups.get(key, ()), name)
  return list(groups.values())


def _with_whole_keys(
  brought: dict[str, tower.Projected], order: deal.Order
) -> dict[str, tower.Projected]:
  """Keys and values of the past, in time order, wherever their row is."""
  if not sharding.splits('length'):
    return brought

  def whole(x: jax.Array) -> jax.Array:
    x = sharding.place(x, 'batch', 'heads', None, 'head_dim')
    return deal.back(x, order, axis=-2)

  return {
    name: each
    if name == 'noisy'
    else each._replace(key=whole(each.key), value=whole(each.value))
    for name, each in brought.items()
  }


# Arrays of heads, `... L H`, one after another along the tokens.
_together = functools.partial(streams_lib.joined, axis=-2)


def _in_chunks(x: jax.Array, chunks: int) -> jax.Array:
  """Chunks beside rows: `B K (G) N P H` becomes `B N K (G) P H`."""
  return jnp.moveaxis(sharding.unmerged(x, x.ndim - 2, chunks), -3, 1)


def _in_a_row(part: attention.Part) -> attention.Part:
  """The inverse of `_in_chunks`."""
  mean = jnp.moveaxis(part.mean, 1, -3)
  weight = jnp.moveaxis(part.weight, 1, -2)
  return attention.Part(
    sharding.merged(mean, mean.ndim - 3),
    sharding.merged(weight, weight.ndim - 2),
  )
