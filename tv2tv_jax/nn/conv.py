"""A 2-D convolution over the last three axes, whatever stands before them."""

import functools

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax import sharding


class Conv2d(nnx.Module):
  """A convolution of pictures with zeros around them.

  The kernel is drawn from a normal of variance `scale**2 / fan_in`, the bias
  starts at zero. `axis` is the logical axis of the input channels, by which the
  kernel may be shared out; the bias is replicated.
  """

  def __init__(
    self,
    inputs: int,
    outputs: int,
    kernel: tuple[int, int] = (3, 3),
    *,
    rngs: nnx.Rngs,
    stride: int = 1,
    scale: float = 1.0,
    axis: str | None = None,
  ):
    shape = (*kernel, inputs, outputs)
    self.stride = stride
    self.kernel = nnx.Param(normal_kernel(rngs, shape, scale, axis))
    self.bias = nnx.Param(sharding.place(jnp.zeros(outputs)))

  def __call__(self, x: Float[Array, '... Y X I']) -> Float[Array, '... V U O']:
    """Convolves `x`; `V, U` are `Y, X` divided by the stride, rounded up."""
    kernel = sharding.gathered(self.kernel[...].astype(x.dtype))
    y = convolve(x, kernel, self.stride)
    return y + self.bias[...].astype(x.dtype)


def convolve(
  x: Float[Array, '... Y X I'],
  kernel: Float[Array, 'R S I O'],
  stride: int = 1,
) -> Float[Array, '... V U O']:
  """`x` convolved with `kernel`, padded with zeros to keep its size."""
  pictures = sharding.folded(x, 3)
  y = jax.lax.conv_general_dilated(
    pictures,
    kernel.astype(x.dtype),
    window_strides=(stride, stride),
    padding='SAME',
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )
  return sharding.unfolded(y, x.shape[:-3], x)


def normal_kernel(
  rngs: nnx.Rngs, shape: tuple[int, ...], scale: float, axis: str | None = None
) -> Float[Array, '...']:
  """A kernel `[..., inputs, outputs]` of variance `scale**2 / fan_in`."""
  fan_in = 1
  for size in shape[:-1]:
    fan_in *= size
  kernel = scale * fan_in**-0.5 * jax.random.normal(rngs.params(), shape)
  return sharding.place(kernel, *(None,) * (len(shape) - 2), axis, None)


def compiler_options() -> dict[str, str]:
  """What `jax.jit` is told about programs that are mostly convolutions.

  On CPU, that they are none of YNNPACK's, which runs those of fewer than 128
  channels on one core (choice, see DECISIONS.md); elsewhere nothing.
  """
  return _on_cpu() if jax.default_backend() == 'cpu' else {}


@functools.cache
def _on_cpu() -> dict[str, str]:
  """The option, if this version of XLA knows it."""
  options = {
    'xla_cpu_experimental_ynn_fusion_type': 'LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT'
  }
  try:
    jax.jit(lambda: jnp.zeros(()), compiler_options=options).lower().compile()
  except jax.errors.JaxRuntimeError:
    return {}
  return options
