"""Where a scene is split at key frames, so that each piece has its own words.

The paper splits scenes at key frames and has a text every 1.9 s on average;
how is open. Choice: a scene has as many pieces as its length asks for, and
they begin with the chunks in which the picture changes most. Over the key
frames of the codec, which its encoder put at fixed distances, and over a
threshold on change, which would say little in quiet scenes and too much in wild
ones.

A piece begins with a chunk: words are told before chunks, so a bound between
them would be told late.
"""

from collections.abc import Sequence
import dataclasses
import itertools
import math

import cv2
import numpy as np

from data_pipelines.sources import source

_WIDTH = 32  # pixels: what moves less than the half of one is no change


@dataclasses.dataclass(frozen=True, kw_only=True)
class Splitting:
  """How scenes are split.

  Attributes:
    piece: s that a piece lasts on average; each has a caption.
    shortest_piece: s that a piece lasts at least.
    longest_piece: s that a piece lasts at most; twice the shortest or more.
  """

  piece: float = 1.9
  shortest_piece: float = 1.0
  longest_piece: float = 3.0

  def piece_chunks(self, rate: float) -> tuple[int, int]:
    """Chunks of the shortest and of the longest piece at `rate` frames/s.

    Raises:
      ValueError: a setting is out of range; named.
    """
    shortest = math.ceil(self.shortest_piece * rate / source.CHUNK)
    longest = math.floor(self.longest_piece * rate / source.CHUNK)
    ordered = 0 < self.shortest_piece <= self.piece <= self.longest_piece
    if not ordered or longest < 2 * shortest:
      raise ValueError(
        f'shortest_piece is {self.shortest_piece}, piece {self.piece}, '
        f'longest_piece {self.longest_piece} s ({shortest} to {longest} '
        'chunks): they must be in this order, the longest twice the shortest'
      )
    return shortest, longest


def pieces_of(
  frames: np.ndarray, rate: float, settings: Splitting
) -> list[tuple[int, int]]:
  """First chunk of each piece, and the first one after it.

  Args:
    frames: uint8 [1 + 4 * chunks, Y, X, 3] of one take; `chunks` must not be
      fewer than those of the shortest piece.
    rate: frames/s.
    settings: how long pieces are.
  """
  chunks = (len(frames) - 1) // source.CHUNK
  shortest, longest = settings.piece_chunks(rate)
  wanted = round(chunks * source.CHUNK / rate / settings.piece)
  count = min(max(wanted, -(-chunks // longest)), chunks // shortest)
  return best_split(_changes(frames), count, shortest, longest)


def best_split(
  changes: Sequence[float], count: int, shortest: int, longest: int
) -> list[tuple[int, int]]:
  """Splits chunks into `count` pieces that begin as most changes.

  Args:
    changes: during each chunk; those during the first count for nothing.
    count: of pieces; must be possible.
    shortest: chunks of a piece.
    longest: likewise.

  Returns:
    Of each piece its first chunk, and the first one after it.
  """
  # The most change of any split of the first `end` chunks, and its bounds.
  best = {0: (0.0, (0,))}
  for _ in range(count):
    longer = {}
    for start, (change, bounds) in best.items():
      for end in range(start + shortest, start + longest + 1):
        if end > len(changes):
          break
        there = changes[end] if end < len(changes) else 0.0
        if end not in longer or longer[end][0] < change + there:
          longer[end] = (change + there, (*bounds, end))
    best = longer
  return list(itertools.pairwise(best[len(changes)][1]))


def _changes(frames: np.ndarray) -> list[float]:
  """How much the picture changes from the start of each chunk to its end."""
  height = max(1, round(_WIDTH * frames.shape[1] / frames.shape[2]))
  small = np.stack(
    [
      cv2.resize(frame, (_WIDTH, height), interpolation=cv2.INTER_AREA)
      for frame in frames[:: source.CHUNK]
    ]
  ).astype(np.float32)
  return np.abs(np.diff(small, axis=0)).mean((1, 2, 3)).tolist()
