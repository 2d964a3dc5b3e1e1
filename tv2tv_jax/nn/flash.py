"""Attention whose scores and mask are never in memory.

The meaning is `attention.attended`'s, under a mask given as integers: two per
query, two per key. On a TPU it is computed block by block, and blocks in which
nobody sees anybody are neither fetched nor computed; what is kept for the
gradient is as long as a row, not as long as its square.

A query that sees nothing (padding) has a weight of about -1e30: merged with a
part that sees something, it adds nothing to values or gradients.
"""

from collections.abc import Callable
import functools
import math
from typing import Any

import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax import per_device
from tv2tv_jax import sharding
from tv2tv_jax.nn import attention
from tv2tv_jax.nn import flash_blocks as blocks
from tv2tv_jax.nn import flash_kernels as kernels

Seen = blocks.Seen

# By this name a rematerialisation policy keeps what the gradient needs: then
# the forward kernel is not run again.
SAVED = 'attended'


def engine(
  query: Float[Array, 'B *N K G Q H'],
  key: Float[Array, 'B *N K S H'],
  value: Float[Array, 'B *N K S H'],
  seen: Seen | None = None,
  *,
  window: int = 0,
  sink: int = 0,
) -> attention.Part:
  """Scaled dot-product attention, by what suits the device it is compiled for.

  The kernels on a TPU, `attention.attended` elsewhere. Under a mesh rows, key
  heads and queries are cut over it, and every device has the keys of its rows
  and heads whole. Where there is an axis `N` of chunks, all of which see
  themselves alone, chunks are cut instead of queries and keys.

  Args:
    query: queries, `G` per key head; scores are scaled by `H**-0.5`.
    key: keys.
    value: values.
    seen: who sees whom; None: every query every key of its chunk or row.
    window: places before its horizon that a query sees; 0: all of them.
    sink: first places of a story that stay in sight behind the window.

  Raises:
    ValueError: chunks together with `seen`.
  """
  how = blocks.How(window=window, sink=sink)
  return _in_place(how, query, key, value, seen)


def attended(
  query: Float[Array, 'B *N K G Q H'],
  key: Float[Array, 'B *N K S H'],
  value: Float[Array, 'B *N K S H'],
  seen: Seen | None = None,
  *,
  window: int = 0,
  sink: int = 0,
  sizes: tuple[int, int] = blocks.How.sizes,
) -> attention.Part:
  """As `engine`, by the kernels everywhere: slowly where there is no TPU.

  Args:
    query: as of `engine`, like all but the last.
    key: keys.
    value: values.
    seen: who sees whom.
    window: places before its horizon that a query sees.
    sink: first places of a story.
    sizes: tokens of a block of queries and of one of keys, at most.
  """
  how = blocks.How(
    window=window, sink=sink, sizes=sizes, elsewhere='interpreted'
  )
  return _in_place(how, query, key, value, seen)


def _in_place(how, query, key, value, seen) -> attention.Part:
  """The part, of arrays wherever they are."""
  if query.ndim > 5 and seen is not None:
    raise ValueError(
      f'queries of {query.shape} in chunks together with `seen`: chunks see '
      'themselves alone, give one of both'
    )
  layout = _layout(query, seen)
  arrays = per_device.laid_out(layout, (query, key, value, seen))
  return _attended(how, *arrays)


def _layout(query: jax.Array, seen: Seen | None) -> tuple[Any, ...]:
  """Logical axes of queries, keys, values, and who sees whom."""
  rows, whole = ('batch', 'length'), ('batch', None)
  if query.ndim == 5:
    queries = ('batch', 'heads', None, 'length', 'head_dim')
    keys = ('batch', 'heads', None, 'head_dim')
  else:
    queries = ('batch', 'length', 'heads', None, None, 'head_dim')
    keys = ('batch', 'length', 'heads', None, 'head_dim')
  return queries, keys, keys, seen and Seen(rows, rows, whole, whole)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attended(how, query, key, value, seen) -> attention.Part:
  """The part, of arrays in their places."""
  return _forward(how, query, key, value, seen)[0]


def _forward(how, query, key, value, seen):
  """The part, and what its gradient needs."""
  layout = _layout(query, seen)
  here = _by_platform(how, _kernel_forward, _dense_forward)
  mean, weight = per_device.computed(here, layout, (layout[0], layout[0][:-1]))(
    query, key, value, seen
  )
  part = attention.Part(
    checkpoint_name(mean, SAVED), checkpoint_name(weight, SAVED)
  )
  return part, (query, key, value, seen, part)


def _backward(how, kept, bars):
  """Gradients of queries, keys and values; integers have none."""
  query, key, value, seen, part = kept
  layout = _layout(query, seen)
  here = _by_platform(how, _kernel_backward, _dense_backward)
  shared = sharding.spec('length') if query.ndim == 5 else None

  def summed(*arrays):
    query_bar, *rest = here(*arrays)
    if shared is not None and shared[0] is not None:
      rest = jax.lax.psum(rest, shared[0])  # Each device has some queries.
    return query_bar, *rest

  rows = (layout[0], layout[0][:-1])
  bars = per_device.laid_out(rows, tuple(bars))
  taken = (query, key, value, seen, (tuple(part), bars))
  run = per_device.computed(summed, (*layout, (rows, rows)), layout[:3])
  return *run(*taken), None


_attended.defvjp(_forward, _backward)


def _by_platform(how: blocks.How, kernel: Callable, dense: Callable):
  """`kernel` on a TPU, elsewhere what `how` says; known when lowered."""
  if how.elsewhere == 'interpreted':
    dense = functools.partial(kernel, interpret=True)

  def chosen(*arrays):
    return jax.lax.platform_dependent(
      *arrays,
      tpu=functools.partial(kernel, how, interpret=False),
      default=functools.partial(dense, how),
    )

  return chosen


def _kernel_forward(how, query, key, value, seen, *, interpret):
  """Mean and weight by the kernel."""
  cut = blocks.cut(query, key, value, seen, how)
  mean, weight = kernels.forward(cut, how, interpret=interpret)
  return mean.reshape(query.shape), weight.reshape(query.shape[:-1])


def _kernel_backward(how, query, key, value, seen, ends, *, interpret):
  """Gradients of queries, keys and values by the kernels."""
  cut = blocks.cut(query, key, value, seen, how)
  (mean, weight), (mean_bar, weight_bar) = ends
  shift = jnp.sum(mean * mean_bar, axis=-1) - weight_bar
  weight = weight * math.log2(math.e)
  brought = kernels.Brought(
    blocks.like_queries(mean_bar.astype(value.dtype), cut),
    blocks.like_queries(weight[..., None], cut)[..., 0],
    blocks.like_queries(shift[..., None], cut)[..., 0],
  )
  query_bar = kernels.query_gradient(cut, brought, how, interpret=interpret)
  rest = kernels.key_gradient(cut, brought, how, interpret=interpret)
  return query_bar.reshape(query.shape), *(x.reshape(key.shape) for x in rest)


def _dense_forward(how, query, key, value, seen):
  """Mean and weight with all scores in memory."""
  bias = None
  if seen is not None:
    visible = jax.vmap(functools.partial(blocks.visible, how=how))
    mask = visible(*blocks.integers(seen))
    bias = attention.bias(mask.swapaxes(1, 2))
  return tuple(attention.attended(query, key, value, bias))


def _dense_backward(how, query, key, value, seen, ends):
  """Gradients of queries, keys and values with all scores in memory."""
  _, gradient = jax.vjp(
    lambda *arrays: _dense_forward(how, *arrays, seen), query, key, value
  )
  return gradient(ends[1])
