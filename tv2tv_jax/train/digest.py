"""Whether an array is still the same, in one number.

It is made where the array is, so that nothing is gathered or read again, and
is the same on every mesh: sums of integers do not depend on their order.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped, UInt32


def digests(arrays: Mapping[str, jax.Array]) -> dict[str, int]:
  """The digest of each array, in [0, 2^32); waits for the arrays.

  One by one: what is compiled for an array is there for all that are alike, and
  devices of a CPU that run several programs may wait for one another for ever.
  """
  return {name: int(_digest(array)) for name, array in arrays.items()}


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
