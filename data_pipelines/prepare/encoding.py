"""A dataset of latents as a job: it stops, goes on, and is shared by hosts.

A *piece* is what the takes `[k * size, (k + 1) * size)` of a split become: a
file of clips, and beside it a mark that counts them, written last. What has a
mark is never made again. Hosts that see one file system take every so-manieth
piece each and need not know of one another; whoever finds all of them whole
joins them, under a lock. What a piece holds depends on the recipe and its
takes alone, so neither stops nor the number of hosts change a byte.
"""

from collections.abc import Iterable, Mapping
import hashlib
import json
import os
import pathlib
import shutil
from typing import Any, NamedTuple

from data_pipelines import latents
from data_pipelines.prepare import dataset

_SUMMARY = 'summary.json'


class Piece(NamedTuple):
  """A unit of work."""

  split: str
  takes: range  # places in the split
  path: pathlib.Path  # of its clips

  @property
  def mark(self) -> pathlib.Path:
    """What says that the piece is whole."""
    return self.path.with_suffix('.json')


class Counts(NamedTuple):
  """What came of takes."""

  takes: int
  short: int  # takes that are shorter than a clip
  clips: int


class Job:
  """The pieces of a dataset of latents: all of them, and what is left."""

  def __init__(
    self,
    out: str | os.PathLike,
    metadata: latents.Metadata,
    recipe: Mapping[str, Any],
    takes: Mapping[str, int],
    size: int,
  ):
    """Plans; touches nothing.

    Args:
      out: folder of the dataset.
      metadata: of its latents.
      recipe: all that its content depends on.
      takes: how many each split has.
      size: takes of a piece.
    """
    self.out = pathlib.Path(out)
    self.recipe = {**recipe, 'version': latents.VERSION}
    self._metadata = metadata
    place = dataset.partial(out)
    self.pieces = [
      Piece(
        split,
        range(first, min(first + size, count)),
        place / f'{split}-{first // size:05d}.array_record',
      )
      for split, count in takes.items()
      for first in range(0, count, size)
    ]

  def is_finished(self) -> bool:
    """Whether the dataset is there; ValueError if it is of another recipe."""
    return dataset.is_finished(self.out, self.recipe)

  def begin(self) -> None:
    """Makes the place for pieces, unless the dataset is finished.

    Raises:
      ValueError: another recipe is at work there, or was.
    """
    if not self.is_finished():
      with dataset.held(self.out):
        if not self.is_finished():
          dataset.begin(self.out, self.recipe)

  def missing(self) -> list[Piece]:
    """The pieces that nobody has made yet; none of a finished dataset."""
    missing = [
      piece
      for piece in self.pieces
      if not (piece.mark.exists() and piece.path.exists())
    ]
    return [] if missing and self.is_finished() else missing

  def write(self, piece: Piece, clips: Iterable[latents.Clip]) -> Counts:
    """Makes a piece.

    Args:
      piece: which.
      clips: of its takes, in order; the first of each begins at 0 s.

    Raises:
      ValueError: a clip does not fit the metadata.
      OSError: the disk is full.
    """
    number = long = 0

    def records():
      nonlocal number, long
      for clip in clips:
        yield latents.record_of(clip, self._metadata)
        number += 1
        long += clip.start == 0.0

    dataset.write_piece(piece.path, latents.features(), records())
    counts = Counts(len(piece.takes), len(piece.takes) - long, number)
    dataset.write_text(piece.mark, json.dumps(counts._asdict()) + '\n')
    return counts

  def join(self) -> Counts:
    """Makes the dataset of all pieces, unless another host has.

    Raises:
      ValueError: a piece is damaged, or no take became a clip.
      OSError: the disk is full.
    """
    if not self.is_finished():
      with dataset.held(self.out):
        if not self.is_finished():
          self._join()
    # Also what a process left that was killed in here.
    shutil.rmtree(dataset.partial(self.out), ignore_errors=True)
    return _counts(self.out / _SUMMARY)

  def _join(self) -> None:
    """Only for whoever holds the lock."""
    counts = {piece: _counts(piece.mark) for piece in self.pieces}
    files = {}
    for piece, counted in counts.items():
      found = dataset.count(piece.path)
      if found != counted.clips:
        raise ValueError(
          f'{piece.path}: has {found} clips of {counted.clips}; delete it and '
          'run again'
        )
      if found:
        files.setdefault(piece.split, []).append(piece.path)
    if not files:
      raise ValueError(f'{self.out}: no take is as long as a clip')
    summary = Counts(*map(sum, zip(*counts.values(), strict=True)))
    dataset.finish(
      self.out,
      'latents',
      latents.features(),
      files,
      version=latents.VERSION,
      description='Clips encoded by a causal VAE, with the words before each.',
      extra={
        latents.METADATA: latents.metadata_json(self._metadata),
        _SUMMARY: json.dumps(summary._asdict(), indent=2) + '\n',
      },
    )


def share(pieces: Iterable[Piece], host: int, hosts: int) -> list[Piece]:
  """The pieces of one host of many.

  Raises:
    ValueError: there is no such host.
  """
  if not 0 <= host < hosts:
    raise ValueError(
      f'--host={host} of --hosts={hosts}: number them from 0 to {hosts - 1}'
    )
  return [*pieces][host::hosts]


def fingerprint(directory: str | os.PathLike) -> str:
  """Sixteen hex digits that name the content of a finished dataset.

  Of its recipe, if it has one, and of what it says of its files; its folder
  and its name do not count.
  """
  digest = hashlib.sha256()
  for name in (dataset.RECIPE, 'dataset_info.json'):
    path = pathlib.Path(directory) / name
    digest.update(path.read_bytes() if path.is_file() else b'')
  return digest.hexdigest()[:16]


def _counts(path: pathlib.Path) -> Counts:
  """What a mark or a summary says; ValueError if it is damaged."""
  try:
    return Counts(**json.loads(path.read_text()))
  except (ValueError, TypeError) as error:
    raise ValueError(
      f'{path}: damaged ({error}); delete it and run again'
    ) from None
