"""Several stories to a row: an endless sequence of rows, each by its number.

Row `i` is a pure function of the windows of an epoch, the seed and `i`, found
at once and without the rows before it: so any host can make any row, and a run
goes on from any of them.

Windows of one size are one *kind*. Which kinds share a row is decided once, by
counting (`patterns`): best fit, largest first, over the whole split. An epoch
then shuffles the windows of each kind among the places for their kind, and the
rows. So every epoch has the same number of rows and every window in one of
them, beside others each time.
"""

import bisect
from collections.abc import Sequence
import itertools
import sys
from typing import NamedTuple

from jaxtyping import Int
import numpy as np

from data_pipelines import windows as windows_lib

Row = tuple[windows_lib.Window, ...]


class Pattern(NamedTuple):
  """Rows that hold windows of the same kinds.

  In the `r`-th of them, place `p` has the window `begins[p] + r * steps[p]` of
  its kind.

  Attributes:
    rows: how many.
    kinds: of the windows in a row, in order.
    begins: how many windows of the kind stand before, in the first row.
    steps: how many of the kind a row holds.
  """

  rows: int
  kinds: tuple[int, ...]
  begins: tuple[int, ...]
  steps: tuple[int, ...]


def patterns(
  chunks: Int[np.ndarray, 'K'],
  text: Int[np.ndarray, 'K'],
  counts: Int[np.ndarray, 'K'],
  room: tuple[int, int],
) -> list[Pattern]:
  """Rows for windows of some kinds, all of them.

  What has most text stands first in its row.

  Args:
    chunks: of a window of each kind.
    text: of it, in any unit.
    counts: windows of each kind.
    room: chunks and text that a row holds; each kind fits one.
  """
  left, found = np.array(counts), []
  largest = np.lexsort((-np.asarray(text), -np.asarray(chunks)))
  while left.any():
    free, kinds = left.copy(), []
    spare = list(room)
    while True:
      fit = (free > 0) & (chunks <= spare[0]) & (text <= spare[1])
      ordered = largest[fit[largest]]
      if not len(ordered):
        break
      kind = int(ordered[0])
      kinds.append(kind)
      free[kind] -= 1
      spare = [spare[0] - int(chunks[kind]), spare[1] - int(text[kind])]
    kinds.sort(key=lambda kind: -text[kind])
    steps = [kinds.count(kind) for kind in kinds]
    rows = min(int(left[k]) // n for k, n in zip(kinds, steps, strict=True))
    used = [int(counts[kind] - left[kind]) for kind in kinds]
    begins = [
      before + kinds[:place].count(kinds[place])
      for place, before in enumerate(used)
    ]
    found.append(Pattern(rows, tuple(kinds), tuple(begins), tuple(steps)))
    for kind, step in set(zip(kinds, steps, strict=True)):
      left[kind] -= rows * step
  return found


class Rows:
  """Rows of windows, by their number; endless where there is a seed."""

  def __init__(
    self,
    windows: windows_lib.Windows,
    kinds: Int[np.ndarray, 'W'],
    patterns: Sequence[Pattern],
    *,
    source: int = 0,
    seed: int | None = None,
    start_share: float = 0.0,
  ):
    """Plans; an epoch is `count` rows with some window of each of `clips`.

    Args:
      windows: of an epoch.
      kinds: of each of them, numbers from 0.
      patterns: which kinds share a row.
      source: number of the dataset.
      seed: of all that is drawn; None: nothing is, and there is one epoch.
      start_share: share of the windows that begin as early as they may; the
        others begin anywhere.
    """
    self._windows, self._patterns = windows, patterns
    self._source, self._seed, self._share = source, seed, start_share
    self._ends = list(itertools.accumulate(p.rows for p in patterns))
    self.count = self._ends[-1]
    self.clips = len(np.unique(windows.clip))
    # The windows of an epoch, kind by kind; kind k begins at `edges[k]`.
    order = np.argsort(kinds, kind='stable')
    self._members = np.repeat(order, windows.times[order]).astype(np.int32)
    counts = np.bincount(kinds, windows.times).astype(np.int64)
    self._edges = np.concatenate([[0], np.cumsum(counts)]).tolist()
    self._epochs: dict[int, tuple[np.ndarray, np.ndarray]] = {}

  def __len__(self) -> int:
    return self.count if self._seed is None else sys.maxsize

  def __getitem__(self, index: int) -> Row:
    epoch, place = divmod(index, self.count)
    rows, members = self._epoch(epoch)
    place = int(rows[place])
    which = bisect.bisect_right(self._ends, place)
    pattern = self._patterns[which]
    number = place - (self._ends[which] - pattern.rows)
    return tuple(
      self._window(
        int(members[self._edges[kind] + begin + number * step]), index, slot
      )
      for slot, (kind, begin, step) in enumerate(
        zip(pattern.kinds, pattern.begins, pattern.steps, strict=True)
      )
    )

  def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """The order of an epoch's rows, and of the windows of each kind."""
    held = self._epochs.get(epoch)
    if held is None:
      held = np.arange(self.count, dtype=np.int32), self._members
      if self._seed is not None:
        rng = _generator(self._seed, epoch)
        held = rng.permutation(held[0]), self._members.copy()
        for edges in itertools.pairwise(self._edges):
          rng.shuffle(held[1][slice(*edges)])
      # Rows are asked for nearly in order: the epoch before may be, too.
      before = {n: one for n, one in self._epochs.items() if n == epoch - 1}
      self._epochs = {**before, epoch: held}
    return held

  def _window(self, which: int, index: int, slot: int) -> windows_lib.Window:
    """A window, at the place drawn for it in this row."""
    _, first, spare, chunks, _ = (int(field[which]) for field in self._windows)
    offset = first
    if spare and self._seed is not None:
      rng = _generator(self._seed, index, slot)
      if rng.random() >= self._share:
        offset += int(rng.integers(spare + 1))
    clip = int(self._windows.clip[which])
    return windows_lib.Window(self._source, clip, offset, chunks)

  def __repr__(self) -> str:
    return f'Rows({self.count} an epoch)'


def _generator(seed: int, *key: int) -> np.random.Generator:
  """Randomness of its own for each key; keys of other lengths are others."""
  return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
