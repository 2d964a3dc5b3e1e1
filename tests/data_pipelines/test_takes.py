"""A film is stored as it is, in whole chunks; what does not fit is named."""

import json

import numpy as np
import pytest

from data_pipelines import records
from data_pipelines.prepare import dataset
from data_pipelines.prepare import takes
from tests.data_pipelines import tiny_source


def _read(tmp_path, *films):
  """Films as a dataset gives them back."""
  out = tmp_path / 'film'
  dataset.begin(out, {})
  path = dataset.partial(out) / 'all.array_record'
  stored = [takes.stored(film, 'tiny').record for film in films]
  dataset.write_piece(path, records.features(), stored)
  dataset.finish(
    out,
    'film',
    records.features(),
    {'train': [path]},
    version=records.VERSION,
    description='Film.',
    extra={},
  )
  return list(records.Takes(out, 'train'))


def test_what_is_stored_is_read(tmp_path):
  controls = np.arange(18, dtype=np.uint8).reshape(9, 2)
  film = tiny_source.film(
    20,
    frames=np.full((9, 16, 16, 3), 77, np.uint8),
    rate=30000 / 1001,
    segments=[
      {'start': 0.0, 'end': 9 * 1001 / 30000, 'kind': 'prompt', 'text': 'ä'},
      {'start': 0.0, 'end': 0.1, 'kind': 'control', 'text': 'up'},
    ],
    start=2.5,
    ended=False,
    license='CC0',
    controls=controls,
    control_names=('one', 'two'),
    details={'score': 0.25, 'tags': ['a']},
  )
  (take,) = _read(tmp_path, film)
  for name in ('origin', 'start', 'ended', 'license', 'rate', 'segments'):
    assert getattr(take, name) == getattr(film, name), name
  assert (take.take, take.source, take.prompt) == ('take-20', 'tiny', 'ä')
  assert take.control_names == film.control_names
  assert take.details == film.details
  assert (take.states.shape, take.state_names) == ((9, 0), ())
  np.testing.assert_array_equal(take.controls, controls)
  np.testing.assert_allclose(take.frames(), film.frames, atol=2)


def test_takes_have_whole_chunks_and_words_end_with_them(tmp_path):
  film = tiny_source.film(23)
  assert len(film.frames) == 12
  late = {'start': 9.5 / 8, 'end': 1.5, 'kind': 'caption', 'text': 'late'}
  film.segments.append(late)
  stored = takes.stored(film, 'tiny')
  assert (stored.frames, stored.cut, stored.seconds) == (9, 3, 1.0)
  assert stored.spoken == 0.75
  segments = json.loads(stored.record['segments'])
  assert [(s['kind'], s['end']) for s in segments] == [
    ('prompt', 9 / 8),
    ('caption', 9 / 8),
  ]


def test_less_than_a_chunk_is_dropped():
  film = tiny_source.film(0, frames=tiny_source.film(0).frames[:4])
  dropped = takes.stored(film, 'tiny')
  assert dropped.reason == 'short' and '4 frames: 5 are' in dropped.detail


@pytest.mark.parametrize(
  ('fields', 'named'),
  [
    ({'frames': np.zeros((9, 8, 8), np.uint8)}, r'frames are uint8 \(9, 8, 8'),
    ({'frames': np.zeros((9, 8, 8, 3))}, 'frames are float64'),
    ({'rate': 0.0}, 'rate is 0.0 frames/s'),
    ({'rate': float('nan')}, 'rate is nan'),
    ({'start': -1.0}, 'start is -1.0 s'),
    ({'control_names': ('a',)}, r'controls are \(9, 0\), \(9, 1\)'),
    ({'states': np.zeros((3, 0))}, r'states are \(3, 0\), \(9, 0\)'),
    ({'details': {'score': float('nan')}}, 'not JSON compliant'),
    ({'details': {'score': np.float32(1)}}, 'not JSON serializable'),
    (
      {'segments': [{'start': 1, 'end': 0.5, 'kind': 'caption', 'text': 'x'}]},
      r'segments\[0\] \(caption\) runs from 1 to 0.5 s',
    ),
  ],
)
def test_a_field_that_does_not_fit_is_named(fields, named):
  with pytest.raises(ValueError, match=f'take take-0: .*{named}'):
    takes.stored(tiny_source.film(0, **fields), 'tiny')
