"""Attention of a picture's places to one another."""

from flax import nnx
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax.nn import attention
from tv2tv_jax.nn import dense
from tv2tv_jax.nn import norm

# As of residual blocks: a deep stack starts near the identity.
_LAST = 0.1


class SelfAttention(nnx.Module):
  """`x + f(x)`: every place of a picture looks at all places of that picture.

  No positions: the features carry them. `axis` is the logical axis by which
  weights may be shared out.
  """

  def __init__(
    self,
    channels: int,
    heads: int,
    *,
    rngs: nnx.Rngs,
    axis: str | None = None,
  ):
    if channels % heads:
      raise ValueError(
        f'{heads} attention heads do not divide {channels} channels'
      )
    shape, axes = (channels, heads, channels // heads), (axis, None, None)
    self.norm = norm.RmsNorm(channels)
    self.query = dense.Dense('...C,CKH->...KH', shape, axes, rngs=rngs)
    self.key = dense.Dense('...C,CKH->...KH', shape, axes, rngs=rngs)
    self.value = dense.Dense('...C,CKH->...KH', shape, axes, rngs=rngs)
    self.output = dense.Dense(
      '...KH,KHC->...C',
      (*shape[1:], channels),
      axes[::-1],
      rngs=rngs,
      scale=_LAST,
    )

  def __call__(self, x: Float[Array, '... Y X C']) -> Float[Array, '... Y X C']:
    """The pictures, each place with what it saw."""
    places = x.reshape(*x.shape[:-3], -1, x.shape[-1])
    y = self.norm(places)
    query, key, value = (
      jnp.moveaxis(each(y), -3, -2)  # ... K P H
      for each in (self.query, self.key, self.value)
    )
    mean = attention.attended(query[..., None, :, :], key, value).mean
    heads = jnp.moveaxis(mean[..., 0, :, :], -2, -3).astype(x.dtype)
    return x + self.output(heads).reshape(x.shape)
