"""A causal convolution never sees the future and streams exactly."""

import re

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tv2tv_jax import sharding
from tv2tv_jax.nn import causal_conv
from tv2tv_jax.nn import conv


def _clip(frames: int, batch: int = 2) -> jax.Array:
  return jax.random.normal(jax.random.key(1), (batch, frames, 4, 6, 3))


_run = jax.jit(lambda layer, x, past=None: layer(x, past))
_LOWERINGS = ['auto', 'volume', 'planes', 'winograd']


def _layer(kernel=(3, 3, 3), stride=1, **config) -> causal_conv.CausalConv3d:
  return causal_conv.CausalConv3d(
    3,
    5,
    kernel,
    rngs=nnx.Rngs(0),
    stride=stride,
    config=causal_conv.ConvConfig(**config),
  )


@pytest.mark.parametrize(
  'fields',
  [
    {'kernel': (1, 3, 3)},
    {'kernel': (2, 3, 3)},
    {'kernel': (2, 1, 1), 'before': 'zeros'},
    {'kernel': (3, 3, 3), 'before': 'zeros', 'lowering': 'planes'},
    {'kernel': (3, 1, 1), 'lowering': 'volume'},
    {'kernel': (4, 3, 5)},
  ],
  ids=str,
)
@pytest.mark.parametrize('plan', [(7,), (1, 6), (1, 1, 1, 1, 1, 1, 1), (3, 4)])
def test_chunks_equal_the_whole_clip(fields, plan):
  layer, x = _layer(**fields), _clip(7)
  whole, end = _run(layer, x)
  parts, past, at = [], None, 0
  for length in plan:
    part, past = _run(layer, x[:, at : at + length], past)
    assert past.shape == end.shape
    parts.append(part)
    at += length
  np.testing.assert_allclose(jnp.concatenate(parts, 1), whole, atol=1e-5)
  np.testing.assert_array_equal(past, end)


@pytest.mark.parametrize('plan', [(7,), (1, 6), (1, 2, 2, 2), (5, 2)])
@pytest.mark.parametrize('lowering', _LOWERINGS)
def test_strides_join_frames_in_any_chunks(lowering, plan):
  layer, x = _layer((3, 1, 1), stride=2, lowering=lowering), _clip(7)
  # The first chunk fills its first group with the frame that was always there.
  every = _layer((3, 1, 1))
  want = _run(every, x)[0][:, ::2]
  parts, past, at = [], None, 0
  for length in plan:
    part, past = _run(layer, x[:, at : at + length], past)
    assert past.shape[1] == 1
    parts.append(part)
    at += length
  np.testing.assert_allclose(jnp.concatenate(parts, 1), want, atol=1e-5)


@pytest.mark.parametrize('frames', [1, 4, 5])
@pytest.mark.parametrize(
  'kernel', [(1, 3, 3), (2, 3, 3), (3, 3, 3), (3, 2, 4), (4, 1, 1)], ids=str
)
def test_all_lowerings_agree(kernel, frames):
  x = _clip(frames)
  want, _ = _run(_layer(kernel, lowering='volume'), x)
  for lowering in _LOWERINGS:
    found, _ = _run(_layer(kernel, lowering=lowering), x)
    np.testing.assert_allclose(found, want, atol=1e-5, err_msg=lowering)


@pytest.mark.parametrize('taps', [2, 3])
@pytest.mark.parametrize('lowering', _LOWERINGS)
def test_no_gradient_reaches_the_future(lowering, taps):
  layer, x = _layer((taps, 3, 3), lowering=lowering), _clip(5)

  @jax.jit
  def gradient(at):
    return jax.grad(lambda x: layer(x)[0][:, at].sum())(x)

  for frame in range(5):
    grad = gradient(frame)
    assert not np.any(grad[:, frame + 1 :])
    assert np.any(grad[:, frame])
    assert not np.any(grad[:, : max(0, frame + 1 - taps)])


def test_two_frames_take_fewer_convolutions():
  x = _clip(8)
  counts = {}
  for lowering in ('planes', 'winograd'):
    layer = _layer(lowering=lowering)
    text = str(jax.make_jaxpr(lambda x, layer=layer: layer(x)[0])(x))
    frames = re.findall(r':f32\[(\d+),4,6,5\] = conv_general_dilated', text)
    counts[lowering] = sum(map(int, frames))
  assert counts == {'planes': 2 * 8 * 3, 'winograd': 2 * 8 * 2}


def test_zeros_stand_before_a_clip_where_asked():
  layer, x = _layer(before='zeros'), _clip(4)
  longer = jnp.concatenate([jnp.zeros_like(x[:, :2]), x], axis=1)
  want = _run(layer, x)[0]
  np.testing.assert_allclose(_run(layer, longer)[0][:, 2:], want, atol=1e-5)
  assert not np.allclose(_run(_layer(), x)[0], want)


def test_before_a_clip_its_first_frame_has_always_been_there():
  layer, x = _layer(), _clip(4)
  longer = jnp.concatenate([jnp.repeat(x[:, :1], 3, axis=1), x], axis=1)
  want = _run(layer, x)[0]
  np.testing.assert_allclose(_run(layer, longer)[0][:, 3:], want, atol=1e-5)


def test_a_mesh_changes_nothing():
  layer, x = _layer(), _clip(4, batch=8)
  plain, _ = _run(layer, x)
  gradient = jax.jit(jax.grad(lambda layer, x: layer(x)[0].sum()))
  want = gradient(layer, x)
  with jax.set_mesh(sharding.make_mesh((2, 2, 2))):
    layer = _layer()
    split = sharding.place(x, 'batch', None, None, None, None)
    y, past = _run(layer, split)
    assert jax.typeof(y).sharding.spec[0] == ('data', 'fsdp')
    assert jax.typeof(past).sharding.spec[0] == ('data', 'fsdp')
    grads = gradient(layer, split)
  np.testing.assert_allclose(y, plain, atol=1e-5)
  np.testing.assert_allclose(
    grads.kernel[...], want.kernel[...], rtol=1e-4, atol=1e-3
  )


def test_a_convolution_of_pictures_ignores_leading_axes():
  layer = conv.Conv2d(3, 5, stride=2, rngs=nnx.Rngs(0))
  x = _clip(3)
  y = layer(x)
  assert y.shape == (2, 3, 2, 3, 5)
  np.testing.assert_allclose(y[1, 2], layer(x[1, 2][None])[0], atol=1e-5)
