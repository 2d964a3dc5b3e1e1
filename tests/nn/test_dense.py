"""An einsum equation is a layer, on one device and on many."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tv2tv_jax import sharding
from tv2tv_jax.nn import dense

_LAYERS = [
  ('BLD,DF->BLF', (4, 6), ('embed_in', 'mlp'), (8, 3, 4), 'mlp'),
  (
    'BLD,DKGH->BLKGH',
    (4, 2, 3, 5),
    ('embed_in', 'heads', None, 'head_dim'),
    (8, 3, 4),
    ('heads', None, 'head_dim'),
  ),
  (
    'BLKGH,KGHD->BLD',
    (2, 3, 5, 4),
    ('heads', None, 'head_dim', 'embed_in'),
    (8, 3, 2, 3, 5),
    'embed',
  ),
]


@pytest.mark.parametrize('equation,shape,axes,size,last', _LAYERS)
@pytest.mark.parametrize('meshed', [False, True])
def test_it_is_its_equation(equation, shape, axes, size, last, meshed):
  x = jax.random.normal(jax.random.key(1), size)
  axes_out = ('batch', 'length', *((last,) if isinstance(last, str) else last))

  def run(x):
    layer = dense.Dense(equation, shape, axes, rngs=nnx.Rngs(0))
    return layer(x, *axes_out), layer.kernel[...]

  if meshed:
    with jax.set_mesh(sharding.make_mesh((2, 2, 2))):
      found, kernel = jax.jit(run)(sharding.put_batch(x))
      assert found.sharding.spec == sharding.spec(*axes_out)
  else:
    found, kernel = run(x)
  expected = np.einsum(equation, np.asarray(x), np.asarray(kernel))
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_kernels_keep_the_size_of_their_inputs():
  layer = dense.Dense(
    'BD,DF->BF', (400, 300), (None, None), rngs=nnx.Rngs(0), scale=0.5
  )
  x = jax.random.normal(jax.random.key(0), (50, 400))
  assert abs(float(jnp.std(layer(x))) - 0.5) < 0.05
