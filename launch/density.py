"""How much is said: by kind of words, over the time of many takes."""

from collections.abc import Iterator, Sequence

import numpy as np

from data_pipelines.prepare import words


class Density:
  """Counts words of takes, kind by kind."""

  def __init__(self):
    self._seconds = 0.0
    self._takes = 0
    self._count = dict.fromkeys(words.KINDS, 0)
    self._held = dict.fromkeys(words.KINDS, 0.0)
    self._waits: dict[str, list[float]] = {kind: [] for kind in words.KINDS}
    self._texts: dict[str, set[str]] = {kind: set() for kind in words.KINDS}

  def add(self, segments: Sequence[words.Segment], seconds: float) -> None:
    """Counts a take of so many seconds; `segments` in the order of time."""
    self._seconds += seconds
    self._takes += 1
    for kind in words.KINDS:
      own = [segment for segment in segments if segment['kind'] == kind]
      self._count[kind] += len(own)
      self._held[kind] += words.covered(own, seconds)
      starts = [segment['start'] for segment in own]
      self._waits[kind].extend(np.diff(starts))
      self._texts[kind].update(segment['text'] for segment in own)

  def lines(self) -> Iterator[str]:
    """A line for each kind that there is."""
    for kind, count in self._count.items():
      if not count:
        continue
      waits = self._waits[kind]
      between = (
        f', {np.mean(waits):.2f} s from one to the next '
        f'(median {np.median(waits):.2f})'
        if waits
        else ''
      )
      yield (
        f'{kind}: {count} texts, {len(self._texts[kind])} different, over '
        f'{self._held[kind] / max(self._seconds, 1e-9):.0%} of the time, '
        f'{60 * count / max(self._seconds, 1e-9):.1f} a minute{between}'
      )
