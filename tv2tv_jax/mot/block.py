"""Every tower projects its own tokens; all tokens attend to one another."""

import functools
from typing import NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax.interleave import plan as plan_lib
from tv2tv_jax.interleave import streams as streams_lib
from tv2tv_jax.interleave import timeline
from tv2tv_jax.mot import cache as cache_lib
from tv2tv_jax.mot import tower
from tv2tv_jax.nn import attention
from tv2tv_jax.nn import rope

Streams = streams_lib.Streams
_MODALITY = {'text': 'text', 'clean': 'video', 'noisy': 'video'}


class Glance(NamedTuple):
  """What a piece of the queries sees of the past.

  Attributes:
    piece: which queries, and how many keys of text and clean video.
    bias: added to their scores: keys of the cache, of text, of clean video.
  """

  piece: plan_lib.Piece
  bias: Float[Array, 'B Q S']


class Sight(NamedTuple):
  """Who sees whom, the same in every layer.

  Attributes:
    turn: by which the queries and keys of each stream are turned.
    past: what each piece sees of cache, text and clean video. A noisy token
      also sees its own chunk, which needs no mask.
    chunks: noisy chunks of a row.
  """

  turn: Streams
  past: tuple[Glance, ...]
  chunks: int


def sight(
  config: tower.MotConfig,
  places: Streams,
  cached: timeline.Timeline | None,
  *,
  chunks: int,
  plan: plan_lib.Plan | None,
) -> Sight:
  """Who sees whom.

  Args:
    config: how far tokens see.
    places: the `Timeline` of each stream.
    cached: places of the cache's slots.
    chunks: chunks of a row.
    plan: what is known of the rows' order.

  Raises:
    ValueError: a noisy chunk without any past.
  """
  if all(part is None for part in (cached, places.text, places.clean)):
    raise ValueError('a noisy chunk needs a past: a cache, text or clean video')
  frequency = rope.frequencies(config.head_width, config.rope)
  turn = Streams(
    *(part and rope.turn(part.index, frequency) for part in places)
  )
  lengths = Streams(*(part and part.index.shape[1] for part in places))
  glances = []
  for piece in plan_lib.pieces(plan, lengths, chunks):
    queries = _rows(getattr(places, piece.stream), piece.begin, piece.end)
    text, clean = (
      part and _rows(part, 0, count)
      for part, count in (
        (places.text, piece.text),
        (places.clean, piece.clean),
      )
    )
    seen = timeline.visible(
      queries,
      streams_lib.joined_places(cached, text, clean),
      window=config.window,
      sink=config.sink,
    )
    glances.append(Glance(piece, attention.bias(seen)))
  return Sight(turn, tuple(glances), chunks)


def _rows(places: timeline.Timeline, begin: int, end: int) -> timeline.Timeline:
  """Some tokens of a stream."""
  return timeline.Timeline(*(part[:, begin:end] for part in places))


class Block(nnx.Module):
  """One layer: a tower per modality and one global attention (paper)."""

  def __init__(self, config: tower.MotConfig, *, rngs: nnx.Rngs):
    self.text = tower.Tower(config, rngs=rngs)
    self.video = tower.Tower(config, rngs=rngs)

  def __call__(
    self,
    x: Streams,
    sight: Sight,
    cached: cache_lib.Memory | None = None,
  ) -> tuple[Streams, cache_lib.Memory | None]:
    """The streams after the layer, and the clean keys and values to keep.

    Args:
      x: `B L D` for each stream that is there.
      sight: who sees whom.
      cached: keys and values of the past.
    """
    brought = {}
    for modality, members in self._by_tower(x).items():
      tokens = streams_lib.joined(*(getattr(x, m) for m in members))
      turns = zip(*(getattr(sight.turn, m) for m in members), strict=True)
      turn = rope.Turn(*(streams_lib.joined(*each) for each in turns))
      projected = getattr(self, modality).project(tokens, turn)
      pieces = (jnp.split(a, _ends(x, members), axis=-2) for a in projected)
      for member, *each in zip(members, *pieces, strict=True):
        brought[member] = tower.Projected(*each)
    attended = _attended(brought, sight, cached)
    out = {}
    for modality, members in self._by_tower(x).items():
      tokens = streams_lib.joined(*(getattr(x, m) for m in members))
      heads = _together(*(attended[m] for m in members))
      tokens = getattr(self, modality).finish(tokens, heads)
      pieces = jnp.split(tokens, _ends(x, members), axis=1)
      out |= dict(zip(members, pieces, strict=True))
    clean = [brought[name] for name in ('text', 'clean') if name in brought]
    memory = clean and cache_lib.Memory(
      _together(*(each.key for each in clean)),
      _together(*(each.value for each in clean)),
    )
    return Streams(**out), memory or None

  def _by_tower(self, x: Streams) -> dict[str, list[str]]:
    """Names of the streams that are there, for each modality."""
    towers = {}
    for name in x.present:
      towers.setdefault(_MODALITY[name], []).append(name)
    return towers


def _ends(x: Streams, members: list[str]) -> list[int]:
  """Where to cut a tower's tokens back into its streams."""
  lengths = [getattr(x, member).shape[1] for member in members]
  return [sum(lengths[: i + 1]) for i in range(len(lengths) - 1)]


# Arrays of heads, `... L H`, one after another along the tokens.
_together = functools.partial(streams_lib.joined, axis=-2)


def _attended(
  brought: dict[str, tower.Projected],
  sight: Sight,
  cached: cache_lib.Memory | None,
) -> dict[str, Float[Array, 'B K G L H']]:
  """Attention of every stream: to the clean past; if noisy, to its chunk."""
  parts = {name: [] for name in brought}
  for piece, bias in sight.past:
    query = brought[piece.stream].query[..., piece.begin : piece.end, :]
    keys, values = [], []
    if cached is not None:
      keys.append(cached.key.astype(query.dtype))
      values.append(cached.value.astype(query.dtype))
    for name in ('text', 'clean'):
      if name in brought:
        count = getattr(piece, name)
        keys.append(brought[name].key[..., :count, :])
        values.append(brought[name].value[..., :count, :])
    parts[piece.stream].append(
      attention.attended(query, _together(*keys), _together(*values), bias)
    )
  attended = {}
  for name, pieces in parts.items():
    past = attention.Part(
      _together(*(piece.mean for piece in pieces)),
      jnp.concatenate([piece.weight for piece in pieces], axis=-1),
    )
    if name == 'noisy':
      past = [past, _own_chunk(brought[name], sight.chunks)]
    else:
      past = [past]
    attended[name] = attention.merged(past)
  return attended


def _own_chunk(noisy: tower.Projected, chunks: int) -> attention.Part:
  """Each chunk attends to itself, in both directions."""

  def split(x: jax.Array) -> jax.Array:
    """Chunks beside rows: `B K (G) N P H` becomes `B N K (G) P H`."""
    x = x.reshape(*x.shape[:-2], chunks, -1, x.shape[-1])
    return jnp.moveaxis(x, -3, 1)

  part = attention.attended(*(split(each) for each in noisy))
  mean = jnp.moveaxis(part.mean, 1, -3).reshape(noisy.query.shape)
  weight = jnp.moveaxis(part.weight, 1, -2)
  return attention.Part(mean, weight.reshape(*weight.shape[:-2], -1))
