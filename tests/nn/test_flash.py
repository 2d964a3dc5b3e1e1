"""The kernels agree with softmax over all scores, wherever they run."""

import functools
import re

import hypothesis
import jax
from jax import test_util
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from tests.nn import rows
from tv2tv_jax import sharding
from tv2tv_jax.nn import attention
from tv2tv_jax.nn import flash


@functools.partial(jax.jit, static_argnames=('rules', 'attended'))
def _results(inputs, bars, seen=None, rules=(), attended=None):
  """Mean, weight, and the gradients of queries, keys and values."""
  attended = attended or functools.partial(flash.attended, sizes=rows.SIZES)
  part, gradient = jax.vjp(
    lambda *arrays: attended(*arrays, seen, **dict(rules)), *inputs
  )
  return *part, *gradient(attention.Part(*bars))


def _defined(inputs, bars, mask):
  """The same by softmax over all scores, fp64."""

  def attended(query, key, value):
    scores = jnp.einsum('bkgqh,bksh->bkgqs', query, key) * rows.WIDTH**-0.5
    scores = jnp.where(mask[:, None, None], scores, -1e30)
    weight = jax.nn.logsumexp(scores, axis=-1)
    shares = jnp.exp(scores - weight[..., None])
    return jnp.einsum('bkgqs,bksh->bkgqh', shares, value), weight

  with jax.enable_x64(True):
    exact = [jnp.asarray(np.asarray(x), 'float64') for x in (*inputs, *bars)]
    part, gradient = jax.vjp(attended, *exact[:3])
    return [np.asarray(x) for x in (*part, *gradient(tuple(exact[3:])))]


@pytest.mark.parametrize('rules', [(), rows.WINDOW], ids=['all', 'window'])
@hypothesis.settings(max_examples=15)
@hypothesis.given(layout=rows.LAYOUTS)
def test_values_and_gradients_are_those_of_softmax(rules, layout):
  inputs, bars = rows.arrays(layout['seed'])
  seen = rows.seen(**layout)
  mask = rows.mask(seen, **dict(rules))
  some = mask.any(axis=-1)[:, None, None]
  bars = (bars[0] * some[..., None], bars[1] * some)
  mean, weight, *gradients = _results(inputs, bars, seen, rules)
  expected = _defined(inputs, bars, mask)
  rows.assert_agree(
    (mean * some[..., None], weight * some, *gradients),
    (expected[0] * some[..., None], expected[1] * some, *expected[2:]),
  )


def test_gradients_are_slopes():
  inputs, _ = rows.arrays(4, queries=5, keys=7)
  rng = np.random.default_rng(4)
  place = jnp.asarray(rng.integers(0, 9, (rows.ROWS, 7)), jnp.int32)
  seen = flash.Seen(
    place[:, :5] + 1, place[:, :5] * 0, place, jnp.zeros_like(place)
  )
  attended = jax.jit(functools.partial(flash.attended, seen=seen))
  test_util.check_grads(attended, inputs, order=1, modes='rev', eps=1e-2)


def test_without_a_mask_it_is_attention_of_torch():
  inputs, bars = rows.arrays(5)
  query, key, value = (
    torch.tensor(np.asarray(x)).requires_grad_() for x in inputs
  )
  mean = torch.nn.functional.scaled_dot_product_attention(
    query.flatten(1, 2), key, value, enable_gqa=True
  ).reshape(query.shape)
  mean.backward(torch.tensor(np.asarray(bars[0])))
  found = _results(inputs, (bars[0], jnp.zeros_like(bars[1])))
  expected = [x.grad.numpy() for x in (query, key, value)]
  rows.assert_agree((found[0], *found[2:]), (mean.detach().numpy(), *expected))


def test_bf16_rounds_no_worse_than_where_all_scores_are_in_memory():
  inputs, bars = rows.arrays(6, dtype='bfloat16')
  seen = rows.seeing(6)
  mask = rows.mask(seen)
  found = _results(inputs, bars, seen)
  assert [x.dtype.name for x in found] == ['float32'] * 2 + ['bfloat16'] * 3
  dense = _results(inputs, bars, seen, attended=flash.engine)
  for ours, theirs, exact in zip(
    found, dense, _defined(inputs, bars, mask), strict=True
  ):
    errors = [
      np.sqrt(np.mean(np.square(np.asarray(x, 'float64') - exact)))
      for x in (ours, theirs)
    ]
    assert errors[0] < 1.5 * errors[1]
    assert errors[0] < 2**-7 * np.sqrt(np.mean(np.square(exact)))


def test_a_query_that_sees_nothing_is_finite_and_changes_nothing():
  inputs, bars = rows.arrays(7)
  seen = rows.seeing(7)
  blind = seen._replace(horizon=jnp.zeros_like(seen.horizon))
  mean, weight, *gradients = _results(inputs, bars, blind)
  assert not np.any(mean) and (np.asarray(weight) < -1e29).all()
  assert not any(np.any(x) for x in gradients)
  # Beside others that see something.
  half = seen._replace(horizon=seen.horizon.at[:, ::2].set(0))
  mean, weight, *gradients = _results(inputs, bars, half)
  others = tuple(bar.at[:, :, :, ::2].set(0) for bar in bars)
  expected = _results(inputs, others, seen)
  assert not np.any(mean[..., ::2, :]) and (weight[..., ::2] < -1e29).all()
  rows.assert_agree([mean[..., 1::2, :]], [expected[0][..., 1::2, :]])
  rows.assert_agree(gradients, expected[2:])


