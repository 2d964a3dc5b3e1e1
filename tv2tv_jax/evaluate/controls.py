"""What may be held down in a chunk, as questions with a few answers each."""

from collections.abc import Mapping, Sequence
import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8
import numpy as np

from tv2tv_jax.evaluate import intervals

AnyArray = Array | np.ndarray


class Head(NamedTuple):
  """A question about a chunk, and the classes that answer it.

  `words[i]` is the control that class `classes[i]` stands for; '' for none.
  """

  name: str
  classes: tuple[str, ...]
  words: tuple[str, ...]


# Classes of the first three mirror around 'none', so that a mirrored picture
# has the mirrored class.
HEADS = (
  Head('turn', ('left', 'none', 'right'), ('turn left', '', 'turn right')),
  Head(
    'move',
    ('backward', 'none', 'forward'),
    ('move backward', '', 'move forward'),
  ),
  Head(
    'strafe', ('left', 'none', 'right'), ('strafe left', '', 'strafe right')
  ),
  Head('attack', ('no', 'yes'), ('', 'attack')),
  Head('jump', ('no', 'yes'), ('', 'jump')),
)
# Controls that older recordings have no column of: nobody had their key.
_LATER = ('jump',)


def recorded(names: Sequence[str]) -> tuple[Head, ...]:
  """The heads whose every control has a column in a recording.

  Of the others there is nothing to learn and nothing to test.
  """
  return tuple(head for head in HEADS if set(head.words) - {''} <= set(names))


def chunks(
  frames: UInt8[np.ndarray, 'B T Y X 3'], chunk_frames: int
) -> UInt8[np.ndarray, 'B N S Y X 3']:
  """Each chunk with the frame before it, `S = chunk_frames + 1`.

  Raises:
    ValueError: a film that is no frame and whole chunks.
  """
  count, rest = divmod(frames.shape[1] - 1, chunk_frames)
  if rest or count < 1:
    raise ValueError(f'{frames.shape[1]} frames are not 1 + n * {chunk_frames}')
  places = chunk_frames * np.arange(count)[:, None] + np.arange(
    chunk_frames + 1
  )
  return frames[:, places]


def answers(
  held: UInt8[AnyArray, 'B T K'], names: Sequence[str], chunk_frames: int
) -> Int[AnyArray, 'B N heads']:
  """The class of each head in each chunk, by the majority of its frames.

  Args:
    held: which control was held while each frame of a clip was made; the clip
      begins on the grid of the player's decisions.
    names: of the columns of `held`. Where none is called 'jump', nobody ever
      jumped.
    chunk_frames: frames of a chunk.

  Raises:
    ValueError: a control that no column records.
  """
  names = list(names)
  for word in (word for head in HEADS for word in head.words if word):
    if word not in names and word not in _LATER:
      raise ValueError(
        f'controls {names} lack {word!r}: record with a source that has it'
      )
  batch, _, columns = held.shape
  chunked = held[:, 1:].reshape(batch, -1, chunk_frames, columns)
  most = (chunked.mean(axis=2) > 0.5).astype(int)
  return _stacked(
    [
      none
      + sum(
        (
          (place - none) * most[..., names.index(word)]
          for place, word in enumerate(head.words)
          if word in names
        ),
        start=0 * most[..., 0],
      )
      for head in HEADS
      for none in [head.words.index('')]
    ]
  )


def _stacked(columns: list[AnyArray]) -> AnyArray:
  """Columns beside one another, as NumPy or, when traced, as JAX arrays."""
  if all(isinstance(column, np.ndarray) for column in columns):
    return np.stack(columns, axis=-1)
  return jnp.stack(columns, axis=-1)


def confusion(
  beliefs: Mapping[str, Float[np.ndarray, 'B _']],
  truth: Int[np.ndarray, 'B heads'],
) -> dict[str, Int[np.ndarray, 'K K']]:
  """Counts per head: rows what was held, columns what was read."""
  counts = {}
  for place, head in enumerate(HEADS):
    table = np.zeros((len(head.classes),) * 2, int)
    np.add.at(table, (truth[:, place], beliefs[head.name].argmax(-1)), 1)
    counts[head.name] = table
  return counts


def accuracy(table: Int[np.ndarray, 'K K']) -> float:
  """Share of a confusion matrix that lies on its diagonal."""
  return float(np.trace(table) / max(1, table.sum()))


def recall(table: Int[np.ndarray, 'K K'], place: int) -> intervals.Count:
  """Of the chunks in which a class was held, those read as this class."""
  return intervals.Count(int(table[place, place]), int(table[place].sum()))


def precision(table: Int[np.ndarray, 'K K'], place: int) -> intervals.Count:
  """Of the chunks read as a class, those in which it was held."""
  return intervals.Count(int(table[place, place]), int(table[:, place].sum()))


class Calibration(NamedTuple):
  """How often the likeliest class is right, by how likely it was said to be.

  Attributes:
    count: chunks in each of N equal bins of probability, from 0 to 1.
    said: sum over them of the probability of the likeliest class.
    right: of them, those that had this class.
  """

  count: Int[np.ndarray, 'N']
  said: Float[np.ndarray, 'N']
  right: Int[np.ndarray, 'N']

  @property
  def error(self) -> float:
    """Expected calibration error, a share (Naeini et al., 2015).

    The mean over chunks of how far apart, in its bin, what is said and what is
    right are; not a number of no chunks.
    """
    apart = np.abs(self.said - self.right).sum()
    count = self.count.sum()
    return float(apart / count) if count else math.nan


def calibration(
  beliefs: Float[np.ndarray, 'B K'], truth: Int[np.ndarray, 'B'], bins: int = 10
) -> Calibration:
  """The calibration of one head.

  Args:
    beliefs: log-probabilities of its classes.
    truth: the class that was held.
    bins: of probability.
  """
  said = np.exp(beliefs.max(axis=-1).astype(np.float64))
  right = beliefs.argmax(axis=-1) == truth
  place = np.minimum((said * bins).astype(int), bins - 1)
  count, sums, hits = (
    np.bincount(place, weights, minlength=bins)
    for weights in (None, said, right)
  )
  return Calibration(count, sums, hits.astype(int))
