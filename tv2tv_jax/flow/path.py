"""The straight path from noise (`t = 0`) to data (`t = 1`).

  x_t = t data + (1 - t) noise                                        (1)
  v   = d x_t / dt = data - noise                                     (2)

`t = 1` is clean, everywhere in this house (paper, training).
"""

from jaxtyping import Array, Float


def noised(
  data: Float[Array, '*S'], noise: Float[Array, '*S'], t: Float[Array, '*T']
) -> Float[Array, '*S']:
  """The point `x_t` of (1); `t` has a leading part of the shape of `data`."""
  t = t.reshape(t.shape + (1,) * (data.ndim - t.ndim))
  return t * data + (1 - t) * noise


def velocity(
  data: Float[Array, '*S'], noise: Float[Array, '*S']
) -> Float[Array, '*S']:
  """The velocity of (2), constant along the path: what the model learns."""
  return data - noise
