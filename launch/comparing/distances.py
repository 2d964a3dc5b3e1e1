"""How much farther from real film one layout's stories are than another's."""

from collections.abc import Mapping, Sequence
import pathlib
from typing import Any

import numpy as np

from launch.evaluation.told import parts
from launch.evaluation.told import real
from tv2tv_jax.evaluate import frechet

_DRAWS = 200


Folders = Sequence[pathlib.Path]  # that `launch.evaluate` filled


def difference(ones: Folders, others: Folders) -> dict[str, Any] | None:
  """The difference of two Fréchet distances, by the reader's features.

  Args:
    ones: of one layout.
    others: of another, of as many stories.

  Returns:
    As `frechet.difference`, above zero where `ones` are farther away; None
    where a folder has nothing of stories or of real film.
  """
  if (sets := _sets(ones, others)) is None:
    return None
  found = frechet.difference(*sets, _DRAWS)
  groups, against, world = ([*map(len, each)] for each in sets)
  chunks = sum(groups), sum(against)
  return {**found._asdict(), 'chunks': chunks, 'real': sum(world)}


def growth(
  long: tuple[Folders, Folders], short: tuple[Folders, Folders]
) -> dict[str, float] | None:
  """How much farther the first of two are behind in long stories.

  As `frechet.growth`; each of the folders that `difference` takes.
  """
  sets = [_sets(*folders) for folders in (long, short)]
  if None in sets:
    return None
  return frechet.growth(*sets, _DRAWS)._asdict()


def _sets(
  ones: Folders, others: Folders
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]] | None:
  """Features of two layouts' stories and of real film; None: not of all."""
  world = real.rows_of(ones[0])
  groups, against = (
    [each for folder in folders for each in parts.features_of(folder)]
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
