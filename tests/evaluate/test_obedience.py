"""The rules by which films are judged."""

import numpy as np
import pytest

from tv2tv_jax.evaluate import controls
from tv2tv_jax.evaluate import intervals
from tv2tv_jax.evaluate import obedience


def _beliefs(films: int = 2, chunks: int = 3, **chosen) -> dict:
  """Log-probabilities; `turn=[...]` gives each film's odds per class."""
  beliefs = {}
  for head in controls.HEADS:
    odds = np.ones((films, len(head.classes)))
    odds = np.array(chosen.get(head.name, odds), float)
    odds = np.log(odds / odds.sum(-1, keepdims=True))
    beliefs[head.name] = np.repeat(odds[:, None], chunks, axis=1)
  return beliefs


def _window(travel=(0.0, 0.0), **chosen) -> obedience.Window:
  return obedience.Window(_beliefs(**chosen), np.array(travel))


def test_a_film_obeys_the_likeliest_class():
  beliefs = _beliefs(turn=[[5, 2, 1], [1, 2, 5]], attack=[[3, 2], [2, 3]])
  assert list(obedience.obeys(beliefs, 'turn left')) == [True, False]
  assert list(obedience.obeys(beliefs, 'turn right')) == [False, True]
  assert list(obedience.obeys(beliefs, 'attack')) == [False, True]


def test_one_sure_chunk_outweighs_two_faint_ones():
  beliefs = _beliefs(films=1)
  beliefs['turn'] = np.log(
    [[[0.3, 0.4, 0.3], [0.3, 0.4, 0.3], [0.98, 0.01, 0.01]]]
  )
  assert obedience.obeys(beliefs, 'turn left').all()


def test_every_class_of_a_head_excludes_the_others():
  rng = np.random.default_rng(0)
  beliefs = _beliefs(40, turn=rng.random((40, 3)), move=rng.random((40, 3)))
  for pair in (('turn left', 'turn right'), ('move forward', 'move backward')):
    one, other = (obedience.obeys(beliefs, word) for word in pair)
    assert one.any() and other.any() and not (one & other).any()


def test_leaning_is_the_log_odds_of_the_window():
  beliefs = _beliefs(films=1, chunks=3, attack=[[1, 4]])
  np.testing.assert_allclose(
    obedience.leaning(beliefs, 'attack'), 3 * np.log(4), rtol=1e-6
  )


def test_told_apart_does_not_depend_on_what_is_believed_of_all():
  """A reader that sees attacks everywhere still tells more from less."""
  told = _window(attack=[[1, 90], [1, 50]])
  forward = _window(attack=[[1, 60], [1, 80]])
  verdict = obedience.judged('attack', told, forward)
  assert verdict.obeyed == intervals.Count(2, 2)
  assert verdict.apart == intervals.Count(1, 2)
  assert verdict.moved is None


def test_equal_evidence_tells_nothing_apart():
  film = _window(move=[[1, 2, 3], [3, 2, 1]])
  assert obedience.judged('move backward', film, film).apart.hits == 0


def test_turns_are_judged_by_sign_and_stillness_is_no_turn():
  films = _window(travel=(1.2, 0.1))
  left = obedience.judged('turn left', films, films)
  assert left.moved == intervals.Count(1, 2)
  assert left.apart is None
  assert obedience.judged('turn right', films).moved == intervals.Count(0, 2)


def test_steady_windows_hold_throughout_and_do_not_overlap():
  names = [head.name for head in controls.HEADS]
  rows = np.ones((9, len(names)), int)
  rows[:, names.index('attack')] = 0
  rows[1:8, names.index('turn')] = 0  # left: 7 chunks
  rows[1, names.index('attack')] = 1
  find = obedience.steady_windows
  assert list(find(rows, 3, 'turn left')) == [1, 4]
  assert list(find(rows, 3, 'turn left', without='attack')) == [2, 5]
  assert list(find(rows, 3, 'turn right')) == []


def test_an_unknown_instruction_is_named():
  with pytest.raises(ValueError, match=r"'jump'.*turn left"):
    obedience.obeys(_beliefs(), 'jump')
