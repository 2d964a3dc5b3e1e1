"""Real film beside stories: what it shows of itself, judged by the same rules.

Film goes through the file of a story first (`films.as_stored`): the codec is
no one's fault, and must be nobody's sign.
"""

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
from launch.evaluation import reader as reader_lib
from launch.evaluation.told import films
from launch.evaluation.told import parts
from tv2tv_jax.evaluate import obedience
from tv2tv_jax.vae import vae as vae_lib

_KEPT = 'real.npz'
_MOST = 2**30  # bytes of film that are looked at for ceilings


class Rows(NamedTuple):
  """Features of film, and which take each row is of."""

  features: Float[np.ndarray, 'N F']
  takes: Int[np.ndarray, 'N']

  @property
  def groups(self) -> list[Float[np.ndarray, '_ F']]:
    """The rows of each take."""
    return [self.features[self.takes == n] for n in np.unique(self.takes)]


class Real(NamedTuple):
  """What eyes see of real film, and what changes in each take.

  Attributes:
    chunks: by the reader.
    clips: by I3D.
    times: of each take, beginning with its first frame.
  """

  chunks: Rows
  clips: Rows
  times: list[parts.InTime]

  @property
  def features(self) -> Float[np.ndarray, 'N F']:
    """Of chunks."""
    return self.chunks.features

  @property
  def i3d(self) -> Float[np.ndarray, 'K G']:
    """Of clips."""
    return self.clips.features


def seen(
  dataset: str,
  split: str,
  eyes: parts.Eyes,
  film: Mapping[str, Any],
  wanted: tuple[int, int],
) -> Real:
  """What eyes see of film spread evenly over a split, not chosen by look.

  Args:
    dataset: recorded takes.
    split: of them.
    eyes: look at them.
    film: rate, size and chunks that they must have, as story.json says them.
    wanted: how many chunks and clips; there are fewer where the split is
      short.

  Raises:
    ValueError: no such takes, or of another rate or size.
  """
  takes, step = records.Takes(dataset, split), film['chunk_frames']
  _check(takes[0], film)
  usual = max(1, (takes[len(takes) // 2].frame_count - 1) // step)
  clips = max(1, usual * step // parts.CLIP)
  count = math.ceil(max(wanted[0] / usual, wanted[1] / clips))
  features, i3d, times = [], [], []
  for index in _spread(len(takes), count):
    take = takes[index]
    length = (take.frame_count - 1) // step
    if not length:
      continue
    (frames,) = films.as_stored([take.frames(0, 1 + length * step)], take.rate)
    features.append(parts.read(eyes, frames)[1])
    i3d.append(parts.of_clips(eyes, frames))
    times.append(parts.in_time(frames))
  found = zip((features, i3d), wanted, strict=True)
  rows = (some(joined(each), count) for each, count in found)
  return Real(*rows, times)


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
  places = _spread(len(rows.features), count)
  return Rows(*(each[places] for each in rows))


def _spread(of: int, count: int) -> np.ndarray:
  """So many places of so many, evenly; all where there are not so many."""
  count = min(of, count)
  return np.linspace(0, of - 1, count).round().astype(int)


def _check(take: records.Take, film: Mapping[str, Any]) -> None:
  """ValueError if a take has another rate or size than stories have."""
  own = {'rate': take.rate, 'size': [take.height, take.width]}
  for field, value in own.items():
    if film[field] != value:
      raise ValueError(
        f'{take.where}: {field} is {value}, of the stories {film[field]}: '
        'they cannot be compared'
      )


def footage(
  dataset: str, split: str, step: int, vae: vae_lib.Vae | None
) -> witness.Footage:
  """Film of a split that readers are tested on, with what was held.

  Takes are cut to the length that half of them have.

  Args:
    dataset: recorded takes.
    split: of them.
    step: frames of a chunk.
    vae: gives copies of the film; None: there are none.
  """
  source = records.Takes(dataset, split)
  middle = source[len(source) // 2]
  size = 3 * middle.frame_count * middle.height * middle.width
  some = [source[n] for n in _spread(len(source), max(1, _MOST // size))]
  counts = sorted(take.frame_count for take in some)
  length = 1 + max(1, (counts[len(counts) // 2] - 1) // step) * step
  takes = [take for take in some if take.frame_count >= length]
  if not takes:
    raise ValueError(
      f'{dataset}: no take of split {split!r} has {length} frames, a chunk'
    )
  frames = np.stack([take.frames(0, length) for take in takes])
  rate = takes[0].rate
  return witness.Footage(
    np.stack([*films.as_stored(frames, rate)]),
    None if vae is None else witness.copied(vae, frames),
    np.stack([take.controls[:length] for take in takes]),
    takes[0].control_names,
    tuple(take.prompt for take in takes),
    rate,
  )


def ceilings(
  reader: reader_lib.Reader, film: witness.Footage, chunks: int
) -> dict[str, dict[str, Any]]:
  """What of real film obeys each word, judged over so many chunks or fewer."""
  words = (*obedience.instructions(film.names), obedience.REFERENCE)
  windows = witness.real_windows(reader.model, film, chunks, words)
  return {word: verdicts.ceiling(word, real) for word, real in windows.items()}
