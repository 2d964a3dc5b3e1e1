"""The frames of the takes of a film, one take after another.

A film is read once for its cuts and once for its takes, so that no more than a
take is ever held, however long a scene turns out to be.
"""

from collections.abc import Iterator, Sequence
import pathlib
from typing import NamedTuple

import numpy as np

from data_pipelines import film
from data_pipelines.natural import scenes
from data_pipelines.sources import source

_LOOK = 256  # pixels: cuts show in pictures of this width


class Plan(NamedTuple):
  """What becomes of a film.

  Attributes:
    parts: its takes, in order of time.
    short: scenes that are too short for one: first frame, and the one after.
    damage: why it was read no further; None if it was read to its end.
  """

  parts: list[scenes.Part]
  short: list[tuple[int, int]]
  damage: ValueError | None


class Shot(NamedTuple):
  """What is seen in a part of a film.

  Attributes:
    part: which one.
    frames: uint8 [1 + 4 * chunks, Y, X, 3], as the record has them.
    views: its first frame and the last of each chunk, uint8 [V, U, 3], as they
      are looked at.
  """

  part: scenes.Part
  frames: np.ndarray
  views: list[np.ndarray]


def plan_of(
  path: pathlib.Path,
  rate: float,
  size: tuple[int, int],
  cutting: scenes.Cutting,
) -> Plan:
  """Cuts a film, up to where it is damaged.

  Args:
    path: of the film.
    rate: frames/s.
    size: width and height of a frame; cuts are looked for in smaller pictures.
    cutting: what is a scene.
  """
  smaller = min(1.0, _LOOK / size[0])
  size = tuple(max(1, round(side * smaller)) for side in size)
  damage = []

  def looked() -> Iterator[np.ndarray]:
    try:
      for _, frame in film.frames(path, rate=rate, size=size):
        yield frame
    except ValueError as error:
      damage.append(error)

  parts, short = [], []
  for scene in scenes.scenes_of(looked(), rate, cutting):
    found = scenes.parts_of(scene, rate, cutting)
    parts.extend(found)
    if not found:
      short.append(scene)
  return Plan(parts, short, damage[0] if damage else None)


def shots_of(
  path: pathlib.Path,
  rate: float,
  parts: Sequence[scenes.Part],
  box: film.Box,
  view: film.Box,
) -> Iterator[Shot]:
  """Reads the parts of a film.

  Args:
    path: of the film.
    rate: frames/s.
    parts: in order of time; one may begin with the last frame of another.
    box: what the record shows of a picture.
    view: what is looked at.

  Raises:
    ValueError: the film is damaged; names the frame.
  """
  waiting = iter(parts)
  part = next(waiting, None)
  frames, views = [], []
  numbered = enumerate(film.frames(path, rate=rate)) if part else ()
  for number, (_, picture) in numbered:
    if number < part.start:
      continue
    frames.append(box.seen(picture))
    if (number - part.start) % source.CHUNK == 0:
      views.append(view.seen(picture))
    if number < part.last:
      continue
    yield Shot(part, np.stack(frames), views)
    part = next(waiting, None)
    if part is None:
      return
    shared = part.start == number
    frames, views = (frames[-1:], views[-1:]) if shared else ([], [])


def pictures_of(
  shot: Shot, bounds: Sequence[tuple[int, int]], count: int
) -> list[list[np.ndarray]]:
  """Up to `count` views of each piece, evenly spread; none is of two.

  Args:
    shot: what is seen.
    bounds: of each piece its first chunk, and the first one after it.
    count: of pictures.
  """
  middles = (np.arange(count) + 0.5) / count
  return [
    [
      shot.views[place]
      for place in np.unique((start + (stop - start) * middles).astype(int))
    ]
    for start, stop in bounds
  ]
