"""How far pictures are apart to a network that somebody else has trained.

The network is given by name, so that this package needs no weights of its own.
"""

from collections.abc import Callable, Sequence
import importlib
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax.nn import norm

# Pictures in [-1, 1] to maps of features. What it holds is never trained.
Features = Callable[
  [Float[Array, 'N Y X 3']], Sequence[Float[Array, 'N V U D']]
]

_EPSILON = 1e-8  # where a network sees nothing at all


def network(name: str) -> Features:
  """The network that the function `package.module:function` gives.

  Raises:
    ValueError: there is no such function, or what it gives cannot be called.
  """
  where = f'config.loss.features is {name!r}'
  module, colon, function = name.partition(':')
  if not (module and colon and function):
    raise ValueError(f'{where}: give package.module:function')
  try:
    found = importlib.import_module(module)
  except ImportError as error:
    raise ValueError(f'{where}: cannot import {module}: {error}') from error
  if not hasattr(found, function):
    raise ValueError(f'{where}: {module} has no {function}')
  make = getattr(found, function)
  if not callable(make):
    raise ValueError(f'{where}: {function} is {make!r}, not a function')
  features: Any = make()
  if not callable(features):
    raise ValueError(
      f'{where}: {function}() gave {features!r}: give a function of pictures '
      '[N, Y, X, 3]'
    )
  return features


def distance(
  features: Features,
  pictures: Float[Array, 'B T Y X 3'],
  frames: Float[Array, 'B T Y X 3'],
) -> Float[Array, '']:
  """The mean over maps of the squared distance of unit feature vectors.

  The form of LPIPS without its learned weights (Zhang et al., 2018, arXiv
  1801.03924, equation 1): every place of a map has a vector of length 1.

  Raises:
    ValueError: the network gives no maps, or they are of another shape.
  """
  ours, theirs = (_maps(features, each) for each in (pictures, frames))
  # The mean square of what has a mean square of 1 is that squared distance.
  each = [
    jnp.mean(jnp.square(a - b)) for a, b in zip(ours, theirs, strict=True)
  ]
  return sum(each) / len(each)


def _maps(
  features: Features, frames: Float[Array, 'B T Y X 3']
) -> list[Float[Array, 'N V U D']]:
  """Normalised feature maps of all frames."""
  pictures = frames.reshape(-1, *frames.shape[2:])
  maps = features(pictures)
  shapes = [jnp.shape(each) for each in maps]
  if not shapes or any(
    len(shape) != 4 or shape[0] != len(pictures) for shape in shapes
  ):
    raise ValueError(
      f'config.loss.features: the network makes maps of {shapes} of pictures '
      f'{pictures.shape}: give one or more [{len(pictures)}, V, U, D]'
    )
  return [norm.unit_rms(each, _EPSILON) for each in maps]
