"""Checkpoints that are of no use: never passed over in silence."""

from collections.abc import Collection
import itertools
import pathlib
import sys

import tqdm

_UNFINISHED = '*.orbax-checkpoint-tmp'  # How Orbax names what it writes.


def say(line: str) -> None:
  """Says what must not be missed, whatever bar is drawn."""
  tqdm.tqdm.write(line, file=sys.stderr)


def tell_unfinished(folder: pathlib.Path) -> None:
  """Says which checkpoints an interruption left unfinished."""
  for path in sorted(folder.glob(_UNFINISHED)):
    say(f'{path}: AN UNFINISHED CHECKPOINT, removed')


def set_aside(folder: pathlib.Path, steps: Collection[int], used: int) -> None:
  """Renames checkpoints, so that their steps can be saved again.

  Args:
    folder: of all checkpoints.
    steps: whose are damaged.
    used: the step of the checkpoint that is used instead.
  """
  for step in steps:
    places = (folder / f'.broken-{step}-{n}' for n in itertools.count())
    place = next(place for place in places if not place.exists())
    (folder / str(step)).rename(place)
    say(f'{place}: what was damaged; going on from step {used}')
