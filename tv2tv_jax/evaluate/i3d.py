"""What a net of actions sees in a film: the features of the standard FVD.

I3D is Inception-v1 with its filters inflated to three dimensions, trained to
tell 400 actions of Kinetics apart (Carreira & Zisserman, 2017, arXiv
1705.07750). The Fréchet video distance is between its logits of real and of
generated films, averaged over time (Unterthiner et al., 2018, arXiv
1812.01717). The weights are brought by who uses it: `i3d_weights.py`.
"""

from collections.abc import Callable
import functools
from typing import NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8
import numpy as np

from tv2tv_jax import sharding
from tv2tv_jax.nn import causal_conv
from tv2tv_jax.nn import conv
from tv2tv_jax.nn import dense

CLASSES = 400
SIZE = 224  # rows and columns that the net was trained on
# Three halvings of time, and the last average is over two of what they leave.
SHORTEST = 9  # frames


class Widths(NamedTuple):
  """Channels of the parts of a block.

  Attributes:
    alone: of the first part.
    into_1: into the first 3 x 3 x 3.
    out_1: out of it.
    into_2: into the second.
    out_2: out of it.
    behind: behind the maximum.
  """

  alone: int
  into_1: int
  out_1: int
  into_2: int
  out_2: int
  behind: int

  @property
  def out(self) -> int:
    """Of the block."""
    return self.alone + self.out_1 + self.out_2 + self.behind


BLOCKS = {
  '3b': Widths(64, 96, 128, 16, 32, 32),
  '3c': Widths(128, 128, 192, 32, 96, 64),
  '4b': Widths(192, 96, 208, 16, 48, 64),
  '4c': Widths(160, 112, 224, 24, 64, 64),
  '4d': Widths(128, 128, 256, 24, 64, 64),
  '4e': Widths(112, 144, 288, 32, 64, 64),
  '4f': Widths(256, 160, 320, 32, 128, 128),
  '5b': Widths(256, 160, 320, 32, 128, 128),
  '5c': Widths(384, 192, 384, 48, 128, 128),
}
# The maxima in front of blocks: frames, rows and columns that one is over, and
# that it steps by.
_MAXIMA = {
  '3b': ((1, 3, 3), (1, 2, 2)),
  '4b': ((3, 3, 3), (2, 2, 2)),
  '5b': ((2, 2, 2), (2, 2, 2)),
}


class Stem(nnx.Module):
  """The first layer: 7 x 7 x 7, and half the frames, rows and columns.

  Seven frames are side by side as channels of one 2-D convolution, which has
  more than three of them to sum over.
  """

  def __init__(self, outputs: int, *, rngs: nnx.Rngs):
    self.kernel = nnx.Param(
      conv.normal_kernel(rngs, (7, 7, 7, 3, outputs), 1.0)
    )
    self.bias = nnx.Param(sharding.place(jnp.zeros(outputs)))

  def __call__(self, x: Float[Array, 'B T Y X 3']) -> Float[Array, 'B N V U D']:
    """Runs on whole films."""
    kernel = self.kernel[...]
    taps, rows, columns, inputs, outputs = kernel.shape
    count, before, after = _around(x.shape[1], taps, 2)
    x = jnp.pad(x, ((0, 0), (before, after), (0, 0), (0, 0), (0, 0)))
    last = 2 * count - 1
    seen = [x[:, at : at + last : 2] for at in range(taps)]
    kernel = jnp.transpose(kernel, (1, 2, 0, 3, 4))
    kernel = kernel.reshape(rows, columns, taps * inputs, outputs)
    y = conv.convolve(jnp.concatenate(seen, axis=-1), kernel, 2)
    return jax.nn.relu(y + self.bias[...])


class Unit(nnx.Module):
  """A convolution that sees the future too, and what of it is above zero.

  Batch norms are folded into its kernel and bias (`i3d_weights.py`).
  """

  def __init__(self, inputs: int, outputs: int, size: int, *, rngs: nnx.Rngs):
    self.conv = causal_conv.CausalConv3d(
      inputs, outputs, (size,) * 3, rngs=rngs
    )

  def __call__(self, x: Float[Array, 'B T Y X C']) -> Float[Array, 'B T Y X D']:
    """Runs on whole films, with zeros around them."""
    reach = self.conv.kernel.shape[0] // 2
    margins = ((0, 0), (reach, reach), (0, 0), (0, 0), (0, 0))
    x = jnp.pad(x, margins)
    # What a causal convolution takes for the past may be now.
    y, _ = self.conv(x[:, 2 * reach :], x[:, : 2 * reach])
    return jax.nn.relu(y)


class Block(nnx.Module):
  """Four looks at the same film, side by side as channels.

  The three that begin with a 1 x 1 x 1 of the film itself have it as one.
  """

  def __init__(self, inputs: int, widths: Widths, *, rngs: nnx.Rngs):
    self.ends = (widths.alone, widths.alone + widths.into_1)
    entry = self.ends[-1] + widths.into_2
    self.entry = Unit(inputs, entry, 1, rngs=rngs)
    self.first = Unit(widths.into_1, widths.out_1, 3, rngs=rngs)
    self.second = Unit(widths.into_2, widths.out_2, 3, rngs=rngs)
    self.behind = Unit(inputs, widths.behind, 1, rngs=rngs)

  def __call__(self, x: Float[Array, 'B T Y X C']) -> Float[Array, 'B T Y X D']:
    """Runs on whole films."""
    alone, first, second = jnp.split(self.entry(x), self.ends, axis=-1)
    largest = self.behind(_maxima(x, (3, 3, 3), (1, 1, 1)))
    parts = [alone, self.first(first), self.second(second), largest]
    return jnp.concatenate(parts, axis=-1)