def test_parts_merge_into_the_whole_and_so_do_their_gradients():
  inputs, (bar, _) = rows.arrays(8)

  def whole(query, key, value):
    return attention.attended(query, key, value).mean

  def parted(query, key, value):
    ends = (slice(0, 140), slice(140, None))
    return attention.merged(
      [flash.attended(query, key[:, :, e], value[:, :, e]) for e in ends]
    )

  results = []
  for function in (whole, parted):
    mean, gradient = jax.vjp(jax.jit(function), *inputs)
    results.append((mean, *gradient(bar)))
  rows.assert_agree(*results)


def _apart(x, axis, chunks=4):
  """`x` with chunks beside rows: an axis after the first."""
  x = x.reshape(*x.shape[:axis], chunks, -1, *x.shape[axis + 1 :])
  return jnp.moveaxis(x, axis, 1)


def test_chunks_see_themselves_alone():
  inputs, bars = rows.arrays(9, keys=rows.QUERIES)
  chunk = jnp.zeros((rows.ROWS, rows.QUERIES), jnp.int32)
  chunk += jnp.arange(rows.QUERIES) // (rows.QUERIES // 4)
  nothing = jnp.zeros_like(chunk)
  seen = flash.Seen(nothing + 1, chunk, nothing, chunk)
  axes = (3, 3, 3, 2, 2)  # Tokens of the results.
  found = _results(
    tuple(_apart(x, x.ndim - 2) for x in inputs),
    tuple(_apart(x, 3) for x in bars),
  )
  whole = _results(inputs, bars, seen)
  rows.assert_agree(
    found, [_apart(*each) for each in zip(whole, axes, strict=True)]
  )


def test_chunks_with_a_mask_are_named():
  inputs, _ = rows.arrays(9)
  with pytest.raises(ValueError, match='chunks see themselves alone'):
    flash.engine(*(_apart(x, x.ndim - 2, 2) for x in inputs), rows.seen(9))


@functools.partial(jax.jit, static_argnames=('attended', 'policy'))
def _slopes(inputs, seen, attended, policy=None):
  """A loss after three layers, each of which is run again; its gradients."""

  def loss(query, key, value):
    def layer(x, _):
      part = attended(x, key, value, seen)
      more = part.mean + jnp.tanh(part.weight)[..., None]
      return x + more.astype(x.dtype), None

    layer = jax.checkpoint(layer, policy=policy, prevent_cse=False)
    return jnp.mean(jnp.square(jax.lax.scan(layer, query, length=3)[0]))

  return jax.value_and_grad(loss, argnums=(0, 1, 2))(*inputs)


@pytest.mark.parametrize('shape', [(2, 1, 2, 2), (1, 1, 1, 8)])
@pytest.mark.parametrize('attended', [flash.attended, flash.engine])
@pytest.mark.parametrize('chunks', [0, 8])
def test_on_a_mesh_it_is_what_it_is_alone(shape, attended, chunks):
  inputs, seen = rows.arrays(10)[0], rows.seeing(10)
  if chunks:
    inputs, seen = rows.arrays(10, keys=rows.QUERIES)[0], None
    inputs = tuple(_apart(x, x.ndim - 2, chunks) for x in inputs)
  expected = _slopes(inputs, seen, attended)
  with jax.set_mesh(sharding.make_mesh(shape)):
    axes = ('batch', 'length', 'heads')
    keys = axes if chunks else ('batch', 'heads', 'length')
    query = axes if chunks else ('batch', 'heads', None, 'length')
    placed = tuple(
      sharding.place(x, *names)
      for x, names in zip(inputs, (query, keys, keys), strict=True)
    )
    found = _slopes(placed, seen, attended)
  rows.assert_agree(jax.tree.leaves(found), jax.tree.leaves(expected))


def test_where_there_is_no_tpu_the_engine_is_attention():
  inputs, bars = rows.arrays(11)
  seen = rows.seen(11)
  bias = attention.bias(jnp.asarray(rows.mask(seen)))

  def dense(query, key, value, seen):
    return attention.attended(query, key, value, bias)

  found = _results(inputs, bars, seen, attended=flash.engine)
  expected = _results(inputs, bars, seen, attended=dense)
  rows.assert_agree(found, expected, tolerance=1e-6)


@pytest.mark.parametrize(
  'policy, kernels',
  [
    (None, ['Attend', 'Attend', 'QueryGradient', 'KeyGradient']),
    (
      jax.checkpoint_policies.save_only_these_names(flash.SAVED),
      ['Attend', 'QueryGradient', 'KeyGradient'],
    ),
  ],
  ids=['computed again', 'kept'],
)
def test_for_a_tpu_the_engine_is_the_kernels(policy, kernels):
  inputs = tuple(x.astype('bfloat16') for x in rows.arrays(12)[0])
  traced = _slopes.trace(inputs, rows.seeing(12), flash.engine, policy)
  text = traced.lower(lowering_platforms=('tpu',)).as_text()
  assert re.findall(r'kernel_name = "(\w+)"', text) == kernels
  # Nothing makes scores but the kernels.
  scores = f'{rows.QUERIES}x{rows.KEYS}'
  lines = text.splitlines()
  assert not [x for x in lines if 'dot_general' in x and scores in x]
