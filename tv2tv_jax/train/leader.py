"""What one process does, or decides, for all of them.

The leader is process 0. With one process nothing here waits for anything.
"""

from collections.abc import Callable

import jax
from jax.experimental import multihost_utils
import numpy as np

from tv2tv_jax import sharding

_LETTERS = 2048  # bytes of an error that reach the other processes


def decides(value: float | int) -> float | int:
  """The leader's value, wherever it is asked for; all processes must ask."""
  if jax.process_count() == 1:
    return value
  number = np.frombuffer(np.float64(value).tobytes(), np.uint8)
  return float(np.frombuffer(_heard(number).tobytes(), np.float64)[0])


def does(act: Callable[[], None]) -> None:
  """The leader acts while the others wait: what it wrote is there for all.

  Raises:
    ValueError: the leader could not, for its values or files; on all processes.
    OSError: likewise, with one process.
  """
  if jax.process_count() == 1:
    act()
    return
  cause = None
  if sharding.leads():
    try:
      act()
    except (ValueError, OSError) as error:
      cause = error
  said = str(cause).encode()[:_LETTERS] if cause else b''
  letters = np.frombuffer(said.ljust(_LETTERS, b'\0'), np.uint8)
  heard = _heard(letters).tobytes().rstrip(b'\0')
  if heard:
    raise ValueError(heard.decode(errors='replace')) from cause


def _heard(numbers: np.ndarray) -> np.ndarray:
  """The leader's bytes: no number of theirs is rounded on the way."""
  return np.asarray(multihost_utils.broadcast_one_to_all(numbers))
