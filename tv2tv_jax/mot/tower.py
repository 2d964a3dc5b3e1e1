"""The weights one modality owns in one layer: a Llama layer without softmax."""

import dataclasses
from typing import Literal, NamedTuple

from flax import nnx
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax.nn import dense
from tv2tv_jax.nn import feed_forward
from tv2tv_jax.nn import norm
from tv2tv_jax.nn import remat as remat_lib
from tv2tv_jax.nn import rope as rope_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class MotConfig:
  """The shape that both towers share (paper, architecture).

  Attributes:
    width: of the residual stream.
    depth: layers.
    heads: query heads.
    key_heads: key and value heads; a divisor of `heads`.
    head_width: channels of a head; even.
    hidden: of the feed-forward layer.
    rope: how fast queries and keys turn with their place.
    query_key_norm: whether queries and keys have unit mean square. Llama's
      do not; small models learn faster with it (choice, see DECISIONS.md).
    window: places of the timeline that a token looks back on; 0: all.
    sink: first places of a story that stay in sight behind the window.
    attention: its engine: `dense` has a piece's scores in memory; `flash`, for
      long rows, has none on a TPU, and computes them twice elsewhere.
    remat: what the backward pass computes again, see `nn.remat`.
    unroll: layers of one iteration of the compiled loop; with all of them
      there is no loop, and what samples keeps the layers apart.
  """

  width: int
  depth: int
  heads: int
  key_heads: int
  head_width: int
  hidden: int
  rope: rope_lib.RopeConfig = rope_lib.RopeConfig()
  query_key_norm: bool = False
  window: int = 0
  sink: int = 0
  attention: Literal['dense', 'flash'] = 'dense'
  remat: remat_lib.Remat = 'layer'
  unroll: int = 1

  @property
  def apart(self) -> bool:
    """Whether a program writes every layer out."""
    return self.unroll >= self.depth


class Projected(NamedTuple):
  """What a tower's tokens bring to attention, heads before tokens."""

  query: Float[Array, 'B K G L H']
  key: Float[Array, 'B K L H']
  value: Float[Array, 'B K L H']


class Tower(nnx.Module):
  """Norms, projections and feed-forward of one modality in one layer."""

  def __init__(self, config: MotConfig, *, rngs: nnx.Rngs):
    d, k, h = config.width, config.key_heads, config.head_width
    groups = config.heads // config.key_heads
    last = (2 * config.depth) ** -0.5  # Keeps the residual stream's size.
    self.config = config
    self.attention_norm = norm.RmsNorm(d)
    self.query = dense.Dense(
      'BLD,DKGH->BLKGH',
      (d, k, groups, h),
      ('embed_in', 'heads', None, 'head_dim'),
      rngs=rngs,
    )
    narrow, axes = (d, k, h), ('embed_in', 'heads', 'head_dim')
    self.key = dense.Dense('BLD,DKH->BLKH', narrow, axes, rngs=rngs)
    self.value = dense.Dense('BLD,DKH->BLKH', narrow, axes, rngs=rngs)
    self.output = dense.Dense(
      'BLKGH,KGHD->BLD',
      (k, groups, h, d),
      ('heads', None, 'head_dim', 'embed_in'),
      rngs=rngs,
      scale=last,
    )
    self.feed_forward_norm = norm.RmsNorm(d)
    self.feed_forward = feed_forward.FeedForward(
      d, config.hidden, rngs=rngs, last=last
    )

  def project(self, x: Float[Array, 'B L D'], turn: rope_lib.Turn) -> Projected:
    """Queries, keys and values; the first two turned to their places."""
    x = self.attention_norm(x)
    narrow = ('batch', 'length', 'heads', 'head_dim')
    query = self.query(x, *narrow[:3], None, narrow[3])
    key, value = self.key(x, *narrow), self.value(x, *narrow)
    if self.config.query_key_norm:
      query = norm.unit_rms(query).astype(x.dtype)
      key = norm.unit_rms(key).astype(x.dtype)
    projected = Projected(
      jnp.moveaxis(rope_lib.rotated(query, turn), 1, 3),
      jnp.moveaxis(rope_lib.rotated(key, turn), 1, 2),
      jnp.moveaxis(value, 1, 2),
    )
    return Projected(*(remat_lib.named(x, 'projected') for x in projected))

  def finish(
    self, x: Float[Array, 'B L D'], attended: Float[Array, 'B K G L H']
  ) -> Float[Array, 'B L D']:
    """The residual stream after attention and feed-forward."""
    attended = jnp.moveaxis(attended, 3, 1).astype(x.dtype)
    x = x + self.output(attended, 'batch', 'length', 'embed')
    x = remat_lib.named(x, 'middle')
    return x + self.feed_forward(self.feed_forward_norm(x))
