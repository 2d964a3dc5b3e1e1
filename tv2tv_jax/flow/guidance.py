"""Classifier-free guidance (Ho & Salimans, 2022)."""

from jaxtyping import Array, Float


def guided(
  told: Float[Array, '*S'],
  untold: Float[Array, '*S'],
  scale: float | Float[Array, '*T'],
) -> Float[Array, '*S']:
  """`untold + scale * (told - untold)`; a scale of 1 is no guidance.

  Args:
    told: velocity given the words.
    untold: velocity given the same past without them.
    scale: how far to go from `untold` through `told`; one number, or a number
      for each part.
  """
  return untold + scale * (told - untold)
