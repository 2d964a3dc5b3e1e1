"""Causal 3-D convolution: the past goes in, the past comes out."""

from typing import Literal

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax import sharding
from tv2tv_jax.nn import conv

# 'planes': a sum of 2-D convolutions, one per frame of the kernel; on CPU two
#   to three times as fast as XLA's 3-D convolution.
# 'volume': one 3-D convolution; for accelerators.
Lowering = Literal['planes', 'volume']


class CausalConv3d(nnx.Module):
  """A convolution that never sees the future.

  Called on a clip, or on the clip's chunks with `past` carried from call to
  call, it gives the same frames. `past` holds the last `kernel[0] - 1` input
  frames, however long the chunks are.
  """

  def __init__(
    self,
    inputs: int,
    outputs: int,
    kernel: tuple[int, int, int] = (3, 3, 3),
    *,
    rngs: nnx.Rngs,
    scale: float = 1.0,
    lowering: Lowering = 'planes',
  ):
    shape = (*kernel, inputs, outputs)
    self.lowering = lowering
    self.kernel = nnx.Param(conv.normal_kernel(rngs, shape, scale))
    self.bias = nnx.Param(sharding.place(jnp.zeros(outputs)))

  def __call__(
    self,
    x: Float[Array, 'B T Y X I'],
    past: Float[Array, 'B memory Y X I'] | None = None,
  ) -> tuple[Float[Array, 'B T Y X O'], Float[Array, 'B memory Y X I']]:
    """Convolves a chunk; `past=None` begins a clip.

    Before a clip begins its first frame has always been there.
    """
    kernel = self.kernel[...].astype(x.dtype)
    memory = kernel.shape[0] - 1
    if past is None:
      past = jnp.repeat(x[:, :1], memory, axis=1)
    seen = jnp.concatenate([past.astype(x.dtype), x], axis=1)
    convolve = _volume if self.lowering == 'volume' else _planes
    y = convolve(seen, kernel) + self.bias[...].astype(x.dtype)
    return y, seen[:, x.shape[1] :]


def _planes(
  x: Float[Array, 'B S Y X I'], kernel: Float[Array, 'R V U I O']
) -> Float[Array, 'B T Y X O']:
  """The 3-D convolution as a sum of 2-D ones."""
  count = x.shape[1] - kernel.shape[0] + 1
  return sum(
    conv.convolve(x[:, at : at + count], plane)
    for at, plane in enumerate(kernel)
  )


def _volume(
  x: Float[Array, 'B S Y X I'], kernel: Float[Array, 'R V U I O']
) -> Float[Array, 'B T Y X O']:
  """The 3-D convolution by XLA; frames are not padded, pictures are."""
  around = [((size - 1) // 2, size // 2) for size in kernel.shape[1:3]]
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    window_strides=(1, 1, 1),
    padding=[(0, 0), *around],
    dimension_numbers=('NDHWC', 'DHWIO', 'NDHWC'),
  )
