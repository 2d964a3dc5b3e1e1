"""How far a folder's stories are from real film, by what eyes see of both."""

from collections.abc import Iterator, Mapping, Sequence
import itertools
from typing import Any

import numpy as np

from launch.evaluation.told import parts as parts_lib
from launch.evaluation.told import real as real_lib
from tv2tv_jax.evaluate import frechet

_BINS = 4  # of the time of a story
# Draws of an interval; of I3D's features each takes half a second.
_DRAWS = {'inverse dynamics': 100, 'I3D': 40}


def of(
  parts: Sequence[parts_lib.Part],
  real: real_lib.Real,
  other: real_lib.Real | None,
) -> dict[str, dict[str, Any]]:
  """The distance by each kind of features that there are.

  Args:
    parts: what is known of the stories, in the order of names.
    real: of real film, or of other stories.
    other: of more real film, whose distance from the first is none that
      stories could go below.
  """
  found = {}
  kinds = {
    'inverse dynamics': ([part.features for part in parts], 'chunks'),
    'I3D': ([part.i3d for part in parts], 'clips'),
  }
  for kind, (stories, name) in kinds.items():
    rows, own = getattr(real, name), real_lib.joined(stories)
    # As many on both sides: the bias is one of numbers.
    count = min(len(own.features), len(rows.features))
    if count > 1:
      own, rows = real_lib.some(own, count), real_lib.some(rows, count)
      floor = getattr(other, name) if other else None
      found[kind] = {
        **_distance(own, rows, floor, _DRAWS[kind]),
        'of': name,
        'times': list(_times(stories, rows)),
      }
  return found


def rows(parts: Sequence[parts_lib.Part]) -> real_lib.Real:
  """What eyes saw of stories, as it stands where real film does."""
  kinds = [part.features for part in parts], [part.i3d for part in parts]
  return real_lib.Real(*(real_lib.joined(films) for films in kinds), [])


def _distance(
  own: real_lib.Rows,
  real: real_lib.Rows,
  other: real_lib.Rows | None,
  draws: int,
) -> dict[str, Any]:
  """The distance of all rows, its interval, and what real film has."""
  whole = frechet.moments(real.features)
  figures = {
    'distance': frechet.distance(frechet.moments(own.features), whole),
    'samples': len(own.features),
    'real_samples': len(real.features),
    'width': own.features.shape[1],
    'real_to_real': None,
    'interval': None,
  }
  if other is not None and len(other.features) > 1:
    moments = frechet.moments(other.features)
    figures['real_to_real'] = frechet.distance(moments, whole)
    figures['real_to_real_samples'] = len(other.features)
  if len(own.groups) > 1 and len(real.groups) > 1:
    estimate = frechet.interval(own.groups, real.groups, draws)
    figures['interval'] = estimate._asdict()
  return figures


def _times(
  groups: Sequence[np.ndarray], real: real_lib.Rows
) -> Iterator[Mapping[str, Any]]:
  """The distance of each part of the stories' time, of equal length."""
  longest = max(map(len, groups))
  bins = min(_BINS, longest)
  edges = np.linspace(0, longest, bins + 1).round().astype(int)
  whole = frechet.moments(real.features)
  for begin, end in itertools.pairwise(edges):
    rows = np.concatenate([each[begin:end] for each in groups if len(each)])
    if len(rows) > 1:
      distance = frechet.distance(frechet.moments(rows), whole)
      yield {
        'from': int(begin),
        'to': int(end),
        'distance': distance,
        'samples': len(rows),
      }