class I3d(nnx.Module):
  """Logits of actions, from whole films."""

  def __init__(self, *, rngs: nnx.Rngs):
    self.stem = Stem(64, rngs=rngs)
    self.point = Unit(64, 64, 1, rngs=rngs)
    self.wide = Unit(64, 192, 3, rngs=rngs)
    blocks, width = {}, 192
    for name, widths in BLOCKS.items():
      blocks[name] = Block(width, widths, rngs=rngs)
      width = widths.out
    self.blocks = nnx.Dict(blocks)
    self.logits = dense.Dense(
      'BD,DA->BA', (width, CLASSES), (None, None), rngs=rngs
    )
    self.bias = nnx.Param(sharding.place(jnp.zeros(CLASSES)))

  def __call__(
    self, films: Float[Array, 'B T 224 224 3']
  ) -> Float[Array, 'B 400']:
    """Logits, the mean over time; `T >= 9`, and frames in [-1, 1].

    Each is of two frames in a row of what is left of time, averaged over all
    rows and columns: that average and the logits, which are linear, may change
    places.
    """
    x = self.stem(films)
    x = self.wide(self.point(_maxima(x, (1, 3, 3), (1, 2, 2))))
    for name, block in self.blocks.items():
      if name in _MAXIMA:
        x = _maxima(x, *_MAXIMA[name])
      x = block(x)
    seen = jnp.mean(x, axis=(2, 3))
    seen = jnp.mean((seen[:, 1:] + seen[:, :-1]) / 2, axis=1)
    return self.logits(seen) + self.bias[...]


def _maxima(
  x: Float[Array, 'B T Y X D'],
  over: tuple[int, int, int],
  step: tuple[int, int, int],
) -> Float[Array, 'B N V U D']:
  """The largest around each place of what is nowhere below zero.

  One axis after another: so XLA makes of it a few maxima of whole arrays.
  """
  for axis, (size, stride) in enumerate(zip(over, step, strict=True), 1):
    if size == 1 == stride:
      continue
    count, before, after = _around(x.shape[axis], size, stride)
    margins = [(0, 0)] * x.ndim
    margins[axis] = (before, after)
    x = jnp.pad(x, margins)
    last = stride * (count - 1) + 1
    largest = None
    for at in range(size):
      part = jax.lax.slice_in_dim(x, at, at + last, stride, axis)
      largest = part if largest is None else jnp.maximum(largest, part)
    x = largest
  return x


def _around(size: int, window: int, stride: int) -> tuple[int, int, int]:
  """How many windows there are, and the places that they need on either side.

  As TensorFlow, in which the net was trained, has it: as few as there can be,
  and where their number is odd, one more behind.
  """
  count = -(-size // stride)
  missing = max((count - 1) * stride + window - size, 0)
  return count, missing // 2, missing - missing // 2


def features(
  model: I3d, films: UInt8[np.ndarray, 'B T Y X 3'], batch: int = 4
) -> Float[np.ndarray, 'B 400']:
  """Features of films by which FVD compares them: logits, before any softmax.

  As the authors of FVD have it (google-research, frechet_video_distance.py),
  frames are made 224 x 224 with two neighbours on each axis, whatever their
  shape was, then put in [-1, 1]; a film of any length is seen whole and its
  logits averaged over time. Centres of pixels are where PyTorch has them, not
  half a pixel off as in TensorFlow 1 (choice: FVD is computed in PyTorch now).
  FVD is mostly reported of clips of 16 frames: distances of films of another
  length, rate or shape are other distances.

  Args:
    model: the net.
    films: all of one length.
    batch: films at once; they need about 7 MB for each frame.

  Returns:
    A row for each film.

  Raises:
    ValueError: films of fewer frames than the net can see.
  """
  if films.shape[1] < SHORTEST:
    raise ValueError(
      f'films have {films.shape[1]} frames: I3D needs {SHORTEST} or more'
    )
  parts = [np.zeros((0, CLASSES), np.float32)]
  # Where an accelerator multiplies fp32 in fewer bits, distances would differ.
  with jax.default_matmul_precision('float32'):
    for start in range(0, len(films), batch):
      some = films[start : start + batch]
      # One shape, one program: the last batch is filled up.
      full = np.concatenate([some, np.repeat(some[-1:], batch - len(some), 0)])
      parts.append(np.asarray(_program()(model, full))[: len(some)])
  return np.concatenate(parts)


def prepared(
  films: Float[Array, 'B T Y X 3'],
) -> Float[Array, 'B T 224 224 3']:
  """Films as the net saw them in its training, from pixels of 0 to 255."""
  shape = (*films.shape[:2], SIZE, SIZE, 3)
  films = jax.image.resize(films, shape, 'linear', antialias=False)
  return films / 127.5 - 1.0


@functools.cache
def _program() -> Callable[[I3d, Array], Array]:
  """The net on films as they are stored, compiled."""

  def logits(model: I3d, films: UInt8[Array, 'B T Y X 3']) -> Array:
    return model(prepared(sharding.place(films).astype(jnp.float32)))

  return jax.jit(logits, compiler_options=conv.compiler_options())
