"""One program for all pieces of a clip: the first frame, and the rest.

Told that a clip begins, it takes the last frame of a piece alone, else the
piece after its past. So encoding is compiled once, and so is decoding, however
long clips are. The conditional inside costs nothing that can be measured
(choice, see DECISIONS.md).
"""

from collections.abc import Callable
import time
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jaxtyping import Array, Float, UInt8
import numpy as np

from tv2tv_jax import sharding
from tv2tv_jax.nn import conv
from tv2tv_jax.vae import vae as vae_lib

# Runs on a piece: (vae, piece, past or None, dtype) to (values, past).
Step = Callable[[vae_lib.Vae, Array, vae_lib.Past, Any], tuple[Array, Any]]


class Program:
  """A step of the VAE, compiled once for each shape of a piece.

  Attributes:
    vae: of the step.
    compile_seconds: spent on compiling so far.
  """

  def __init__(self, vae: vae_lib.Vae, step: Step, dtype: Any):
    self.vae, self.compile_seconds = vae, 0.0
    self._step, self._dtype = step, dtype
    self._compiled: dict[Any, Any] = {}

  def __call__(
    self, piece: np.ndarray, past: vae_lib.Past = None
  ) -> tuple[np.ndarray, vae_lib.Past]:
    """Values float32 of a piece, and the new past.

    `past=None` begins a clip with the last frame of the piece, whose values
    come last. A past is given up: what it held on the device is used again.
    """
    compiled, like = self.compiled(piece.shape, piece.dtype)
    begins = np.bool_(past is None)
    if begins:
      past = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
    past = jax.tree.map(_on_device, past, like)
    if _is_split(piece.shape[0]):
      piece = sharding.put_batch(piece)
    values, past = compiled(self.vae, piece, past, begins)
    return np.asarray(values), past

  def compiled(self, shape: tuple[int, ...], dtype: Any) -> tuple[Any, Any]:
    """The program for pieces of a shape, and what its past is like."""
    key = (*shape, np.dtype(dtype))
    if key not in self._compiled:
      began = time.perf_counter()
      self._compiled[key] = self._compile(shape, dtype)
      self.compile_seconds += time.perf_counter() - began
    return self._compiled[key]

  def forget(self, shape: tuple[int, ...], dtype: Any) -> None:
    """Drops the program for pieces of a shape."""
    del self._compiled[*shape, np.dtype(dtype)]

  def memory(self, shape: tuple[int, ...], dtype: Any) -> int:
    """Bytes of a device that a piece of a shape needs, says the compiler.

    Parameters, the piece, past, values and all between; where they share
    memory it counts once.
    """
    sizes = self.compiled(shape, dtype)[0].memory_analysis()
    return (
      sizes.argument_size_in_bytes
      + sizes.temp_size_in_bytes
      + sizes.output_size_in_bytes
      - sizes.alias_size_in_bytes
    )

  def _compile(self, shape: tuple[int, ...], dtype: Any) -> tuple[Any, Any]:
    step, computed = self._step, self._dtype
    layout = None
    if _is_split(shape[0]):
      layout = NamedSharding(jax.sharding.get_mesh(), sharding.spec('batch'))
    piece = jax.ShapeDtypeStruct(shape, dtype, sharding=layout)

    def begin(vae, piece):
      return step(vae, piece, None, computed)

    def advance(vae, piece, past, begins):
      return jax.lax.cond(
        begins,
        lambda: begin(vae, piece),
        lambda: step(vae, piece, past, computed),
      )

    shapes = sharding.abstract if sharding.has_mesh() else jax.eval_shape
    _, like = shapes(begin, self.vae, piece)
    program = jax.jit(
      advance,
      donate_argnames='past',
      compiler_options=conv.compiler_options(),
    )
    begins = jax.ShapeDtypeStruct((), bool)
    return program.lower(self.vae, piece, like, begins).compile(), like


def encoded(
  vae: vae_lib.Vae,
  frames: Float[Array, 'B T Y X C'] | UInt8[Array, 'B T Y X C'],
  past: vae_lib.Past,
  dtype: Any,
) -> tuple[Float[Array, 'B N V U Z'], vae_lib.Past]:
  """The means of a piece; those of a clip's first frame come last."""
  count = frames.shape[1] // vae.config.stride[0]
  frames = frames[:, -1:] if past is None else frames
  if frames.dtype == jnp.uint8:
    frames = frames.astype(jnp.float32) / 127.5 - 1.0
  gaussian, new = vae.encode(frames.astype(dtype), past)
  return _last_of(count, gaussian.mean.astype(jnp.float32)), new


def decoded(
  vae: vae_lib.Vae,
  latents: Float[Array, 'B N V U Z'],
  past: vae_lib.Past,
  dtype: Any,
) -> tuple[Float[Array, 'B T Y X C'], vae_lib.Past]:
  """The frames of a piece; a clip's first one comes last."""
  count = latents.shape[1] * vae.config.stride[0]
  latents = latents[:, -1:] if past is None else latents
  frames, new = vae.decode(latents.astype(dtype), past)
  frames = jnp.clip(frames.astype(jnp.float32), -1.0, 1.0)
  return _last_of(count, frames), new


def to_uint8(pixels: Float[np.ndarray, '*B']) -> UInt8[np.ndarray, '*B']:
  """Pixels in [-1, 1], or a little beyond, as bytes."""
  return np.clip(np.rint((np.asarray(pixels) + 1) * 127.5), 0, 255).astype(
    np.uint8
  )


def _last_of(
  count: int, x: Float[Array, 'B T Y X C']
) -> Float[Array, 'B count Y X C']:
  """`x` with zeros before it, if it is not so many."""
  none = [jnp.zeros_like(x[:, :1])] * (count - x.shape[1])
  return jnp.concatenate([*none, x], axis=1)


def _is_split(batch: int) -> bool:
  """Whether so many clips can be split over the devices of a mesh."""
  return sharding.has_mesh() and batch % sharding.devices_along('batch') == 0


def _on_device(value: Any, like: jax.ShapeDtypeStruct) -> jax.Array:
  """A copy of an array of the host: what is given up must be nobody's."""
  if isinstance(value, jax.Array):
    return value
  return jax.device_put(value, like.sharding, may_alias=False)
