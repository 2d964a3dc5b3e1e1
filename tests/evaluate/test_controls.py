"""Chunks of film, and the questions asked of them."""

import numpy as np
import pytest

from tv2tv_jax.evaluate import controls

_NAMES = (
  'attack',
  'turn left',
  'turn right',
  'move forward',
  'move backward',
  'strafe left',
  'strafe right',
)


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
  assert seen == [
    {'turn': 'right', 'move': 'backward', 'strafe': 'none', 'attack': 'yes'},
    {'turn': 'none', 'move': 'none', 'strafe': 'none', 'attack': 'no'},
  ]


def test_a_missing_control_is_named():
  with pytest.raises(ValueError, match="lack 'strafe right'"):
    controls.answers(np.zeros((1, 5, 6), np.uint8), _NAMES[:-1], 4)


def test_confusion_counts_truth_by_row():
  truth = np.array([[0, 1, 1, 0], [2, 1, 1, 1], [2, 1, 1, 1]])
  beliefs = {
    head.name: np.eye(len(head.classes))[truth[:, place]]
    for place, head in enumerate(controls.HEADS)
  }
  beliefs['turn'][2] = [1, 0, 0]
  tables = controls.confusion(beliefs, truth)
  assert tables['turn'].tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 1]]
  assert controls.accuracy(tables['turn']) == pytest.approx(2 / 3)
  assert controls.accuracy(tables['attack']) == 1.0
