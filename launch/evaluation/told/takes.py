"""Real film beside stories, looked at once: what is known of each take.

Film goes through the file of a story first (`films.as_stored`): the codec is
no one's fault, and must be nobody's sign. What is known of a take is then kept
as that of a story is (`parts`), for the next folder of stories.
"""

from collections.abc import Sequence
import hashlib
import pathlib
from typing import Any, NamedTuple

from absl import logging
import numpy as np
import tqdm

from data_pipelines import records
from launch import witness
from launch.evaluation.told import films
from launch.evaluation.told import parts
from tv2tv_jax.evaluate import controls
from tv2tv_jax.vae import vae as vae_lib

_MOST = 2**30  # bytes of film that a reader is tested on


class Copier(NamedTuple):
  """The VAE whose copies of film a reader is tested on, too."""

  vae: vae_lib.Vae
  fingerprint: str


class Takes:
  """The takes of a split, as the same eyes see them."""

  def __init__(
    self,
    dataset: str,
    split: str,
    eyes: parts.Eyes,
    folder: pathlib.Path | None = None,
  ):
    """Looks at nothing yet.

    Args:
      dataset: recorded takes.
      split: of them.
      eyes: that look at stories, too.
      folder: keeps what is known of each take; None: nobody does.
    """
    self._takes = records.Takes(dataset, split)
    self._dataset, self._split = dataset, split
    self._eyes, self._folder = eyes, folder

  def __len__(self) -> int:
    return len(self._takes)

  def __getitem__(self, index: int) -> records.Take:
    return self._takes[index]

  def looked_at(self, places: Sequence[int], step: int) -> list[parts.Part]:
    """What is known of some takes; those shorter than a chunk are left out."""
    found = []
    name = f'look, real film, {self._split}'
    for index in tqdm.tqdm(places, desc=name, unit='take', dynamic_ncols=True):
      take = self._takes[index]
      if count := (take.frame_count - 1) // step:
        found.append(self._part(index, take, 1 + count * step, step))
    return found

  def read(self, step: int, copier: Copier | None) -> witness.Read:
    """What the reader makes of takes cut to the length that half of them have.

    Args:
      step: frames of a chunk.
      copier: makes copies; None: there are none.

    Raises:
      ValueError: no take is as long as a chunk.
    """
    places, length = self._alike(step)
    looked, count = self.looked_at(places, step), (length - 1) // step
    takes = [self._takes[n] for n in places]
    names = takes[0].control_names
    held = np.stack([take.controls[:length] for take in takes])
    return witness.Read(
      _beliefs(looked, count),
      np.stack([part.travel[: length - 1] for part in looked]),
      copier and _beliefs(self._copies(places, length, step, copier), count),
      controls.answers(held, names, step),
      names,
      step,
    )

  def _alike(self, step: int) -> tuple[list[int], int]:
    """Takes of one length or more, spread over the split; and that length."""
    middle = self._takes[len(self) // 2]
    size = 3 * middle.frame_count * middle.height * middle.width
    places = spread(len(self), max(1, _MOST // size)).tolist()
    counts = {n: self._takes[n].frame_count for n in places}
    usual = sorted(counts.values())[len(counts) // 2]
    length = 1 + max(1, (usual - 1) // step) * step
    places = [n for n in places if counts[n] >= length]
    if not places:
      raise ValueError(
        f'{self._dataset}: no take of split {self._split!r} has {length} '
        'frames, a chunk'
      )
    return places, length

  def _part(
    self, index: int, take: records.Take, length: int, step: int
  ) -> parts.Part:
    """What is known of the first frames of a take."""
    told = self._told(index, take, length, step)
    key = self._eyes.key(told.digest, '')
    if (known := self._kept(told, key)) is None:
      (frames,) = films.as_stored([take.frames(0, length)], take.rate)
      known = parts.seen(told, frames, self._eyes, None)
      self._keep(known, key)
    return known

  def _copies(
    self, places: Sequence[int], length: int, step: int, copier: Copier
  ) -> list[parts.Part]:
    """What is known of the VAE's copies of takes."""
    told = [self._told(n, self._takes[n], length, step) for n in places]
    told = [each._replace(name=f'{each.name}-copy') for each in told]
    reader = self._eyes._replace(i3d=None)
    keys = [reader.key(each.digest, copier.fingerprint) for each in told]
    known = [self._kept(*each) for each in zip(told, keys, strict=True)]
    if None not in known:
      return known
    frames = np.stack([self._takes[n].frames(0, length) for n in places])
    again = zip(told, witness.copied(copier.vae, frames), strict=True)
    known = [parts.seen(each, copy, reader, None) for each, copy in again]
    for part, key in zip(known, keys, strict=True):
      self._keep(part, key)
    return known

  def _told(
    self, index: int, take: records.Take, length: int, step: int
  ) -> films.Told:
    """A take as if it were a story."""
    digest = hashlib.sha256(take.video)
    digest.update(repr((take.rate, length, step)).encode())
    record = {
      'rate': take.rate,
      'size': [take.height, take.width],
      'chunk_frames': step,
    }
    name = f'{self._split}-{index:06d}'
    return films.Told(name, record, digest.hexdigest())

  def _kept(self, told: films.Told, key: dict[str, Any]) -> parts.Part | None:
    """What was kept of a take."""
    if self._folder is None:
      return None
    found = parts.loaded(self._folder, told, key)
    return found if isinstance(found, parts.Part) else None

  def _keep(self, part: parts.Part, key: dict[str, Any]) -> None:
    """Keeps it, where that can be; else it is looked at again next time."""
    if self._folder is None:
      return
    try:
      parts.save(self._folder, part, key)
    except OSError as error:
      logging.warning('%s: real film is not kept: %s', self._folder, error)


def spread(of: int, count: int) -> np.ndarray:
  """So many places of so many, evenly; all where there are not so many."""
  count = min(of, count)
  return np.linspace(0, of - 1, count).round().astype(int)


def _beliefs(some: Sequence[parts.Part], count: int) -> dict[str, np.ndarray]:
  """Beliefs of the first chunks of each, head by head."""
  return {
    name: np.stack([part.beliefs[name][:count] for part in some])
    for name in some[0].beliefs
  }
