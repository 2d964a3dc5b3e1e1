"""Every tower projects its own tokens; all tokens attend to one another."""

from typing import NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from tv2tv_jax.interleave import streams as streams_lib
from tv2tv_jax.interleave import timeline
from tv2tv_jax.mot import cache as cache_lib
from tv2tv_jax.mot import tower
from tv2tv_jax.nn import attention

Streams = streams_lib.Streams
_MODALITY = {'text': 'text', 'clean': 'video', 'noisy': 'video'}


class Sight(NamedTuple):
  """Who sees whom, the same in every layer.

  Attributes:
    index: places of the tokens of each stream.
    past: which keys of cache, text and clean video each query sees. A noisy
      token also sees its own chunk, which needs no mask.
    chunks: noisy chunks of a row.
  """

  index: Streams
  past: Bool[Array, 'B Q S']
  chunks: int


def sight(
  places: Streams, cached: timeline.Timeline | None, chunks: int
) -> Sight:
  """Who sees whom.

  Args:
    places: the `Timeline` of each stream.
    cached: places of the cache's slots.
    chunks: noisy chunks of a row.
  """
  there = [getattr(places, name) for name in places.present]
  keys = [cached, places.text, places.clean]
  if all(key is None for key in keys):
    raise ValueError('a noisy chunk needs a past: a cache, text or clean video')
  past = timeline.visible(
    streams_lib.joined_places(*there), streams_lib.joined_places(*keys)
  )
  index = Streams(*(part and part.index for part in places))
  return Sight(index, past, chunks)


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
    q, k, v = {}, {}, {}
    for modality, members in self._by_tower(x).items():
      tokens = streams_lib.joined(*(getattr(x, m) for m in members))
      index = streams_lib.joined(*(getattr(sight.index, m) for m in members))
      projected = getattr(self, modality).project(tokens, index)
      ends = _ends(x, members)
      for out, array in zip((q, k, v), projected, strict=True):
        pieces = jnp.split(array, ends, axis=1)
        out |= dict(zip(members, pieces, strict=True))
    attended = _attended(q, k, v, sight, cached)
    out = {}
    for modality, members in self._by_tower(x).items():
      tokens = streams_lib.joined(*(getattr(x, m) for m in members))
      heads = streams_lib.joined(*(attended[m] for m in members))
      tokens = getattr(self, modality).finish(tokens, heads)
      pieces = jnp.split(tokens, _ends(x, members), axis=1)
      out |= dict(zip(members, pieces, strict=True))
    clean = [name for name in ('text', 'clean') if name in k]
    memory = clean and cache_lib.Memory(
      streams_lib.joined(*(k[name] for name in clean)),
      streams_lib.joined(*(v[name] for name in clean)),
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


def _attended(
  q: dict[str, jax.Array],
  k: dict[str, jax.Array],
  v: dict[str, jax.Array],
  sight: Sight,
  cached: cache_lib.Memory | None,
) -> dict[str, Float[Array, 'B L K G H']]:
  """Attention of every stream: to the clean past; if noisy, to its chunk."""
  names = [name for name in Streams._fields if name in q]
  dtype = q[names[0]].dtype
  keys = streams_lib.joined(
    cached and cached.key.astype(dtype), k.get('text'), k.get('clean')
  )
  values = streams_lib.joined(
    cached and cached.value.astype(dtype), v.get('text'), v.get('clean')
  )
  queries = streams_lib.joined(*(q[name] for name in names))
  past = attention.attended(queries, keys, values, sight.past)
  if 'noisy' not in q:
    mean = past.mean
  else:
    begin = queries.shape[1] - q['noisy'].shape[1]
    recent = attention.Part(past.mean[:, begin:], past.weight[..., begin:])
    own = _own_chunk(q['noisy'], k['noisy'], v['noisy'], sight.chunks)
    noisy = attention.merged([recent, own])
    mean = jnp.concatenate([past.mean[:, :begin], noisy], axis=1)
  lengths = [q[name].shape[1] for name in names]
  ends = [sum(lengths[: i + 1]) for i in range(len(lengths) - 1)]
  return dict(zip(names, jnp.split(mean, ends, axis=1), strict=True))


def _own_chunk(
  q: Float[Array, 'B M K G H'],
  k: Float[Array, 'B M K H'],
  v: Float[Array, 'B M K H'],
  chunks: int,
) -> attention.Part:
  """Each chunk attends to itself, in both directions."""

  def split(x: jax.Array) -> jax.Array:
    return x.reshape(x.shape[0], chunks, -1, *x.shape[2:])

  part = attention.attended(split(q), split(k), split(v))
  mean = part.mean.reshape(q.shape)
  weight = jnp.moveaxis(part.weight, 1, -2)  # B K G N P
  return attention.Part(mean, weight.reshape(*weight.shape[:-2], -1))
