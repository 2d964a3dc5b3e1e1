"""Counter-Strike's actions become words, and the words actions."""

import json

import hypothesis
from hypothesis import strategies
import numpy as np
import pytest

from data_pipelines.prepare import words
from data_pipelines.sources import csgo
from data_pipelines.sources import csgo_words

# Distances that are none, keys and buttons that are many, and the other way.
_STEPS = strategies.tuples(
  strategies.integers(0, 2 ** len(csgo_words.KEYS) - 1) | strategies.just(0),
  *(strategies.sampled_from((0, 0, *each)) for each in csgo_words.DISTANCES),
)


def _moves(steps):
  keys = [
    [held >> column & 1 for column in range(len(csgo_words.KEYS))]
    for held, _, _ in steps
  ]
  return csgo_words.Moves(
    np.array(keys, np.uint8).reshape(len(steps), -1),
    np.array([step[1:] for step in steps], np.int64).reshape(len(steps), 2),
  )


def _stored(segments, seconds):
  """Segments as a record gives them back."""
  return words.parse_segments(json.dumps(segments), seconds)


@hypothesis.given(
  strategies.lists(_STEPS, min_size=1, max_size=12),
  strategies.sampled_from(csgo.RATES),
)
def test_words_of_frames_give_the_actions_back(steps, rate):
  actions = csgo_words.actions_of(_moves(steps))
  moves = csgo_words.moves_of(actions.astype(float))
  segments = csgo_words.segments_of(moves, rate)
  again = csgo_words.actions(
    _stored(segments, (1 + len(steps)) / rate), 1 + len(steps), rate
  )
  np.testing.assert_array_equal(again[1:], actions)
  assert again.dtype == np.uint8 and not again[0].any()
  assert len(segments) <= sum(step != (0, 0, 0) for step in steps)


@hypothesis.given(
  strategies.lists(_STEPS, min_size=4, max_size=23),
  strategies.sampled_from(csgo.RATES),
)
def test_words_of_chunks_give_the_chunks_back(steps, rate):
  chunks = csgo_words.merged(_moves(steps), 4)
  segments = csgo_words.segments_of(chunks, rate / 4)
  again = csgo_words.moves_in(
    _stored(segments, (1 + len(steps)) / rate), len(steps) // 4, rate / 4
  )
  np.testing.assert_array_equal(again.keys, chunks.keys)
  np.testing.assert_array_equal(again.mouse, chunks.mouse)
  whole = np.array([step[1:] for step in steps])[: len(steps) // 4 * 4]
  assert again.mouse.sum(0).tolist() == whole.sum(0).tolist()


@hypothesis.given(
  strategies.data(), strategies.lists(_STEPS, min_size=1, max_size=4)
)
def test_malformed_actions_are_refused_by_frame_and_column(data, steps):
  actions = csgo_words.actions_of(_moves(steps)).astype(float)
  row = data.draw(strategies.integers(0, len(steps) - 1))
  column = data.draw(strategies.integers(0, 50))
  value = data.draw(strategies.sampled_from([0.5, 2.0, -1.0, np.nan, np.inf]))
  axes = {'mouse x': range(13, 36), 'mouse y': range(36, 51)}
  for axis, columns in axes.items():
    if column in columns:  # none of the axis, or two
      wrong = actions.copy()
      wrong[row, column] = 1 - wrong[row, column]
      found = csgo_words.NAMES[column] if wrong[row, column] else 'not set'
      named = f'^frame {row}: {axis} is .*{found}'
      with pytest.raises(ValueError, match=named):
        csgo_words.moves_of(wrong)
  actions[row, column] = value
  named = rf'^frame {row}: column {column} \(.*\) is {value}, 0 or 1 is wanted$'
  with pytest.raises(ValueError, match=named):
    csgo_words.moves_of(actions)


def test_the_columns_are_those_of_the_set():
  names = csgo_words.NAMES
  assert len(names) == len(set(names)) == 51
  # w a s d space ctrl shift 1 2 3 r, left and right button
  assert names[:13] == (
    *('move forward', 'strafe left', 'move backward', 'strafe right'),
    *('jump', 'crouch', 'walk', 'primary weapon', 'pistol', 'knife', 'reload'),
    *('attack', 'scope'),
  )
  assert names[13:15] == ('turn left 1000', 'turn left 500')
  assert names[22:27] == (
    *('turn left 4', 'turn left 2', 'no turn', 'turn right 2', 'turn right 4'),
  )
  assert names[35:37] == ('turn right 1000', 'look up 200')
  assert names[42:45] == ('look up 2', 'no look', 'look down 2')
  assert names[50] == 'look down 200'


def test_a_chunk_is_told_its_whole_turn_held_keys_and_single_taps():
  forward, crouch, attack = 1, 1 << 5, 1 << 11
  moves = _moves(
    [
      (forward, -30, 0),
      (forward + attack, -60, -4),
      (crouch, -100, 4),
      (0, 2, 20),
      *[(crouch, 0, 0)] * 8,
      *[(0, 0, 0)] * 3,
    ]
  )
  segments = csgo_words.segments_of(csgo_words.merged(moves, 4), 4.0)
  told = [(each['start'], each['end'], each['text']) for each in segments]
  assert told == [
    (0.0, 0.25, 'move forward, attack, turn left 188, look down 20'),
    (0.25, 0.75, 'crouch'),
  ]


def test_a_distance_without_a_column_gets_the_nearest():
  moves = _moves([(0, -34, 3), (0, 4000, -160), (0, 1, 0)])
  nearest = csgo_words.moves_of(csgo_words.actions_of(moves)).mouse
  assert nearest.tolist() == [[-30, 2], [1000, -200], [0, 0]]


@pytest.mark.parametrize(
  'text',
  [
    *('', 'fly', 'turn left', 'turn left 0', 'turn left 030', 'turn up 30'),
    *('look left 2', 'turn left -2', 'turn right ٣', 'jump,crouch', ' jump'),
    *('crouch, jump', 'jump, jump', 'turn left 2, turn right 2', 'no turn'),
    *('look up 2, turn left 2', 'turn left 2, jump', 'turn left 1000000'),
  ],
)
def test_words_that_no_action_makes_are_refused(text):
  segment = words.Segment(start=0.0, end=0.25, kind='control', text=text)
  with pytest.raises(ValueError, match=r'^segments\[0\].text'):
    csgo_words.moves_in([segment], 4, 4.0)


@pytest.mark.parametrize(
  'times', [(0.25, 0.6), (0.1, 0.5), (0.5, 1.25), (0.0, 0.5), (0.25, 0.25)]
)
def test_segments_that_are_not_of_whole_steps_in_order_are_refused(times):
  segments = [
    words.Segment(start=start, end=end, kind='control', text='jump')
    for start, end in ((0.0, 0.25), times)
  ]
  with pytest.raises(ValueError, match=rf'^segments\[1\] runs from {times[0]}'):
    csgo_words.moves_in(segments, 4, 4.0)
