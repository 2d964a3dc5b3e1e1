"""Whether an array is still the same, in one number.

It is made where the array is, so that nothing is gathered or read again, and
is the same on every mesh: sums of integers do not depend on their order.
"""

from collections.abc import Mapping
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped, UInt32
import numpy as np

_PIECE = 1 << 16  # Numbers of a host that are mixed at once.


def digests(arrays: Mapping[str, jax.Array]) -> dict[str, int]:
  """The digest of each array, in [0, 2^32); waits for the arrays.

  One by one: what is compiled for an array is there for all that are alike, and
  devices of a CPU that run several programs may wait for one another for ever.
  """
  return {name: int(_digest(array)) for name, array in arrays.items()}


def of_box(
  values: Shaped[np.ndarray, '...'],
  begin: tuple[int, ...],
  shape: tuple[int, ...],
) -> int:
  """What a box of an array adds to the digest of the array, modulo 2^32.

  Args:
    values: the numbers of the box, which are not boolean.
    begin: where it begins in the array.
    shape: of the array.
  """
  words = np.dtype(f'u{min(4, values.dtype.itemsize)}')
  strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
  *outer, inner = values.shape or (1,)
  rows = values.reshape(-1, inner)
  starts = np.zeros(outer, np.int64)
  for axis, size in enumerate(outer):
    along = (begin[axis] + np.arange(size)) * strides[axis]
    starts += along.reshape([-1] + [1] * (len(outer) - axis - 1))
  starts = starts.reshape(-1) + (begin[-1] if begin else 0)
  step, total = max(1, _PIECE // max(1, inner)), 0
  for first in range(0, len(rows), step):
    bits = np.ascontiguousarray(rows[first : first + step]).view(words)
    place = starts[first : first + step, None] + np.arange(inner)
    mixed = bits.astype(np.uint32)
    mixed += place.astype(np.uint32) * np.uint32(0x9E3779B9)
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    total += int(mixed.sum(dtype=np.uint64))
  return total % 2**32


@jax.jit
def _digest(array: Shaped[Array, '...']) -> UInt32[Array, '']:
  """The sum over elements of a mix of their bits and their place.

  The mix is MurmurHash3's finalizer (Appleby, public domain), which is one to
  one: another value in one place always shows, more of them but for a chance
  of 2^-32.
  """
  if array.dtype == jnp.bool_:
    array = array.astype(jnp.uint8)
  words = f'u{min(4, array.dtype.itemsize)}'
  bits = jax.lax.bitcast_convert_type(array, words)
  place = jnp.uint32(0)
  for axis, size in enumerate(bits.shape):
    along = jax.lax.broadcasted_iota(jnp.uint32, bits.shape, axis)
    place = place * jnp.uint32(size) + along
  mixed = bits.astype(jnp.uint32) + place * jnp.uint32(0x9E3779B9)
  mixed = (mixed ^ (mixed >> 16)) * jnp.uint32(0x85EBCA6B)
  mixed = (mixed ^ (mixed >> 13)) * jnp.uint32(0xC2B2AE35)
  return jnp.sum(mixed ^ (mixed >> 16), dtype=jnp.uint32)
