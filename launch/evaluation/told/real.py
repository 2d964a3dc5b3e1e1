"""Real film beside stories, and what it shows of itself by the same rules."""

from collections.abc import Mapping, Sequence
import io
import math
import pathlib
from typing import Any, NamedTuple

from jaxtyping import Float, Int
import numpy as np

from data_pipelines import records
from data_pipelines.prepare import dataset as dataset_lib
from launch import verdicts
from launch import witness
from launch.evaluation.told import parts
from launch.evaluation.told import takes as takes_lib
from tv2tv_jax.evaluate import obedience

_KEPT = 'real.npz'


class Rows(NamedTuple):
  """Features of film, and which take each row is of."""

  features: Float[np.ndarray, 'N F']
  takes: Int[np.ndarray, 'N']

  @property
  def groups(self) -> list[Float[np.ndarray, '_ F']]:
    """The rows of each take."""
    return [self.features[self.takes == n] for n in np.unique(self.takes)]


class Real(NamedTuple):
  """What eyes see of real film.

  Attributes:
    chunks: by the reader.
    clips: by I3D.
    takes: what is known of each take, from its first frame.
  """

  chunks: Rows
  clips: Rows
  takes: Sequence[parts.Part]

  @property
  def features(self) -> Float[np.ndarray, 'N F']:
    """Of chunks."""
    return self.chunks.features

  @property
  def i3d(self) -> Float[np.ndarray, 'K G']:
    """Of clips."""
    return self.clips.features


def seen(
  takes: takes_lib.Takes, film: Mapping[str, Any], wanted: tuple[int, int]
) -> Real:
  """What eyes see of film spread evenly over a split, not chosen by look.

  Args:
    takes: of the split.
    film: rate, size and chunks that they must have, as story.json says them.
    wanted: how many chunks and clips; there are fewer where the split is
      short.

  Raises:
    ValueError: no such takes, or of another rate or size.
  """
  step = film['chunk_frames']
  _check(takes[0], film)
  usual = max(1, (takes[len(takes) // 2].frame_count - 1) // step)
  clips = max(1, usual * step // parts.CLIP)
  count = math.ceil(max(wanted[0] / usual, wanted[1] / clips))
  looked = takes.looked_at(takes_lib.spread(len(takes), count).tolist(), step)
  kinds = [part.features for part in looked], [part.i3d for part in looked]
  found = zip(kinds, wanted, strict=True)
  rows = (some(joined(each), count) for each, count in found)
  return Real(*rows, looked)


def keep(out: pathlib.Path, rows: Rows) -> None:
  """Writes the features beside the figures that were made with them."""
  buffer = io.BytesIO()
  np.savez_compressed(buffer, **rows._asdict())
  dataset_lib.write_bytes(out / _KEPT, buffer.getvalue())


def rows_of(out: pathlib.Path) -> Rows | None:
  """The features that were kept there; None: none were."""
  try:
    with np.load(out / _KEPT) as kept:
      return Rows(kept['features'], kept['takes'])
  except FileNotFoundError:
    return None


def joined(films: Sequence[Float[np.ndarray, '_ F']]) -> Rows:
  """The rows of some films; some may have none."""
  takes = np.repeat(np.arange(len(films)), [len(each) for each in films])
  rows = [each for each in films if len(each)]
  none = np.zeros((0, 0), np.float32)
  return Rows(np.concatenate(rows) if rows else none, takes)


def some(rows: Rows, count: int) -> Rows:
  """So many of them, evenly over them."""
  places = takes_lib.spread(len(rows.features), count)
  return Rows(*(each[places] for each in rows))


def _check(take: records.Take, film: Mapping[str, Any]) -> None:
  """ValueError if a take has another rate or size than stories have."""
  own = {'rate': take.rate, 'size': [take.height, take.width]}
  for field, value in own.items():
    if film[field] != value:
      raise ValueError(
        f'{take.where}: {field} is {value}, of the stories {film[field]}: '
        'they cannot be compared'
      )


def ceilings(film: witness.Read, chunks: int) -> dict[str, dict[str, Any]]:
  """What of real film obeys each word, judged over so many chunks or fewer."""
  words = (*obedience.instructions(film.names), obedience.REFERENCE)
  windows = witness.real_windows(film, chunks, words)
  return {word: verdicts.ceiling(word, real) for word, real in windows.items()}
