"""What a story was told is judged where it was told, beside its twin."""

import numpy as np
import pytest

from launch.evaluation.told import parts as parts_lib
from launch.evaluation.told import trials as trials_lib
from tests.launch import told
from tv2tv_jax.evaluate import controls

_STEP, _RATE = 4, 8.0


def _part(name, asks, shows, *, seed=0, start='s', travel=None):
  """A story of six chunks that shows a control in each, or ''."""
  beliefs = {
    head.name: np.full((len(shows), len(head.classes)), -3.0)
    for head in controls.HEADS
  }
  for head in controls.HEADS:
    for chunk, word in enumerate(shows):
      seen = word if word in head.words and word else ''
      beliefs[head.name][chunk, head.words.index(seen)] = -0.1
  record = {
    'asks': {str(chunk): word for chunk, word in asks.items()},
    'start': {'sha256': start * 64, 'frames': 1},
    'seed': seed,
    'prompt': 'hall',
    'frames': 1 + _STEP * len(shows),
    'chunk_frames': _STEP,
    'rate': _RATE,
    'checkpoint': {'fingerprint': 'f00d'},
  }
  steps = np.repeat(travel or [0.0] * len(shows), _STEP)
  fields = dict.fromkeys(parts_lib.Part._fields, None)
  given = {'record': record, 'beliefs': beliefs, 'travel': steps}
  return parts_lib.Part(**{**fields, **given, 'name': name})


def _judged(*parts, names=told.NAMES):
  return trials_lib.of(parts, names)


def test_the_same_words_one_after_another_are_one_trial():
  asks = {'1': 'go', '2': 'go', '3': 'left', '5': 'left', '6': '', '10': 'go'}
  assert trials_lib.told({'asks': asks}) == [
    ('go', 1, 2),
    ('left', 3, 1),
    ('left', 5, 1),
    ('go', 10, 1),
  ]


def test_a_trial_is_judged_in_its_own_chunks():
  shows = ['', 'attack', 'attack', '', 'turn left', 'turn right']
  asks = {2: 'attack', 3: 'attack', 5: 'turn left', 6: 'turn left'}
  travel = [9.0, 0, 0, 0, 1.0, -1.5]
  found = _judged(_part('a', asks, shows, travel=travel)).judged
  attack, turn = found
  assert attack['obeyed'] and attack['moved'] is None
  assert (attack['chunk'], attack['chunks']) == (2, 2)
  assert attack['seconds'] == (1 + 4) / _RATE
  assert attack['leaning'] > 0 > turn['leaning']
  # Left in one chunk and right in the other; farther to the right.
  assert turn['moved'] is False
  assert attack['twin'] is None and attack['apart'] is None


def test_twins_and_those_told_to_move_forward():
  asks = {2: 'attack', 3: 'attack'}
  parts = [
    _part('told', asks, ['', 'attack', 'attack', '']),
    _part('twin', {}, ['attack', 'attack', '', '']),
    _part('other seed', {}, ['attack'] * 4, seed=1),
    _part('other start', {}, ['attack'] * 4, start='t'),
    _part('forward', {2: 'move forward', 3: 'move forward'}, ['attack'] * 4),
    _part('elsewhere', {3: 'move forward'}, [''] * 4),
  ]
  trial, *others = _judged(*parts).judged
  assert trial['twin'] == {'story': 'twin', 'obeyed': False, 'moved': None}
  # As much of it is seen where it was told to move forward: not told apart.
  assert trial['obeyed'] and trial['apart'] is False
  assert [each['word'] for each in others] == ['move forward'] * 2
  parts[4] = _part('forward', {2: 'move forward', 3: 'move forward'}, [''] * 4)
  assert _judged(*parts).judged[0]['apart'] is True
  # A twin that ended before the trial did says nothing of it.
  parts[1] = _part('twin', {}, ['attack', 'attack'])
  assert _judged(*parts).judged[0]['twin'] is None


def test_what_cannot_be_judged_is_counted():
  asks = {1: 'look up', 2: 'look up', 3: 'jump', 5: 'attack', 6: 'attack'}
  found = _judged(_part('a', asks, [''] * 4))
  assert found.unread == {'look up': 1} and found.unfilmed == {'attack': 1}
  assert [trial['word'] for trial in found.judged] == ['jump']
  # Where nobody ever recorded a jump, nobody can see one.
  names = [name for name in told.NAMES if name != 'jump']
  found = _judged(_part('a', asks, [''] * 4), names=names)
  assert found.unread == {'look up': 1, 'jump': 1} and not found.judged
  # The story ended in the middle: what was filmed is judged.
  asks = {3: 'attack', 4: 'attack', 5: 'attack', 6: 'attack'}
  (trial,) = _judged(_part('a', asks, ['', '', 'attack', 'attack'])).judged
  assert trial['chunks'] == 2 and trial['obeyed']


def test_the_table_counts_by_word_and_time():
  def story(name, chunk, word, seen, seed):
    shows = [''] * 12
    shows[chunk - 1] = seen
    return _part(name, {chunk: word}, shows, seed=seed)

  parts = [
    story('a', 1, 'attack', 'attack', 0),
    story('b', 1, 'attack', '', 1),
    story('c', 8, 'jump', 'jump', 2),
    story('d', 8, 'jump', 'jump', 3),
    story('e', 1, 'move forward', '', 4),
    _part('twin', {}, ['attack'] + [''] * 11),
  ]
  trials = _judged(*parts).judged
  table = trials_lib.table(trials, {'attack': {'ceiling_chunks': 1}})
  rows = {row['instruction']: row for row in table['rows']}
  assert [*rows] == ['attack', 'jump', 'move forward', 'all']
  counts = {
    word: (row['obeyed']['hits'], row['obeyed']['trials'])
    for word, row in rows.items()
  }
  # All leaves moving forward out.
  assert counts == {
    'attack': (1, 2),
    'jump': (2, 2),
    'move forward': (0, 1),
    'all': (3, 4),
  }
  assert rows['attack']['ceiling_chunks'] == 1
  assert (
    rows['attack']['twins']['hits'] == rows['attack']['twins']['trials'] == 1
  )
  assert rows['jump']['twins'] is None and rows['jump']['moved'] is None
  low, high = rows['all']['obeyed']['low'], rows['all']['obeyed']['high']
  assert (low, high) == pytest.approx((0.3006, 0.9544), abs=1e-4)
  times = [(t['from'], t['to'], t['obeyed']['hits']) for t in table['times']]
  assert times == [(0.0, 2.0, 1), (2.0, 4.0, 2)]


def test_words_that_were_mixed_up_are_obeyed_by_chance():
  """Stories that do what another was told: as often as of itself."""
  rng = np.random.default_rng(0)
  words = rng.choice(['turn left', 'turn right', 'attack', ''], 400)
  mixed = rng.permutation(words)
  parts = []
  for seed, (word, shown) in enumerate(zip(words, mixed, strict=True)):
    parts.append(_part(f'{seed}', {1: word}, [shown], seed=seed))
    parts.append(_part(f'{seed}-twin', {}, [rng.choice(words)], seed=seed))
  row = trials_lib.table(_judged(*parts).judged, {})['rows'][-1]
  assert row['obeyed']['trials'] > 250
  assert row['obeyed']['low'] < row['twins']['share'] < row['obeyed']['high']
  assert row['obeyed']['share'] < 0.35
