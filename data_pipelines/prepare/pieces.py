"""A dataset as a job of pieces: it stops, goes on, and is shared.

A *piece* is a file of records, and beside it a mark that counts them, written
last: what has a mark is never made again. Who makes a piece, when, and how many
others are at work changes no byte of it. Whoever finds all pieces whole joins
them, under a lock.
"""

from collections.abc import Callable, Mapping, Sequence
import json
import os
import pathlib
import shutil
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from data_pipelines.prepare import dataset


class Piece(Protocol):
  """A unit of work."""

  @property
  def split(self) -> str:
    """The split that its records are of."""
    ...

  @property
  def path(self) -> pathlib.Path:
    """The file of its records."""
    ...


Files = dict[str, list[pathlib.Path]]  # of each split that has a record
_Piece = TypeVar('_Piece', bound=Piece)
_Counts = TypeVar('_Counts')


def mark(path: pathlib.Path) -> pathlib.Path:
  """What says that the piece of this file is whole."""
  return path.with_suffix('.json')


def write_mark(path: pathlib.Path, counts: NamedTuple) -> None:
  """Says that the piece of this file is whole, and what is in it."""
  dataset.write_text(mark(path), json.dumps(counts._asdict()) + '\n')


class Job(Generic[_Piece, _Counts]):
  """The pieces of a dataset: all of them, and what is left."""

  def __init__(
    self,
    out: str | os.PathLike,
    recipe: Mapping[str, Any],
    pieces: Sequence[_Piece],
    *,
    counts: Callable[..., _Counts],
    records: str,
  ):
    """Plans; touches nothing.

    Args:
      out: folder of the dataset.
      recipe: all that its content depends on.
      pieces: in the order of their records.
      counts: makes what a mark says of its fields.
      records: the field of it that counts the piece's records.
    """
    self.out = pathlib.Path(out)
    self.recipe = json.loads(json.dumps(recipe))
    self.pieces = pieces
    self._counts, self._records = counts, records

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

  def missing(self) -> list[_Piece]:
    """The pieces that nobody has made yet; none of a finished dataset."""
    missing = [
      piece
      for piece in self.pieces
      if not (mark(piece.path).exists() and piece.path.exists())
    ]
    return [] if missing and self.is_finished() else missing

  def join_by(self, finish: Callable[[list[_Counts], Files], None]) -> None:
    """Makes the dataset of all pieces, unless another has.

    Args:
      finish: makes it, of all marks and of the files that hold a record.

    Raises:
      ValueError: a piece is damaged.
      OSError: the disk is full.
    """
    if not self.is_finished():
      with dataset.held(self.out):
        if not self.is_finished():
          finish(*self._whole())
    # Also what a process left that was killed in here.
    shutil.rmtree(dataset.partial(self.out), ignore_errors=True)

  def _whole(self) -> tuple[list[_Counts], Files]:
    """All marks, and the files of each split; for whoever holds the lock."""
    marks = [read(mark(piece.path), self._counts) for piece in self.pieces]
    files = {}
    for piece, counted in zip(self.pieces, marks, strict=True):
      found = dataset.count(piece.path)
      wanted = getattr(counted, self._records)
      if found != wanted:
        raise ValueError(
          f'{piece.path}: has {found} {self._records} of {wanted}; delete it '
          'and run again'
        )
      if found:
        files.setdefault(piece.split, []).append(piece.path)
    return marks, files


def read(path: pathlib.Path, counts: Callable[..., _Counts]) -> _Counts:
  """What a mark or a summary says; ValueError if it is damaged."""
  try:
    return counts(**json.loads(path.read_text()))
  except (ValueError, TypeError) as error:
    raise ValueError(
      f'{path}: damaged ({error}); delete it and run again'
    ) from None
