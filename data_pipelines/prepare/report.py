"""What is said of a recording, while it is made and when it is whole."""

import pathlib
from typing import NamedTuple

from data_pipelines.prepare import pieces

DROPPED = 'dropped.jsonl'
SUMMARY = 'summary.json'


class Progress(NamedTuple):
  """How far a recording is."""

  done: int  # units
  units: int
  takes: int  # by this run
  seconds: float  # of them
  dropped: int  # by this run


class Report(NamedTuple):
  """What was recorded; `filmed` and `wall` are this run's."""

  takes: int
  frames: int
  hours: float
  spoken: float  # share of the time
  cut: int  # frames
  dropped: dict[str, int]  # by reason
  filmed: int | None  # frames; None if there was nothing to do
  wall: float  # seconds

  def text(self) -> str:
    """The report; what was dropped has a line of its own."""
    speed = (
      'already recorded'
      if self.filmed is None
      else f'{self.filmed / self.wall:,.0f} frames/s'
    )
    lines = [
      f'{self.takes} takes, {self.frames:,} frames, {self.hours:.3f} hours, '
      f'words over {self.spoken:.0%} of the time; {speed}'
    ]
    if self.dropped:
      reasons = ', '.join(f'{n} {why}' for why, n in self.dropped.items())
      lines.append(
        f'dropped {sum(self.dropped.values())}: {reasons} ({DROPPED} names '
        'each)'
      )
    if self.cut:
      lines.append(f'cut {self.cut} frames at ends of takes, which have 1 + 4n')
    return '\n'.join(lines)


def read(out: pathlib.Path, filmed: int | None, wall: float) -> Report:
  """The report of a finished recording, of whose frames a run filmed some."""
  summary = pieces.read(out / SUMMARY, dict)
  return Report(
    takes=summary['takes'],
    frames=summary['frames'],
    hours=summary['seconds'] / 3600,
    spoken=summary['spoken'] / max(summary['seconds'], 1e-9),
    cut=summary['cut'],
    dropped=summary['dropped'],
    filmed=filmed,
    wall=wall,
  )
