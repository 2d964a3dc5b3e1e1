"""Figures of stories in time: what flickers, what drifts, what is written."""

from collections.abc import Mapping, Sequence
import math
from typing import Any

import numpy as np

from launch.evaluation.told import parts as parts_lib
from tv2tv_jax.evaluate import drift
from tv2tv_jax.evaluate import flicker
from tv2tv_jax.evaluate import wording

_BINS = 24  # of a curve over the time of the longest story

Part = parts_lib.Part


def stories(
  parts: Sequence[Part], failed: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
  """Which stories there are, and which there are not."""
  found: dict[str, Any] = {'told': len(parts), 'failed': list(failed)}
  if parts:
    records = [part.record for part in parts]
    frames, rate = sum(record['frames'] for record in records), _rate(parts)
    models = {str(r['checkpoint'].get('fingerprint')) for r in records}
    found |= {
      'frames': frames,
      'seconds': round(frames / rate, 3),
      'rate': rate,
      'size': records[0]['size'],
      'chunk_frames': records[0]['chunk_frames'],
      'layouts': sorted({record['layout'] for record in records}),
      'models': sorted(models),
    }
  return found


def of(parts: Sequence[Part], real: Sequence[Part]) -> Any:
  """All figures in time.

  Args:
    parts: of the stories, one or more.
    real: of real film; where there is none, nothing stands beside.
  """
  found = {
    'drift': _drift(parts, real),
    'flicker': _flicker(parts),
    'wording': _wording(parts),
    'likeness': _likeness(parts),
  }
  if real:
    found['real_flicker'] = _flicker(real)
  return found


def _rate(parts: Sequence[Part]) -> float:
  """Frames a second."""
  return parts[0].record['rate']


def _drift(parts: Sequence[Part], real: Sequence[Part]) -> dict[str, Any]:
  """Of each statistic its mean, its curve over time, and its slope."""
  rate = _rate(parts)
  longest = max(part.record['frames'] for part in parts)
  seconds = max(1, longest // _BINS) / rate
  found = {}
  for name in drift.STATISTICS:
    curves = [
      drift.binned(part.statistics[name], rate, seconds)
      for part in parts
      if drift.bins(len(part.statistics[name]), rate, seconds)
    ]
    curve = drift.averaged(curves)
    found[name] = {
      **_line(parts, name, rate),
      'curve': curve.mean.tolist(),
      'error': [_finite(each) for each in curve.error],
      'films': curve.count.tolist(),
    }
    if real:
      found[name]['real'] = _line(real, name, rate)
  count = max(len(each['curve']) for each in found.values())
  times = [round((n + 0.5) * seconds, 3) for n in range(count)]
  return {'seconds': times, 'statistics': found}


def _line(
  films: Sequence[Part], name: str, rate: float
) -> dict[str, float | None]:
  """A statistic's mean over all frames, and how it grows, per minute."""
  values = [film.statistics[name] for film in films]
  slopes = np.array([drift.slope(each, rate) for each in values])
  several = len(slopes) > 1
  error = slopes.std(ddof=1) / len(slopes) ** 0.5 if several else math.nan
  return {
    'mean': float(np.concatenate(values).mean()),
    'slope': float(slopes.mean()),
    'slope_error': _finite(error),
  }


def _flicker(films: Sequence[Part]) -> dict[str, float]:
  """Means over all frames; of films that stand still, `steadiness` is 1."""
  changes = np.concatenate([film.changes for film in films])
  undone = np.concatenate([film.undone for film in films])
  return {
    'steadiness': flicker.steadiness(changes),
    'change': float(changes.mean(dtype='f8')),
    'undone': float(undone.mean(dtype='f8')),
  }


def _likeness(parts: Sequence[Part]) -> dict[str, Any]:
  """Of each figure its mean and its curve by frame; the start is given."""
  found = {}
  names = dict.fromkeys(name for part in parts for name in part.likeness)
  for name in names:
    curves = [part.likeness[name] for part in parts if name in part.likeness]
    curve = drift.averaged(curves)
    found[name] = {
      'mean': float(np.concatenate([each[1:] for each in curves]).mean()),
      'curve': curve.mean.tolist(),
      'films': curve.count.tolist(),
    }
  return found


def _wording(parts: Sequence[Part]) -> dict[str, Any]:
  """How often the model wrote, and how much."""
  found = wording.merged(_written(part.record) for part in parts)
  return {
    'free chunks': found.free,
    'of them written before': found.written,
    'of these texts changed': found.changed,
    'words a second': _finite(found.words_per_second),
    'seconds to a text': _finite(found.seconds_per_text),
    'seconds to a change': _finite(found.seconds_per_change),
  }


def _written(record: Mapping[str, Any]) -> wording.Wording:
  """What was written in a story; its tokens are not known here."""
  step = record['chunk_frames']
  texts = [''] * (1 + (record['frames'] - 1) // step)
  for word in record['words']:
    if word['chunk'] < len(texts):
      texts[word['chunk']] = word['text']
  return wording.of_story(
    texts,
    [chunk for chunk in map(int, record['asks']) if chunk < len(texts)],
    lambda text: 0,
    first=1 + (record['start']['frames'] - 1) // step,
    chunk_frames=step,
    rate=record['rate'],
  )


def _finite(value: float) -> float | None:
  """The value; JSON has no other numbers."""
  return float(value) if math.isfinite(value) else None
