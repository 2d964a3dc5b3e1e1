"""Mixture-of-Transformers: blocks in a row (Liang et al., 2411.04996)."""

from flax import nnx
import jax

from tv2tv_jax.interleave import plan as plan_lib
from tv2tv_jax.interleave import streams as streams_lib
from tv2tv_jax.mot import block
from tv2tv_jax.mot import cache as cache_lib
from tv2tv_jax.mot import tower
from tv2tv_jax.nn import norm
from tv2tv_jax.nn import remat
from tv2tv_jax.nn import stack

Streams = streams_lib.Streams


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
    plan: plan_lib.Plan | None = None,
  ) -> tuple[Streams, cache_lib.Memory | None]:
    """Runs all layers.

    Args:
      x: `B L D` for each stream that is there.
      places: the `Timeline` of each of them.
      chunks: chunks of a row.
      cache: the past of the rows.
      plan: what is known of the rows' order, to leave out what none can see.

    Returns:
      The normalised streams, and the keys and values of the text and clean
      tokens, `depth B S K H`, to append to a cache.
    """
    cached = cache and cache.places
    sight = block.sight(self.config, places, cached, chunks=chunks, plan=plan)

    def layer(
      x: Streams, scanned: tuple[block.Block, cache_lib.Memory | None]
    ) -> tuple[Streams, cache_lib.Memory | None]:
      blk, memory = scanned
      return blk(remat.named(x, 'layer'), sight, memory)

    layer = remat.rematerialised(layer, self.config.remat)
    scanned = (self.blocks, cache and cache.memory)
    x, memory = jax.lax.scan(layer, x, scanned, unroll=self.config.unroll)
    norms = Streams(self.text_norm, self.video_norm, self.video_norm)
    x = Streams(
      *(
        part if part is None else f(part)
        for f, part in zip(norms, x, strict=False)
      )
    )
    return x, memory
