"""The rules by which films are judged."""

from collections.abc import Sequence

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


def _window(films=2, travel=None, **chosen) -> obedience.Window:
  travel = np.zeros(films) if travel is None else np.array(travel)
  return obedience.Window(_beliefs(films, **chosen), travel)


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


def test_free_windows_never_hold_and_do_not_overlap():
  rows = np.ones((9, len(controls.HEADS)), int)
  rows[2, 0] = 2  # right, for one chunk
  assert list(obedience.free_windows(rows, 2, 'turn right')) == [0, 3, 5, 7]
  assert list(obedience.free_windows(rows, 9, 'turn left')) == [0]


_TURNS = ('turn left', 'turn right')


def _turning_films(words: Sequence[str]) -> np.ndarray:
  """A wall seen by a camera that turns as it is told, a chunk and a frame."""
  rng = np.random.default_rng(0)
  films = []
  for word in words:
    wall = rng.normal(size=(32, 140, 1))
    for axis in (0, 1, 0, 1):
      wall = (np.roll(wall, 1, axis) + wall + np.roll(wall, -1, axis)) / 3
    step = rng.integers(1, 5) * (1 if word == 'turn left' else -1)
    at = 40 + np.arange(48) - step * np.arange(5)[:, None]
    film = (128 + 150 * wall[:, at]).clip(0, 255).astype(np.uint8)
    films.append(np.repeat(film.transpose(1, 0, 2, 3), 3, axis=-1))
  return np.stack(films)


def _read(words: Sequence[str], seed: int, sure: float = 0.9) -> dict:
  """What a reader believes who takes a turn for another in one of ten."""
  rng = np.random.default_rng(seed)
  head = controls.HEADS[0]
  odds = np.full((len(words), 3), 0.1)
  for film, word in enumerate(words):
    right = rng.random() < sure
    told = word if right else _TURNS[1 - _TURNS.index(word)]
    odds[film, head.words.index(told)] = 0.8
  return _beliefs(len(words), chunks=1, turn=odds)


def _scored(told: Sequence[str], beliefs: dict, travel: np.ndarray) -> dict:
  """How many of the films obeyed what each was told, by each witness."""
  totals = {'obeyed': [0, 0], 'moved': [0, 0]}
  for word in _TURNS:
    some = np.array([each == word for each in told])
    window = obedience.Window(
      {name: each[some] for name, each in beliefs.items()}, travel[some]
    )
    verdict = obedience.judged(word, window)
    for name, total in totals.items():
      count = getattr(verdict, name)
      total[0] += count.hits
      total[1] += count.trials
  return {name: intervals.Count(*total) for name, total in totals.items()}


def test_films_with_their_controls_shuffled_obey_by_chance():
  """Both witnesses find the truth, and nothing where words are not its own."""
  told = _TURNS * 80
  beliefs, travel = _read(told, 0), obedience.travelled(_turning_films(told))
  own = _scored(told, beliefs, travel)
  assert own['moved'].share == 1.0
  assert own['obeyed'].interval[0] < 0.9 < own['obeyed'].interval[1]
  rng = np.random.default_rng(1)
  for _ in range(5):
    shuffled = _scored(list(rng.permutation(told)), beliefs, travel)
    for count in shuffled.values():
      assert count.trials == 160 and abs(count.share - 0.5) < 0.13


def test_of_shuffled_pairs_half_are_told_apart():
  rng = np.random.default_rng(0)
  told, forward = (
    _window(films=400, attack=rng.random((400, 2)) + [0.2, more])
    for more in (0.9, 0.2)
  )
  swap = rng.random(400) < 0.5
  mixed = [
    obedience.Window(
      {
        name: np.where(swap[:, None, None], a.beliefs[name], b.beliefs[name])
        for name in a.beliefs
      },
      np.zeros(400),
    )
    for a, b in ((told, forward), (forward, told))
  ]
  assert obedience.judged('attack', told, forward).apart.share > 0.7
  assert abs(obedience.judged('attack', *mixed).apart.share - 0.5) < 0.1


def test_obedience_is_found_through_the_errors_of_its_reader():
  """Of 200 films 130 turn left; the reader was tested on 300 others."""
  told = ['turn left'] * 130 + ['turn right'] * 70
  read = obedience.obeys(_read(told, 2, 0.8), 'turn left')
  known = [
    intervals.counted(obedience.obeys(_read([word] * 150, 3, 0.8), 'turn left'))
    for word in _TURNS
  ]
  plain = intervals.counted(read)
  found = intervals.corrected(plain, known[0], known[1].missed)
  assert abs(plain.share - 0.59) < 0.06  # 0.65 * 0.8 + 0.35 * 0.2
  assert abs(found.share - 0.65) < 0.1
  assert found.low < 0.65 < found.high


def test_an_unknown_instruction_is_named():
  with pytest.raises(ValueError, match=r"'fly'.*turn left"):
    obedience.obeys(_beliefs(), 'fly')


def test_nobody_is_told_what_no_recording_has():
  names = [word for head in controls.HEADS for word in head.words if word]
  assert obedience.instructions(names) == (*obedience.INSTRUCTIONS, 'jump')
  names.remove('jump')
  assert obedience.instructions(names) == obedience.INSTRUCTIONS
  assert obedience.instructions(['attack']) == ('attack',)
