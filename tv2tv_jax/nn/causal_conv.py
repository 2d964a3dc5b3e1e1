"""Causal 3-D convolution: the past goes in, the past comes out."""

from collections.abc import Sequence
import dataclasses
from typing import Literal

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax import sharding
from tv2tv_jax.nn import conv

# 'volume': one 3-D convolution by XLA; for accelerators.
# 'planes': a sum of 2-D convolutions, one per frame of the kernel; on CPU two
#   to three times as fast as XLA's 3-D convolution.
# 'winograd': 2-D convolutions too, but two frames at once, which takes one
#   fewer than 'planes' for two taps and two fewer for three (`_winograd`).
# 'auto': what is fastest on the platform that runs the program (DECISIONS.md).
Lowering = Literal['auto', 'volume', 'planes', 'winograd']

# What has always been there before a clip begins: its first frame, or nothing.
Before = Literal['first', 'zeros']


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvConfig:
  """What all the causal convolutions of a model have in common.

  Attributes:
    before: what stands before the first frame of a clip.
    lowering: how they are computed.
  """

  before: Before = 'first'
  lowering: Lowering = 'auto'


class CausalConv3d(nnx.Module):
  """A convolution that never sees the future.

  Called on a clip, or on the clip's chunks with `past` carried from call to
  call, it gives the same frames. `past` holds the input frames that the next
  chunk must still see, `kernel[0] - stride` of them however long chunks are.
  """

  def __init__(
    self,
    inputs: int,
    outputs: int,
    kernel: tuple[int, int, int] = (3, 3, 3),
    *,
    rngs: nnx.Rngs,
    stride: int = 1,
    scale: float = 1.0,
    config: ConvConfig = ConvConfig(),
  ):
    """Makes a kernel of variance `scale**2 / fan_in` and a bias of zeros.

    Args:
      inputs: channels.
      outputs: channels.
      kernel: frames, rows and columns; rows and columns are padded with zeros.
      rngs: of the kernel.
      stride: frames that become one; pictures keep their size.
      scale: of the kernel.
      config: what it has in common with others.
    """
    shape = (*kernel, inputs, outputs)
    self.stride, self.config = stride, config
    self.kernel = nnx.Param(conv.normal_kernel(rngs, shape, scale))
    self.bias = nnx.Param(sharding.place(jnp.zeros(outputs)))

  def __call__(
    self,
    x: Float[Array, 'B T Y X I'],
    past: Float[Array, 'B memory Y X I'] | None = None,
  ) -> tuple[Float[Array, 'B N Y X O'], Float[Array, 'B memory Y X I']]:
    """Convolves a chunk; `past=None` begins a clip.

    With a stride of `s` the first chunk has `1 + s n` frames and gives `1 + n`,
    later ones have `s n` and give `n`.
    """
    kernel = self.kernel[...].astype(x.dtype)
    taps = kernel.shape[0]
    if past is None:
      past = jnp.repeat(x[:, :1], taps - 1, axis=1)
      past = jnp.zeros_like(past) if self.config.before == 'zeros' else past
    seen = jnp.concatenate([past.astype(x.dtype), x], axis=1)
    y = _convolved(seen, kernel, self.stride, self.config.lowering)
    y = y + self.bias[...].astype(x.dtype)
    return y, seen[:, seen.shape[1] - (taps - self.stride) :]


class FactoredConv3d(nnx.Module):
  """A convolution of each frame, then one over time alone (as Cosmos has)."""

  def __init__(
    self,
    inputs: int,
    outputs: int,
    *,
    rngs: nnx.Rngs,
    scale: float = 1.0,
    config: ConvConfig = ConvConfig(),
  ):
    self.space = CausalConv3d(
      inputs, outputs, (1, 3, 3), rngs=rngs, config=config
    )
    self.time = CausalConv3d(
      outputs,
      outputs,
      (3, 1, 1),
      rngs=rngs,
      scale=scale,
      config=config,
    )

  def __call__(
    self,
    x: Float[Array, 'B T Y X I'],
    past: tuple[Float[Array, 'B _ Y X _'], ...] | None = None,
  ) -> tuple[Float[Array, 'B T Y X O'], tuple[Float[Array, 'B _ Y X _'], ...]]:
    """Convolves a chunk; `past=None` begins a clip."""
    y, space = self.space(x, None if past is None else past[0])
    y, time = self.time(y, None if past is None else past[1])
    return y, (space, time)


