"""A film of a source as the take that is stored: checked, cut and encoded.

A take has `1 + 4n` frames, as the video tokenizer wants them: up to three at
the end are cut off, with what is said in them alone.
"""

from collections.abc import Sequence
import json
from typing import Any, NamedTuple

import numpy as np

from data_pipelines import records
from data_pipelines.prepare import encode_video
from data_pipelines.prepare import words
from data_pipelines.sources import source as source_lib

SHORTEST = 1 + source_lib.CHUNK


class Stored(NamedTuple):
  """A take as it is stored, and what reports say of it."""

  record: dict[str, Any]
  frames: int
  cut: int  # frames at the end that are left out
  seconds: float  # from its first frame to its last one
  spoken: float  # seconds of these in which a caption or a control is in force


def stored(film: source_lib.Film, source: str) -> Stored | source_lib.Dropped:
  """The record of a film of `source`; dropped if it is no chunk long.

  Raises:
    ValueError: a field does not fit; names the take, the field and the value.
  """
  where = f'take {film.name}'
  _check(film, where)
  whole = len(film.frames)
  if whole < SHORTEST:
    return source_lib.Dropped(
      film.name, 'short', f'{whole} frames: {SHORTEST} are wanted at least'
    )
  count = whole - (whole - 1) % source_lib.CHUNK
  rate = records.exact_rate(film.rate)
  segments = _cut(film.segments, count / rate)
  try:
    words.check_segments(segments, count / rate)
    details = json.dumps(dict(film.details), sort_keys=True, allow_nan=False)
  except (ValueError, TypeError) as error:
    raise ValueError(f'{where}: {error}') from None
  frames = film.frames[:count]
  record = {
    'video': encode_video.encode_video(frames, rate),
    'controls': _table(film, 'controls', np.uint8, where)[:count].tobytes(),
    'states': _table(film, 'states', np.float32, where)[:count].tobytes(),
    'take': film.name,
    'source': source,
    'origin': film.origin,
    'license': film.license,
    'segments': json.dumps(segments),
    'control_names': json.dumps(film.control_names),
    'state_names': json.dumps(film.state_names),
    'details': details,
    'version': records.VERSION,
    'frame_count': count,
    'height': frames.shape[1],
    'width': frames.shape[2],
    'ended': int(film.ended),
    'rate': rate,
    'start': film.start,
  }
  seconds = (count - 1) / rate
  said = [s for s in segments if s['kind'] != words.PROMPT]
  spoken = words.covered(said, seconds)
  return Stored(record, count, whole - count, seconds, spoken)


def _check(film: source_lib.Film, where: str) -> None:
  frames = film.frames
  if not (
    frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[3] == 3
  ):
    raise ValueError(
      f'{where}: frames are {frames.dtype} {frames.shape}, uint8 [T, Y, X, 3] '
      'is wanted'
    )
  if not 0.1 <= film.rate <= 1000:
    raise ValueError(f'{where}: rate is {film.rate} frames/s')
  if not film.start >= 0:
    raise ValueError(f'{where}: start is {film.start} s')


def _table(
  film: source_lib.Film, name: str, dtype: type, where: str
) -> np.ndarray:
  """Controls or states, without columns if the film has none."""
  shape = len(film.frames), len(getattr(film, f'{name[:-1]}_names'))
  table = getattr(film, name)
  if table is None:
    table = np.zeros((shape[0], 0), dtype)
  if table.shape != shape:
    raise ValueError(f'{where}: {name} are {table.shape}, {shape} is wanted')
  return table.astype(dtype)


def _cut(
  segments: Sequence[words.Segment], seconds: float
) -> list[words.Segment]:
  """What begins before the end, up to the end."""
  return [
    words.Segment(
      start=segment['start'],
      end=min(segment['end'], seconds),
      kind=segment['kind'],
      text=segment['text'],
    )
    for segment in segments
    if segment['start'] < seconds
  ]
