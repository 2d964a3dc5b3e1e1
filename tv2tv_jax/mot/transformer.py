"""Mixture-of-Transformers: blocks in a row (Liang et al., 2411.04996)."""

from collections.abc import Callable, Sequence

from flax import nnx
import jax

from tv2tv_jax.interleave import deal
from tv2tv_jax.interleave import streams as streams_lib
from tv2tv_jax.mot import block
from tv2tv_jax.mot import cache as cache_lib
from tv2tv_jax.mot import tower
from tv2tv_jax.nn import norm
from tv2tv_jax.nn import remat
from tv2tv_jax.nn import stack

Streams = streams_lib.Streams


_Layer = Callable[
  [Streams, tuple[block.Block, block.Cached]],
  tuple[Streams, cache_lib.Memory | None],
]


class MixtureOfTransformers(nnx.Module):
  """A tower of weights per modality, one attention over all tokens."""

  def __init__(self, config: tower.MotConfig, *, rngs: nnx.Rngs):
    self.config = config
    self.blocks = stack.stacked(
      lambda r: block.Block(config, rngs=r), config.depth, rngs=rngs
    )
    self.text_norm = norm.RmsNorm(config.width)
    self.video_norm = norm.RmsNorm(config.width)

  def __call__(
    self,
    x: Streams,
    places: Streams,
    *,
    chunks: int = 0,
    cache: cache_lib.Cache | None = None,
    order: deal.Order = None,
  ) -> tuple[Streams, cache_lib.Layers | None]:
    """Runs all layers.

    Args:
      x: `B L D` for each stream that is there.
      places: the `Timeline` of each of them.
      chunks: chunks of a row.
      cache: the past of the rows.
      order: what is known of the order of the rows, to leave out what no query
        can see.

    Returns:
      The normalised streams, and the keys and values of the text and clean
      tokens in each layer, in time order, to append to a cache.
    """
    sight = block.sight(self.config, places, cache, chunks=chunks, order=order)

    def layer(
      x: Streams, scanned: tuple[block.Block, block.Cached]
    ) -> tuple[Streams, cache_lib.Memory | None]:
      blk, memory = scanned
      return blk(remat.named(x, 'layer'), sight, memory)

    layer = remat.rematerialised(layer, self.config.remat)
    cached = tuple(piece.memory for piece in cache.pieces) if cache else ()
    if isinstance(self.blocks, nnx.List):
      x, memory = _one_by_one(layer, x, self.blocks, cached)
    else:
      scanned = (self.blocks, cached)
      x, memory = jax.lax.scan(layer, x, scanned, unroll=self.config.unroll)
    norms = Streams(self.text_norm, self.video_norm, self.video_norm)
    x = Streams(
      *(
        part if part is None else f(part)
        for f, part in zip(norms, x, strict=False)
      )
    )
    return x, memory


def _one_by_one(
  layer: _Layer,
  x: Streams,
  blocks: Sequence[block.Block],
  cached: tuple[cache_lib.Layers, ...],
) -> tuple[Streams, cache_lib.Layers | None]:
  """`jax.lax.scan` of layers that are apart."""
  kept = []
  for at, blk in enumerate(blocks):
    x, new = layer(x, (blk, tuple(piece[at] for piece in cached)))
    kept.append(new)
  return x, None if kept[0] is None else tuple(kept)
