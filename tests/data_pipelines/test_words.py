"""Controls become words at the right time."""

import json

import numpy as np
import pytest

from data_pipelines.prepare import words

NAMES = ('turn left', 'attack')
ROWS = np.array(
  [[0, 0]] + [[1, 0]] * 4 + [[1, 1]] * 8 + [[0, 0]] * 4 + [[0, 1]] * 4,
  np.uint8,
)


def test_stretches_merge_and_gaps_stay_empty():
  segments = words.segments_of(ROWS, NAMES, 4.0)
  assert [(s['start'], s['end'], s['text']) for s in segments] == [
    (0.0, 1.0, 'turn left'),
    (1.0, 3.0, 'turn left, attack'),
    (4.0, 5.0, 'attack'),
  ]


def test_a_chunk_is_told_what_holds_over_most_of_it():
  segments = words.segments_of(ROWS, NAMES, 4.0)
  both = 'turn left, attack'
  told = words.words_of_chunks(segments, 0.0, 5, 1.0)
  assert told == ('', 'turn left', both, both, '', 'attack')
  late = words.words_of_chunks(segments, 0.75, 4, 1.0)
  assert late == ('', both, both, '', 'attack')
  assert words.words_of_chunks(segments, 0.25, 1, 1.0) == ('', 'turn left')


def test_controls_that_never_change_are_one_segment():
  rows = np.ones((9, 2), np.uint8)
  (segment,) = words.segments_of(rows, NAMES, 2.0)
  assert (segment['start'], segment['end']) == (0.0, 4.0)
  assert words.segments_of(rows[:1], NAMES, 2.0) == []


@pytest.mark.parametrize(
  ('text', 'named'),
  [
    ('[', 'JSON'),
    ('{}', 'list'),
    ('[3]', r'segments\[0\].start'),
    (json.dumps([{'start': 0, 'end': 1}]), r'segments\[0\].text'),
    (json.dumps([{'start': 2, 'end': 1, 'text': ''}]), 'runs from 2'),
  ],
)
def test_bad_segments_are_named(text, named):
  with pytest.raises(ValueError, match=named):
    words.parse_segments(text)
