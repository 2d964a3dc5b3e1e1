"""Clips of recorded takes: a spread sample, or all of them in order."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from data_pipelines import records


class Clips(NamedTuple):
  """Clips side by side; the last batch is filled up with its last clip.

  Where clips differ in length, shorter ones repeat their last frames.
  """

  frames: np.ndarray  # uint8 [B, T, Y, X, 3]
  takes: tuple[records.Take, ...]  # of the first `len(takes)` clips
  starts: tuple[int, ...]  # their first frames in their takes


def sample(
  path: str, split: str, *, count: int, length: int, batch: int
) -> Iterator[Clips]:
  """`count` clips spread evenly over the takes of a split.

  They start on the grid of four frames on which the player decides. The same
  arguments give the same clips.
  """
  takes = records.Takes(path, split)
  rng = np.random.default_rng(0)

  def chosen():
    for index in np.linspace(0, len(takes) - 1, count).round().astype(int):
      take = takes[int(index)]
      last = take.frame_count - length
      if last < 0:
        raise ValueError(
          f'{take.where}: frame_count is {take.frame_count}, clips have '
          f'{length} frames: set fewer config.data.chunks'
        )
      start = 4 * int(rng.integers(last // 4 + 1))
      yield take, start, take.frames(start, start + length)

  return _batched(chosen(), batch)


def every(
  takes: Iterable[records.Take], *, length: int, stride: int, batch: int
) -> Iterator[Clips]:
  """All clips that begin at multiples of `stride` in their takes, in order.

  Takes shorter than `length` have none.
  """

  def chosen():
    for take in takes:
      if take.frame_count < length:
        continue
      frames = take.frames()
      for start in range(0, take.frame_count - length + 1, stride):
        yield take, start, frames[start : start + length]

  return _batched(chosen(), batch)


def whole(
  takes: Iterable[records.Take], *, step: int, batch: int
) -> Iterator[Clips]:
  """Every take as a clip of `1 + step * n` frames, in order.

  Takes of no `1 + step` frames have none.
  """
  return _batched(
    (
      (
        take,
        0,
        take.frames(0, take.frame_count - (take.frame_count - 1) % step),
      )
      for take in takes
      if take.frame_count > step
    ),
    batch,
  )


def _batched(
  clips: Iterator[tuple[records.Take, int, np.ndarray]], batch: int
) -> Iterator[Clips]:
  """Groups of `batch`, the last one filled up."""
  group = []
  for clip in clips:
    group.append(clip)
    if len(group) == batch:
      yield _group(group, batch)
      group = []
  if group:
    yield _group(group, batch)


def _group(
  group: list[tuple[records.Take, int, np.ndarray]], batch: int
) -> Clips:
  """Side by side, filled up to `batch` with the last one."""
  takes, starts, frames = zip(*group, strict=True)
  longest = max(map(len, frames))
  filled = [
    np.concatenate([clip, np.repeat(clip[-1:], longest - len(clip), axis=0)])
    for clip in frames
  ]
  filled += (batch - len(frames)) * filled[-1:]
  return Clips(np.stack(filled), takes, starts)
