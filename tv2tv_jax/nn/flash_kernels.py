"""Three Pallas kernels: attention, and its gradients.

With scores `s = scale * k q` and their normaliser `w = logsumexp(s)`,

  p = exp(s - w),   o = sum_s p v                                     (1)

and for cotangents `do` of `o` and `dw` of `w`,

  dv = p do,   ds = p (v do - (o do - dw)),   dk, dq = scale * ds q, ds k  (2)

Scores stand as keys x queries, so that whatever there is one of per query
(largest score, normaliser, horizon) is a row of lanes, and a reduction over
keys adds whole registers. For the rest: FlashAttention-2, arXiv 2307.08691.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax.nn import attention
from tv2tv_jax.nn import flash_blocks as blocks
from tv2tv_jax.nn import flash_walk as walks


class _Attend(NamedTuple):
  """The forward kernel, for a block of queries of each head of a group."""

  query: Any
  key: Any
  value: Any
  mean: Any
  weight: Any
  sums: Any
  totals: Any
  largest: Any

  def begin(self) -> None:
    """Nothing is seen yet."""
    self.sums[...] = jnp.zeros_like(self.sums)
    self.totals[...] = jnp.zeros_like(self.totals)
    self.largest[...] = jnp.full_like(self.largest, attention.UNSEEN)

  def pair(self, mask: jax.Array | None) -> None:
    """Adds a block of keys."""
    for g in range(self.query.shape[0]):
      one = slice(g, g + 1)
      scores = _across(self.key[...], self.query[g])
      if mask is not None:
        scores = jnp.where(mask, scores, attention.UNSEEN)
      before = self.largest[one]
      largest = jnp.maximum(before, scores.max(axis=0, keepdims=True))
      # What a query sums up before it sees anything is wrong, and weighs
      # nothing from the first key on that it sees.
      kept = jnp.exp2(before - largest)
      exponents = jnp.exp2(scores - largest)
      total = exponents.sum(axis=0, keepdims=True)
      values = _down(self.value[...], exponents.astype(self.value.dtype))
      self.largest[one] = largest
      self.totals[one] = self.totals[one] * kept + total
      self.sums[g] = self.sums[g] * kept + values

  def end(self) -> None:
    """Divides by the normaliser."""
    for g in range(self.query.shape[0]):
      one = slice(g, g + 1)
      some = self.largest[one] > attention.UNSEEN / 2
      total = jnp.where(some, self.totals[one], 1.0)
      self.mean[g] = jnp.where(some, self.sums[g] / total, 0.0).T
      weight = self.largest[one] * math.log(2) + jnp.log(total)
      self.weight[one] = jnp.where(some, weight, attention.UNSEEN)


class _QueryGradient(NamedTuple):
  """The gradient of a block of queries."""

  query: Any
  key: Any
  value: Any
  mean_bar: Any
  weight: Any
  shift: Any
  query_bar: Any
  sums: Any

  def begin(self) -> None:
    """Sets sums to zero."""
    self.sums[...] = jnp.zeros_like(self.sums)

  def pair(self, mask: jax.Array | None) -> None:
    """Adds a block of keys."""
    for g in range(self.query.shape[0]):
      _, scores_bar = _scores_bar(self, g, mask)
      self.sums[g] += _down(self.key[...], scores_bar.astype(self.key.dtype))

  def end(self) -> None:
    """Scales the sums."""
    scale = blocks.scale(self.query.shape[-1])
    for g in range(self.query.shape[0]):
      gradient = (self.sums[g] * scale).T
      self.query_bar[g] = gradient.astype(self.query_bar.dtype)


class _KeyGradient(NamedTuple):
  """The gradients of a block of keys and of its values."""

  query: Any
  key: Any
  value: Any
  mean_bar: Any
  weight: Any
  shift: Any
  key_bar: Any
  value_bar: Any
  key_sums: Any
  value_sums: Any

  def begin(self) -> None:
    """Sets sums to zero."""
    self.key_sums[...] = jnp.zeros_like(self.key_sums)
    self.value_sums[...] = jnp.zeros_like(self.value_sums)

  def pair(self, mask: jax.Array | None) -> None:
    """Adds a block of queries of each head."""
    for g in range(self.query.shape[0]):
      shares, scores_bar = _scores_bar(self, g, mask)
      query, mean_bar = self.query[g], self.mean_bar[g]
      self.value_sums[...] += _along(shares.astype(mean_bar.dtype), mean_bar)
      self.key_sums[...] += _along(scores_bar.astype(query.dtype), query)

  def end(self) -> None:
    """Undoes the base of the scaled queries."""
    gradient = self.key_sums[...] * math.log(2)
    self.key_bar[...] = gradient.astype(self.key_bar.dtype)
    self.value_bar[...] = self.value_sums[...].astype(self.value_bar.dtype)


def _scores_bar(
  step: _QueryGradient | _KeyGradient, g: int, mask: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
  """`p` and `ds` of (2) for head `g`, keys x queries."""
  one = slice(g, g + 1)
  scores = _across(step.key[...], step.query[g])
  shares = jnp.exp2(scores - step.weight[one])
  if mask is not None:
    shares = jnp.where(mask, shares, 0.0)
  shares_bar = _across(step.value[...], step.mean_bar[g])
  return shares, shares * (shares_bar - step.shift[one])


def _product(dimensions, a: jax.Array, b: jax.Array) -> jax.Array:
  """A matrix product, fp32."""
  return jax.lax.dot_general(
    a, b, (dimensions, ((), ())), preferred_element_type=jnp.float32
  )


def _across(a: jax.Array, b: jax.Array) -> jax.Array:
  """Every row of `a` by every row of `b`."""
  return _product(((1,), (1,)), a, b)


def _down(a: jax.Array, b: jax.Array) -> jax.Array:
  """Every column of `a` by every column of `b`."""
  return _product(((0,), (0,)), a, b)


def _along(a: jax.Array, b: jax.Array) -> jax.Array:
  """Every row of `a` by every column of `b`."""
  return _product(((1,), (0,)), a, b)


class Brought(NamedTuple):
  """What the gradients need of each query, cut as queries are.

  Attributes:
    mean_bar: `do` of (2), in the dtype of the values.
    weight: `w`, to base 2.
    shift: `o do - dw`.
  """

  mean_bar: Float[Array, 'B K G Q H']
  weight: Float[Array, 'B K G Q']
  shift: Float[Array, 'B K G Q']


def forward(
  cut: blocks.Cut, how: blocks.How, *, interpret: bool
) -> tuple[Float[Array, 'B K G Q H'], Float[Array, 'B K G Q']]:
  """Mean of the values, and log of the sum of exponents, by (1); fp32.

  Args:
    cut: the rows.
    how: windows.
    interpret: whether to run it step by step, on any device.
  """
  walk = walks.walk(cut, by_query=True)
  batch, heads, groups, _, width = cut.query.shape
  shape = (batch, heads, groups, cut.lengths[0], width)
  mean = jax.ShapeDtypeStruct(shape, jnp.float32)
  weight = jax.ShapeDtypeStruct(shape[:-1], jnp.float32)
  rows = (groups, walk.sizes[0])
  made = walks.Made((mean, weight), ((groups, width, rows[1]), rows, rows), 2)
  return walks.run(_Attend, walk, cut, (), made, how, interpret)


def query_gradient(
  cut: blocks.Cut, brought: Brought, how: blocks.How, *, interpret: bool
) -> Float[Array, 'B K G Q H']:
  """The gradient of the queries before they were scaled, by (2).

  Args:
    cut: the rows.
    brought: what comes back.
    how: windows.
    interpret: whether to run it step by step, on any device.
  """
  walk = walks.walk(cut, by_query=True)
  batch, heads, groups, _, width = cut.query.shape
  shape = (batch, heads, groups, cut.lengths[0], width)
  gradient = jax.ShapeDtypeStruct(shape, cut.query.dtype)
  made = walks.Made((gradient,), ((groups, width, walk.sizes[0]),), 3)
  return walks.run(_QueryGradient, walk, cut, brought, made, how, interpret)[0]


def key_gradient(
  cut: blocks.Cut, brought: Brought, how: blocks.How, *, interpret: bool
) -> tuple[Float[Array, 'B K S H'], Float[Array, 'B K S H']]:
  """The gradients of keys and values; arguments as `query_gradient`."""
  walk = walks.walk(cut, by_query=False)
  batch, heads, _, width = cut.key.shape
  shape = (batch, heads, cut.lengths[1], width)
  written = tuple(
    jax.ShapeDtypeStruct(shape, x.dtype) for x in (cut.key, cut.value)
  )
  made = walks.Made(written, ((walk.sizes[1], width),) * 2, 4)
  return tuple(
    walks.run(_KeyGradient, walk, cut, brought, made, how, interpret)
  )