def _convolved(
  x: Float[Array, 'B S Y X I'],
  kernel: Float[Array, 'R V U I O'],
  stride: int,
  lowering: Lowering,
) -> Float[Array, 'B N Y X O']:
  """Frames `stride` apart, none of them padded; pictures are."""
  if kernel.shape[0] == 1 and stride == 1:
    return conv.convolve(x, kernel[0])
  frames = (x.shape[1] - kernel.shape[0]) // stride + 1
  pairs = frames > 1 and stride == 1 and kernel.shape[0] in _TRANSFORMS
  if lowering == 'volume':
    return _volume(x, kernel, stride)
  if lowering == 'planes' or (lowering == 'winograd' and not pairs):
    return _planes(x, kernel, stride)
  if lowering == 'winograd':
    return _winograd(x, kernel)
  return jax.lax.platform_dependent(
    x,
    kernel,
    cpu=_winograd if pairs else lambda *args: _planes(*args, stride),
    default=lambda *args: _volume(*args, stride),
  )


def _volume(
  x: Float[Array, 'B S Y X I'], kernel: Float[Array, 'R V U I O'], stride: int
) -> Float[Array, 'B N Y X O']:
  """The 3-D convolution by XLA."""
  around = [((size - 1) // 2, size // 2) for size in kernel.shape[1:3]]
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    window_strides=(stride, 1, 1),
    padding=[(0, 0), *around],
    dimension_numbers=('NDHWC', 'DHWIO', 'NDHWC'),
  )


def _planes(
  x: Float[Array, 'B S Y X I'], kernel: Float[Array, 'R V U I O'], stride: int
) -> Float[Array, 'B N Y X O']:
  """The 3-D convolution as a sum of 2-D ones."""
  last = x.shape[1] - kernel.shape[0]
  return sum(
    conv.convolve(x[:, at : at + last + 1 : stride], plane)
    for at, plane in enumerate(kernel)
  )


# Minimal filtering of two outputs by some taps (Winograd, 1980; Lavin & Gray,
# 2015), as (inputs, filters, joins):
# outputs = joins @ ((filters @ kernel) * (inputs @ frames)).
_TRANSFORMS = {
  2: (
    ((1.0, -1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 1.0, -1.0)),
    ((1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),
    ((1.0, 1.0, 0.0), (0.0, 1.0, -1.0)),
  ),
  3: (
    (
      (1.0, 0.0, -1.0, 0.0),
      (0.0, 1.0, 1.0, 0.0),
      (0.0, -1.0, 1.0, 0.0),
      (0.0, 1.0, 0.0, -1.0),
    ),
    ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0)),
    ((1.0, 1.0, 1.0, 0.0), (0.0, 1.0, -1.0, -1.0)),
  ),
}


def _winograd(
  x: Float[Array, 'B S Y X I'], kernel: Float[Array, 'R V U I O']
) -> Float[Array, 'B T Y X O']:
  """The 3-D convolution as 2-D ones of sums and differences of frames.

  Two frames take `taps + 1` of them rather than `2 taps`. Where their number is
  odd, one more is computed in front.
  """
  taps = kernel.shape[0]
  frames = x.shape[1] - taps + 1
  pairs = (frames + 1) // 2
  if frames % 2:
    x = jnp.concatenate([x[:, :1], x], axis=1)
  inputs, filters, joins = _TRANSFORMS[taps]
  seen = [x[:, at : at + 2 * pairs - 1 : 2] for at in range(taps + 1)]
  parts = [
    conv.convolve(_weighed(row, seen), _weighed(mix, list(kernel)))
    for row, mix in zip(inputs, filters, strict=True)
  ]
  both = jnp.stack([_weighed(row, parts) for row in joins], axis=2)
  y = both.reshape(x.shape[0], 2 * pairs, *both.shape[3:])
  return y[:, frames % 2 :]


def _weighed(
  weights: Sequence[float], terms: Sequence[Float[Array, '*shape']]
) -> Float[Array, '*shape']:
  """The weighed sum of the terms whose weight is not zero."""
  total = None
  for weight, term in zip(weights, terms, strict=True):
    if not weight:
      continue
    if abs(weight) != 1:
      term = abs(weight) * term
    if total is None:
      total = term if weight > 0 else -term
    else:
      total = total + term if weight > 0 else total - term
  return total
