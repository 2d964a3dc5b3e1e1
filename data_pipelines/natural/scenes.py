"""Where a film is cut, and which stretches of it become takes.

A cut is a frame whose picture changes far more than the frames around it do
(the adaptive detector of PySceneDetect), so that a fast camera makes none.
Every cut counts, however short the scene that it ends, so that no take holds
two scenes. A dissolve is no cut.

The paper says scenes of 6 to 16 s; how they were found is open, and the other
values are PySceneDetect's own.
"""

from collections.abc import Iterable, Iterator
import dataclasses
import itertools
import math
from typing import NamedTuple

import cv2
import numpy as np
import scenedetect

from data_pipelines.sources import source

_AROUND = 2  # frames on either side that a change is compared with


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cutting:
  """What is a scene.

  Attributes:
    shortest_scene: s from the first to the last frame of a scene; a shorter
      one is dropped.
    longest_scene: s from the first to the last frame of a take; a longer scene
      becomes several takes, as equal as chunks of 4 frames allow. Twice the
      shortest or more.
    cut_ratio: how many times as much as around it the picture changes at a cut.
    cut_change: by how much the picture changes at a cut at least, 0 to 255, on
      average over hue, saturation and value.
  """

  shortest_scene: float = 6.0
  longest_scene: float = 16.0
  cut_ratio: float = 3.0
  cut_change: float = 15.0

  def scene_chunks(self, rate: float) -> tuple[int, int]:
    """Chunks of the shortest and of the longest take at `rate` frames/s.

    Raises:
      ValueError: a setting is out of range; named.
    """
    for name in ('shortest_scene', 'longest_scene', 'cut_ratio', 'cut_change'):
      if not 0 < getattr(self, name) < math.inf:
        raise ValueError(
          f'{name} is {getattr(self, name)}; it must be positive'
        )
    shortest = math.ceil(self.shortest_scene * rate / source.CHUNK)
    longest = math.floor(self.longest_scene * rate / source.CHUNK)
    # So that a scene just too long has two halves that are long enough.
    if longest + 1 < 2 * shortest:
      raise ValueError(
        f'shortest_scene is {self.shortest_scene} s and longest_scene '
        f'{self.longest_scene} s, {shortest} and {longest} chunks: the '
        'longest must be twice the shortest'
      )
    return shortest, longest


class Part(NamedTuple):
  """Frames of one scene that become a take.

  Attributes:
    start: its first frame.
    chunks: of 4 frames, after the first frame.
    ended: whether the scene ends with it.
  """

  start: int
  chunks: int
  ended: bool

  @property
  def last(self) -> int:
    """Its last frame."""
    return self.start + source.CHUNK * self.chunks


def scenes_of(
  frames: Iterable[np.ndarray], rate: float, settings: Cutting
) -> list[tuple[int, int]]:
  """Of each scene its first frame, and the first one after it.

  Args:
    frames: uint8 [Y, X, 3] of the whole film; small ones will do.
    rate: frames/s.
    settings: what is a cut.
  """
  detector = scenedetect.AdaptiveDetector(
    adaptive_threshold=settings.cut_ratio,
    min_content_val=settings.cut_change,
    min_scene_len=1,
    window_width=_AROUND,
  )
  bounds, count = [0], 0
  for number, frame in enumerate(_extended(frames)):
    picture = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    time = scenedetect.FrameTimecode(number, float(rate))
    for cut in detector.process_frame(time, picture):
      bounds.append(cut.frame_num - _AROUND)
    count = number + 1 - 2 * _AROUND
  return list(itertools.pairwise([*bounds, count])) if count else []


def parts_of(
  scene: tuple[int, int], rate: float, settings: Cutting
) -> list[Part]:
  """The takes of a scene; none if it is too short.

  The last frame of a take is the first of the next one. Up to three frames at
  the scene's end, which make no chunk, are left out.
  """
  start, stop = scene
  shortest, longest = settings.scene_chunks(rate)
  chunks = (stop - 1 - start) // source.CHUNK
  if chunks < shortest:
    return []
  count = -(-chunks // longest)
  bounds = [chunks * index // count for index in range(count + 1)]
  return [
    Part(start + source.CHUNK * begin, end - begin, end == chunks)
    for begin, end in itertools.pairwise(bounds)
  ]


def _extended(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
  """The film, its first and its last frame standing, for cuts beside them."""
  frames = iter(frames)
  for frame in itertools.islice(frames, 1):
    yield from itertools.repeat(frame, _AROUND + 1)
    for frame in frames:
      yield frame
    yield from itertools.repeat(frame, _AROUND)
