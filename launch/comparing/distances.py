"""How much farther from real film one layout's stories are than another's."""

from collections.abc import Sequence
import pathlib
from typing import Any

import numpy as np

from launch.evaluation.told import parts
from launch.evaluation.told import real
from tv2tv_jax.evaluate import frechet

_DRAWS = 200


def difference(
  ones: Sequence[pathlib.Path], others: Sequence[pathlib.Path]
) -> dict[str, Any] | None:
  """The difference of two Fréchet distances, by the reader's features.

  Args:
    ones: folders that `launch.evaluate` filled, of one layout.
    others: of another, of as many stories.

  Returns:
    As `frechet.difference`, above zero where `ones` are farther away; None
    where a folder has nothing of stories or of real film.
  """
  world = real.rows_of(ones[0])
  groups, against = (
    [each for folder in folders for each in parts.features_of(folder)]
    for folders in (ones, others)
  )
  if world is None or min(map(len, (groups, against, world.groups))) < 2:
    return None
  chunks = sum(map(len, groups)), sum(map(len, against))
  found = frechet.difference(groups, against, world.groups, _DRAWS)
  return {**found._asdict(), 'chunks': chunks, 'real': len(world.features)}


def describe(found: dict[str, Any]) -> str:
  """The difference in words: '3.1 nearer [2.4, 3.9]'."""
  ends = [found[name] for name in ('corrected', 'low', 'high')]
  if ends[0] < 0:
    ends = [-ends[0], -ends[2], -ends[1]]
  where = 'nearer' if found['corrected'] < 0 else 'farther'
  value, low, high = (f'{np.round(each, 1):g}' for each in ends)
  return f'{value} {where} [{low}, {high}]'
