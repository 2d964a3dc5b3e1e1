"""Batches of film for the VAE and for the inverse dynamics.

They are endless, shuffled, and a pure function of the seed and the number of
the batch.
"""

import bisect
from collections.abc import Sequence
import itertools
import os
import threading

import grain
import numpy as np

from data_pipelines import records
from data_pipelines import stream as stream_lib

GRID = 4  # frames between the starts of clips: controls change on it


class ClipSource:
  """Every clip of a split that starts on a grid, as `frames` and `controls`.

  Decoded takes are kept in memory up to a limit; beyond it, each clip is
  decoded when it is asked for.
  """

  def __init__(
    self,
    directory: str | os.PathLike,
    split: str,
    *,
    frames: int,
    stride: int = GRID,
    memory: int = 2**30,
  ):
    """Opens a split.

    Args:
      directory: a dataset of takes.
      split: of it.
      frames: of a clip.
      stride: frames between the starts of clips.
      memory: bytes of decoded frames to keep.

    Raises:
      ValueError: no take is as long as a clip.
    """
    if frames < 1 or stride < 1:
      raise ValueError(f'frames ({frames}) and stride ({stride}) must be >= 1')
    self._takes = records.Takes(directory, split)
    self._frames, self._stride = frames, stride
    self._left, self._kept = memory, {}
    self._lock = threading.Lock()
    counts = [take.frame_count for take in self._takes]
    self._ends = list(
      itertools.accumulate(
        max(0, (count - frames) // stride + 1) for count in counts
      )
    )
    if not counts or not self._ends[-1]:
      longest = max(counts, default=0)
      raise ValueError(
        f'{directory}: no take of split {split!r} has {frames} frames, '
        f'the longest has {longest}'
      )

  def __len__(self) -> int:
    return self._ends[-1]

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    which = bisect.bisect_right(self._ends, index)
    before = self._ends[which - 1] if which else 0
    start = (int(index) - before) * self._stride
    stop = start + self._frames
    kept = self._kept.get(which)
    if kept is None:
      take = self._takes[which]
      if not self._room_for(take):
        return {
          'frames': take.frames(start, stop),
          'controls': take.controls[start:stop],
        }
      kept = self._kept[which] = take.frames(), take.controls
    frames, controls = kept
    return {'frames': frames[start:stop], 'controls': controls[start:stop]}

  def _room_for(self, take: records.Take) -> bool:
    """Takes the room for a take's frames, if there is as much."""
    size = take.frame_count * take.height * take.width * 3
    with self._lock:
      keep = size <= self._left
      self._left -= size if keep else 0
    return keep

  def __repr__(self) -> str:
    return f'ClipSource({len(self)} clips of {self._frames} frames)'


def clips(
  directory: str | os.PathLike,
  split: str,
  *,
  frames: int,
  batch: int,
  seed: int,
  share: stream_lib.Share = stream_lib.ALL,
  with_controls: bool = False,
) -> stream_lib.Stream:
  """Batches of `frames` uint8 [B, T, Y, X, 3].

  With `with_controls`, also `controls` uint8 [B, T, K]; row 0 of a clip is
  what made its first frame.
  """
  source = ClipSource(directory, split, frames=frames)
  names = ('frames', 'controls') if with_controls else ('frames',)
  return stream_lib.Stream(
    batches(source, batch, seed, share=share, names=names)
  )


def batches(
  source: ClipSource,
  batch: int,
  seed: int,
  *,
  share: stream_lib.Share = stream_lib.ALL,
  names: Sequence[str] = ('frames',),
) -> grain.MapDataset:
  """Endless batches of shuffled clips, with the fields `names` of each."""
  order = grain.MapDataset.range(len(source)).seed(seed).shuffle().repeat()
  mine = grain.MapDataset.source(stream_lib.Mine(order, batch, share))

  def read_clips(places: list[int]) -> dict[str, np.ndarray]:
    clips = [source[place] for place in places]
    return {name: np.stack([clip[name] for clip in clips]) for name in names}

  return mine.map(read_clips)
