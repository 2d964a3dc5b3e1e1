"""Chunks of film, and the questions asked of them."""

import numpy as np
import pytest

from tv2tv_jax.evaluate import controls
from tv2tv_jax.evaluate import intervals

_NAMES = (
  'attack',
  'turn left',
  'turn right',
  'move forward',
  'move backward',
  'strafe left',
  'strafe right',
)  # As recorded before anyone could jump.


def test_a_chunk_is_seen_with_the_frame_before():
  film = np.arange(9, dtype=np.uint8).reshape(1, 9, 1, 1, 1)
  found = controls.chunks(np.repeat(film, 3, -1), 4)[0, :, :, 0, 0, 0]
  assert found.tolist() == [[0, 1, 2, 3, 4], [4, 5, 6, 7, 8]]


def test_a_film_of_broken_chunks_is_named():
  with pytest.raises(ValueError, match=r'8 frames are not 1 [+] n [*] 4'):
    controls.chunks(np.zeros((1, 8, 2, 2, 3), np.uint8), 4)


def test_answers_are_what_most_frames_held():
  held = np.zeros((1, 9, len(_NAMES)), np.uint8)
  held[0, 1:5, _NAMES.index('turn right')] = 1
  held[0, 2:5, _NAMES.index('attack')] = 1
  held[0, 0:7, _NAMES.index('move backward')] = 1  # two frames of chunk 2
  answers = controls.answers(held, _NAMES, 4)[0]
  seen = [
    {h.name: h.classes[a] for h, a in zip(controls.HEADS, row, strict=True)}
    for row in answers
  ]
  still = {'strafe': 'none', 'jump': 'no'}
  assert seen == [
    {'turn': 'right', 'move': 'backward', 'attack': 'yes', **still},
    {'turn': 'none', 'move': 'none', 'attack': 'no', **still},
  ]


def test_whoever_could_not_jump_never_did():
  rng = np.random.default_rng(0)
  held = rng.integers(0, 2, (2, 9, len(_NAMES) + 1)).astype(np.uint8)
  held[..., -1] = 1
  older = controls.answers(held[..., :-1], _NAMES, 4)
  jumped = controls.answers(held, (*_NAMES, 'jump'), 4)
  np.testing.assert_array_equal(older[..., :-1], jumped[..., :-1])
  assert not older[..., -1].any() and jumped[..., -1].all()
  assert 'jump' not in [head.name for head in controls.recorded(_NAMES)]
  assert controls.recorded((*_NAMES, 'jump')) == controls.HEADS


def test_a_missing_control_is_named():
  with pytest.raises(ValueError, match="lack 'strafe right'"):
    controls.answers(np.zeros((1, 5, 6), np.uint8), _NAMES[:-1], 4)


def test_confusion_counts_truth_by_row():
  truth = np.array([[0, 1, 1, 0, 0], [2, 1, 1, 1, 0], [2, 1, 1, 1, 1]])
  beliefs = {
    head.name: np.eye(len(head.classes))[truth[:, place]]
    for place, head in enumerate(controls.HEADS)
  }
  beliefs['turn'][2] = [1, 0, 0]
  tables = controls.confusion(beliefs, truth)
  assert tables['turn'].tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 1]]
  assert controls.accuracy(tables['turn']) == pytest.approx(2 / 3)
  assert controls.accuracy(tables['attack']) == 1.0


def test_recall_is_of_what_was_held_and_precision_of_what_was_read():
  table = np.array([[8, 2, 0], [1, 5, 0], [0, 0, 0]])
  assert controls.recall(table, 0) == intervals.Count(8, 10)
  assert controls.precision(table, 0) == intervals.Count(8, 9)
  assert controls.recall(table, 2) == intervals.Count(0, 0)


def test_whoever_is_right_as_often_as_it_says_is_calibrated():
  """Of chunks said to be 75 % sure, 3 in 4 are right; then 1 in 4."""
  beliefs = np.log(np.tile([[0.75, 0.25]], (40, 1))).astype(np.float32)
  truth = (np.arange(40) % 4 == 3).astype(int)
  found = controls.calibration(beliefs, truth)
  assert found.count.tolist() == [0] * 7 + [40, 0, 0]
  assert found.right[7] == 30
  assert found.error == pytest.approx(0.0, abs=1e-6)
  assert controls.calibration(beliefs, 1 - truth).error == pytest.approx(0.5)
  sure = np.array([[0.0, -np.inf]])  # A probability of one has a bin.
  assert controls.calibration(sure, np.array([0])).count[-1] == 1
  none = controls.calibration(beliefs[:0], truth[:0])
  assert np.isnan(none.error)


def test_errors_do_not_cancel_between_bins():
  beliefs = np.log([[0.6, 0.4], [0.9, 0.1]] * 10)
  truth = np.array([0, 1] * 10)  # Too modest, then wrong though sure.
  found = controls.calibration(beliefs, truth)
  assert found.error == pytest.approx((0.4 + 0.9) / 2)
