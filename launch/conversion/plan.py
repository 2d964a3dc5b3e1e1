"""A conversion whose every name and shape has been checked, none of it done."""

from collections.abc import Callable
import pathlib
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

Part = Literal['all', 'text', 'vae']
# Of the numbers on disk, by their names on the command line.
DTYPES = {
  'source': None,
  'float32': np.dtype(np.float32),
  'fp32': np.dtype(np.float32),
  'bfloat16': np.dtype(jnp.bfloat16),
  'bf16': np.dtype(jnp.bfloat16),
}


class Asked(NamedTuple):
  """What a person asks of a conversion.

  Attributes:
    dtype: of the numbers on disk; None: as they are.
    part: what of a run.
    ema: the averaged weights.
    most: bytes of a file of tensors.
  """

  dtype: np.dtype | None = None
  part: Part = 'all'
  ema: bool = False
  most: int = 5 * 10**9


class Plan(NamedTuple):
  """What will be done.

  Attributes:
    head: what the report says of it beforehand: what it is made of, and how.
    tensors: how many.
    size: bytes that are read.
    write: fills a folder, tells of bytes that it has read, and gives what else
      the report says.
  """

  head: dict[str, Any]
  tensors: int
  size: int
  write: Callable[[pathlib.Path, Callable[[int], Any]], dict[str, Any]]
