"""How far stories are from film, by as many samples of either."""

import numpy as np
import pytest

from launch.evaluation.told import distances
from launch.evaluation.told import parts as parts_lib
from launch.evaluation.told import real as real_lib

_NONE = np.zeros((0, 0), np.float32)


def _part(features, i3d=_NONE):
  """A story of which features alone are known."""
  fields = dict.fromkeys(parts_lib.Part._fields, None)
  return parts_lib.Part(**{**fields, 'features': features, 'i3d': i3d})


def _films(count, seed, shift=0.0, length=12):
  """Features of some films, float32."""
  rng = np.random.default_rng(seed)
  shape = (count, length, 5)
  return list((rng.normal(size=shape) + shift).astype(np.float32))


def _real(chunks, clips=()):
  return real_lib.Real(real_lib.joined(chunks), real_lib.joined(clips), [])


def test_stories_are_as_far_as_they_are_apart():
  films = _films(6, 0)
  found = distances.of([_part(each) for each in films], _real(films), None)
  own = found['inverse dynamics']
  assert own['distance'] < 1e-9 and own['real_to_real'] is None
  assert (own['samples'], own['real_samples'], own['of']) == (72, 72, 'chunks')
  far = distances.of(
    [_part(each) for each in _films(6, 1, shift=3.0)],
    _real(films),
    _real(_films(6, 2)),
  )['inverse dynamics']
  # Five features, each three away.
  assert far['distance'] == pytest.approx(45, rel=0.2)
  assert far['interval']['low'] < 45 < far['interval']['high']
  assert far['real_to_real'] < 1
  assert 'I3D' not in found


def test_there_are_as_many_samples_on_both_sides():
  parts = [_part(each, each[:2]) for each in _films(9, 0)]
  real = _real(_films(4, 1), _films(20, 2))
  found = distances.of(parts, real, None)
  assert found['inverse dynamics']['samples'] == 4 * 12
  assert found['I3D']['samples'] == found['I3D']['real_samples'] == 9 * 2
  assert found['I3D']['of'] == 'clips'


def test_a_film_that_goes_wrong_is_farther_at_its_end():
  drift = np.linspace(0, 4, 12)[:, None]
  parts = [_part(each + drift.astype('f4')) for each in _films(30, 0)]
  parts.append(_part(_films(1, 3, length=5)[0]))  # One ended early.
  found = distances.of(parts, _real(_films(30, 1)), None)
  times = found['inverse dynamics']['times']
  assert [(each['from'], each['to']) for each in times] == [
    (0, 3),
    (3, 6),
    (6, 9),
    (9, 12),
  ]
  assert [each['samples'] for each in times] == [93, 92, 90, 90]
  far = [each['distance'] for each in times]
  assert far == sorted(far) and far[-1] > 10 * far[0]


def test_clips_follow_one_another_behind_the_first_frame(monkeypatch):
  seen = []

  def features(model, clips, batch):
    seen.append(clips)
    return np.zeros((len(clips), 400), np.float32)

  monkeypatch.setattr(parts_lib.i3d_lib, 'features', features)
  eyes = parts_lib.Eyes(None, parts_lib.I3d(None, 'f00d'))
  frames = np.arange(36, dtype=np.uint8)[:, None, None, None]
  frames = np.broadcast_to(frames, (36, 4, 4, 3))
  assert parts_lib.of_clips(eyes, frames).shape == (2, 400)
  assert [clip[0, 0, 0, 0] for clip in seen[0]] == [1, 17]
  # A film that is shorter than a clip has none.
  assert not len(parts_lib.of_clips(eyes, frames[:16]))
  assert len(seen) == 1
