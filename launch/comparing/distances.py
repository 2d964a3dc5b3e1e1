"""How much farther from real film one layout's stories are than another's."""

from collections.abc import Mapping, Sequence
import functools
import pathlib
from typing import Any

import numpy as np

from launch.evaluation.told import parts
from launch.evaluation.told import real
from tv2tv_jax.evaluate import frechet

Folders = Sequence[pathlib.Path]  # that `launch.evaluate` filled

_DRAWS = 200
# Folders, and when each was filled: a page is written after every stage, and
# nothing is drawn again for folders that are as they were.
_Filled = tuple[tuple[pathlib.Path, int], ...]


def difference(ones: Folders, others: Folders) -> dict[str, Any] | None:
  """The difference of two Fréchet distances, by the reader's features.

  Args:
    ones: of one layout.
    others: of another, of as many stories.

  Returns:
    As `frechet.difference`, above zero where `ones` are farther away; None
    where a folder has nothing of stories or of real film.
  """
  return _difference(_filled(ones), _filled(others))


def growth(
  long: tuple[Folders, Folders], short: tuple[Folders, Folders]
) -> dict[str, float] | None:
  """How much farther the first of two are behind in long stories.

  As `frechet.growth`; each of the folders that `difference` takes.
  """
  return _growth(*(_filled(each) for pair in (long, short) for each in pair))


def _filled(folders: Folders) -> _Filled:
  """When folders were filled."""
  return tuple((f, (f / 'report.json').stat().st_mtime_ns) for f in folders)


@functools.cache
def _difference(ones: _Filled, others: _Filled) -> dict[str, Any] | None:
  if (sets := _sets(ones, others)) is None:
    return None
  found = frechet.difference(*sets, _DRAWS)
  groups, against, world = ([*map(len, each)] for each in sets)
  chunks = sum(groups), sum(against)
  return {**found._asdict(), 'chunks': chunks, 'real': sum(world)}


@functools.cache
def _growth(*folders: _Filled) -> dict[str, float] | None:
  sets = [_sets(*pair) for pair in (folders[:2], folders[2:])]
  if None in sets:
    return None
  return frechet.growth(*sets, _DRAWS)._asdict()


def _sets(
  ones: _Filled, others: _Filled
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]] | None:
  """Features of two layouts' stories and of real film; None: not of all."""
  world = real.rows_of(ones[0][0])
  groups, against = (
    [each for folder, _ in folders for each in parts.features_of(folder)]
    for folders in (ones, others)
  )
  if world is None or min(map(len, (groups, against, world.groups))) < 2:
    return None
  return groups, against, world.groups


def describe(found: Mapping[str, Any]) -> str:
  """The difference in words: '3.1 nearer [2.4, 3.9]'."""
  ends = [found[name] for name in ('corrected', 'low', 'high')]
  if ends[0] < 0:
    ends = [-ends[0], -ends[2], -ends[1]]
  where = 'nearer' if found['corrected'] < 0 else 'farther'
  value, low, high = (f'{np.round(each, 1):g}' for each in ends)
  return f'{value} {where} [{low}, {high}]'


def span(found: Mapping[str, float]) -> str:
  """A change with its interval: '+1.8 [+0.4, +3.2]'."""
  names = 'corrected', 'low', 'high'
  value, low, high = (f'{np.round(found[n], 1) + 0.0:+g}' for n in names)
  return f'{value} [{low}, {high}]'
