"""A kernel's walk over pairs of blocks, skipping those without anything to see.

For each block of an outer loop, an inner one over blocks of the other kind. A
block comes to VMEM when the loop reaches it, while the pair before it is
computed.
"""

import math
from typing import Any, NamedTuple

import jax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
import jax.numpy as jnp
from jaxtyping import Array, Int

from tv2tv_jax.nn import flash_blocks as blocks


class Walk(NamedTuple):
  """A walk over pairs of blocks: an inner loop for each block of an outer one.

  Attributes:
    kinds: what each pair needs, in the order of the walk.
    fetched: the block that the inner loop holds; for a pair that is skipped,
      the one it held before, so that nothing is brought in vain.
    grid: rows, key heads, outer and inner blocks.
    sizes: tokens of a block of queries and of one of keys.
    by_query: whether the outer loop is over blocks of queries.
  """

  kinds: Int[Array, 'P']
  fetched: Int[Array, 'P']
  grid: tuple[int, int, int, int]
  sizes: tuple[int, int]
  by_query: bool

  def queries(self, x: Any) -> pl.BlockSpec:
    """How `x`, `B 2 Q`, `B K G Q` or `B K G Q H`, is brought."""
    axis = 2 if x.ndim == 3 else 3
    return self._spec(x, axis, self.sizes[0], outer=self.by_query)

  def keys(self, x: Any) -> pl.BlockSpec:
    """How `x`, `B 2 S` or `B K S H`, is brought."""
    return self._spec(x, 2, self.sizes[1], outer=not self.by_query)

  def pair(self, row: Any, outer: Any, inner: Any) -> Any:
    """Where a pair stands in `kinds` and `fetched`."""
    return (row * self.grid[2] + outer) * self.grid[3] + inner

  def _spec(self, x: Any, axis: int, size: int, *, outer: bool) -> pl.BlockSpec:
    """`x` row by row, head by head, and in blocks along `axis`."""
    alone = 1 if x.ndim == 3 else 2

    def place(row, head, one, two, kinds, fetched):
      del kinds
      at = one if outer else fetched[self.pair(row, one, two)]
      inside = [at if i == axis else 0 for i in range(alone, x.ndim)]
      return (*(row, head)[:alone], *inside)

    shape = [size if i == axis else n for i, n in enumerate(x.shape)]
    return pl.BlockSpec((*(None,) * alone, *shape[alone:]), place)


def walk(cut: blocks.Cut, *, by_query: bool) -> Walk:
  """The walk over all pairs of blocks."""
  kinds = cut.kinds if by_query else cut.kinds.swapaxes(1, 2)
  steps = jnp.arange(kinds.shape[2], dtype=jnp.int32)
  last = jax.lax.cummax(jnp.where(kinds > blocks.HIDDEN, steps, -1), axis=2)
  first = jnp.argmax(kinds > blocks.HIDDEN, axis=2, keepdims=True)
  fetched = jnp.where(last < 0, first, last).astype(jnp.int32)
  count = cut.kinds.shape
  return Walk(
    kinds.reshape(-1),
    fetched.reshape(-1),
    (kinds.shape[0], cut.key.shape[1], *kinds.shape[1:]),
    (cut.query.shape[3] // count[1], cut.key.shape[2] // count[2]),
    by_query,
  )


class Made(NamedTuple):
  """What a kernel writes and keeps, and what it costs.

  Attributes:
    written: shapes of the results.
    kept: shapes of what stays in VMEM along the inner loop, fp32.
    products: matrix products of a pair of blocks.
  """

  written: tuple[jax.ShapeDtypeStruct, ...]
  kept: tuple[tuple[int, ...], ...]
  products: int


def run(
  kind: type,
  walk: Walk,
  cut: blocks.Cut,
  brought: tuple[jax.Array, ...],
  made: Made,
  how: blocks.How,
  interpret: bool,
) -> tuple[jax.Array, ...]:
  """What a kernel makes on its walk.

  Args:
    kind: of kernel. It is made of references to the blocks of queries, keys,
      values and `brought`, of what it writes, and of what it keeps; and has
      methods `begin`, `pair` of a mask or None, and `end`.
    walk: over which pairs.
    cut: the rows.
    brought: what it needs besides, cut as queries are.
    made: what it makes.
    how: windows.
    interpret: whether to run it step by step, on any device.
  """

  def kernel(kinds, fetched, looking, looked, *references):
    del fetched
    step = kind(*references)
    row, _, outer, inner = (pl.program_id(axis) for axis in range(4))
    needs = kinds[walk.pair(row, outer, inner)]
    pl.when(inner == 0)(step.begin)
    pl.when(needs == blocks.WHOLLY)(lambda: step.pair(None))
    pl.when(needs == blocks.PARTLY)(
      lambda: step.pair(blocks.visible(looking[...], looked[...], how))
    )
    pl.when(inner == walk.grid[3] - 1)(step.end)

  taken = (cut.looking, cut.looked, cut.query, cut.key, cut.value, *brought)
  queries, keys = walk.queries, walk.keys
  sides = (queries, keys, queries, keys, keys, *(queries,) * len(brought))
  written = queries if walk.by_query else keys
  scores = math.prod(cut.query.shape[:-1]) * cut.key.shape[2]
  return pl.pallas_call(
    kernel,
    out_shape=made.written,
    grid_spec=pltpu.PrefetchScalarGridSpec(
      num_scalar_prefetch=2,
      grid=walk.grid,
      in_specs=[side(x) for side, x in zip(sides, taken, strict=True)],
      out_specs=[written(x) for x in made.written],
      scratch_shapes=[pltpu.VMEM(x, jnp.float32) for x in made.kept],
    ),
    compiler_params=pltpu.CompilerParams(
      dimension_semantics=('parallel',) * 3 + ('arbitrary',)
    ),
    # As if every pair were seen: which are skipped is in the numbers.
    cost_estimate=pl.CostEstimate(
      flops=2 * made.products * scores * cut.query.shape[-1],
      transcendentals=scores,
      bytes_accessed=sum(
        x.size * x.dtype.itemsize for x in (*taken, *made.written)
      ),
    ),
    interpret=interpret,
    name=kind.__name__.strip('_'),
  )(walk.kinds, walk.fetched, *taken)
