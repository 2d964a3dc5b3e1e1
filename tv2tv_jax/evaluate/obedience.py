"""Does the picture do what the words said?

Films are judged in a window: the chunks filmed while an instruction held. Two
witnesses see nothing but frames. The inverse dynamics model sums its
log-probabilities over the window, and a film obeys where the instructed class
is the likeliest of its head. The motion of the scene has a sign, and a film
obeys a turn where the sign is right. The same rules judge real film (the
ceiling) and the twins that were told nothing (the base rate).

A third question has a chance level that no prior moves: of two films from one
start and one seed, which was told to attack and which to move forward? The one
with more evidence of the instruction is named; guessing is right half the time.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxtyping import Bool, Float, Int, UInt8
import numpy as np

from tv2tv_jax.evaluate import controls
from tv2tv_jax.evaluate import intervals
from tv2tv_jax.evaluate import motion

# Of every recording; `instructions` has those of a recording that has more.
INSTRUCTIONS = ('turn left', 'turn right', 'attack', 'move backward')
_LATER = ('jump',)
REFERENCE = 'move forward'  # What all but turns are told apart from.
_SIGNS = {'turn left': 1, 'turn right': -1}

Beliefs = Mapping[str, Float[np.ndarray, 'B N _']]


class Window(NamedTuple):
  """What the witnesses saw of films, in the window of each.

  Attributes:
    beliefs: log-probabilities per head, for each chunk of the window.
    travel: pixels a frame by which the scene moved right.
  """

  beliefs: Beliefs
  travel: Float[np.ndarray, 'B']


class Verdict(NamedTuple):
  """Counts of films that obeyed one instruction.

  Attributes:
    obeyed: by the inverse dynamics model.
    moved: by the sign of motion; None where it says nothing.
    apart: told apart from the film of the same seed that moved forward; None
      for turns.
  """

  obeyed: intervals.Count
  moved: intervals.Count | None
  apart: intervals.Count | None


def instructions(names: Sequence[str]) -> tuple[str, ...]:
  """What a model may be told that learned from a recording.

  Args:
    names: of the recording's controls. 'jump' is in the result only where it
      is one of them: what nobody recorded no model can have learned.
  """
  return tuple(word for word in (*INSTRUCTIONS, *_LATER) if word in names)


def judged(word: str, films: Window, forward: Window | None = None) -> Verdict:
  """The verdict on films that were told `word`.

  Args:
    word: the instruction.
    films: told `word`.
    forward: the same starts and seeds, told to move forward.
  """
  moved, apart = None, None
  if word in _SIGNS:
    moved = intervals.counted(turned(films.travel) == _SIGNS[word])
  elif forward is not None:
    more = leaning(films.beliefs, word) > leaning(forward.beliefs, word)
    apart = intervals.counted(more)
  return Verdict(intervals.counted(obeys(films.beliefs, word)), moved, apart)


def obeys(beliefs: Beliefs, word: str) -> Bool[np.ndarray, 'B']:
  """Whether the word's class is its head's likeliest over the window."""
  head, place = _class_of(word)
  return beliefs[head.name].sum(axis=1).argmax(axis=-1) == place


def leaning(beliefs: Beliefs, word: str) -> Float[np.ndarray, 'B']:
  """Log-odds of the word's class against the rest, summed over the window."""
  head, place = _class_of(word)
  chosen = beliefs[head.name][..., place]
  rest = np.delete(beliefs[head.name], place, axis=-1)
  return (chosen - np.logaddexp.reduce(rest, axis=-1)).sum(axis=1)


def turned(
  travel: Float[np.ndarray, 'B'], still: float = 0.25
) -> Int[np.ndarray, 'B']:
  """+1 for a left turn, -1 for a right turn, 0 below `still` pixels a frame."""
  return np.where(np.abs(travel) > still, np.sign(travel), 0).astype(int)


def travelled(
  frames: UInt8[np.ndarray, 'B T Y X C'],
) -> Float[np.ndarray, 'B']:
  """Pixels a frame by which the scene moved right."""
  return motion.shifts(frames).mean(axis=1)


def steady_windows(
  answers: Int[np.ndarray, 'N heads'],
  chunks: int,
  word: str,
  without: str = '',
) -> Int[np.ndarray, 'windows']:
  """First chunks of the windows of real film in which `word` held throughout.

  Args:
    answers: the class of each head in each chunk of a take.
    chunks: of a window.
    word: a control; others may be held beside it,
    without: but not this one.

  Returns:
    Windows that do not overlap.
  """
  held = _held(answers, word)
  if without:
    held &= ~_held(answers, without)
  return _windows(held, chunks)


def free_windows(
  answers: Int[np.ndarray, 'N heads'], chunks: int, word: str
) -> Int[np.ndarray, 'windows']:
  """First chunks of the windows in no chunk of which `word` was held.

  What the witnesses read in them is never that `word` was obeyed, if they are
  right: their specificity, as the windows in which it held have their
  sensitivity (`intervals.corrected`).
  """
  return _windows(~_held(answers, word), chunks)


def _windows(
  holds: Bool[np.ndarray, 'N'], chunks: int
) -> Int[np.ndarray, 'windows']:
  """Where so many chunks of which something holds begin; none overlap."""
  starts, run = [], 0
  for chunk, each in enumerate(holds):
    run = run + 1 if each else 0
    if run == chunks:
      starts.append(chunk + 1 - chunks)
      run = 0
  return np.array(starts, int)


def _held(
  answers: Int[np.ndarray, 'N heads'], word: str
) -> Bool[np.ndarray, 'N']:
  """Whether a control was held in each chunk."""
  head, place = _class_of(word)
  return answers[:, controls.HEADS.index(head)] == place


def _class_of(word: str) -> tuple[controls.Head, int]:
  """The head and class that a word stands for.

  Raises:
    ValueError: no control of this name.
  """
  for head in controls.HEADS:
    if word and word in head.words:
      return head, head.words.index(word)
  names = [name for head in controls.HEADS for name in head.words if name]
  raise ValueError(f'no control is called {word!r}; controls: {names}')
