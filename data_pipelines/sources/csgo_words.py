"""Counter-Strike's controls as words, and the words as controls again.

An action of the Pearce & Zhu set is 51 columns of 0 and 1 (its `config.py`,
`actions_to_onehot`): what is held, and how far the mouse went in one frame.

| columns | mean |
|---|---|
| 0 to 10 | the keys w, a, s, d, space, ctrl, shift, 1, 2, 3, r |
| 11, 12 | the left and the right button of the mouse |
| 13 to 35 | one of 23 distances to the right, -1000 to 1000 |
| 36 to 50 | one of 15 distances downwards, -200 to 200 |

A distance is in counts of the mouse: one turns the view by 0.055 degrees, less
while zoomed in (`dm_infer_actions.py`: 0.00096 radians).

The words, in the order of the columns; nothing held and no motion is no text:

```
text  = item {", " item}            each item at most once, in this order:
item  = key | turn | look
key   = one of KEYS
turn  = "turn left " counts | "turn right " counts
look  = "look up " counts | "look down " counts
counts = a number from 1 to 999999, in digits
```

'move forward, attack, turn left 30, look up 4' holds two keys and moves the
mouse by 30 counts to the left and 4 upwards in each *step* of the time in which
it is in force. A step is a frame or a chunk, as the record was made (`grid`):

* `frame`: the words are the actions, frame by frame, and `actions` gives them
  back exactly. The mouse moves in almost every frame, so segments last a frame.
* `chunk`: a chunk is told what happens in all of it: the distance that the
  mouse goes from its first to its last frame, the keys that are held in half of
  its frames at least, and those that are *tapped*, even once. Taps are what
  makes the difference: in the set a jump, a reload, a shot or a change of
  weapon is one frame long, which no majority of four ever has. `moves_in` gives
  back exactly what `merged` made of the actions.

Chunks are the default. Readers tell a chunk the words that are in force over
most of it. Of four frames with four distances these would be the words of one
frame, which lead to another picture than the one that follows: a turn of 30,
60, 100 and 60 would be told as one of 30. Nothing is lost by it: a record keeps
the actions themselves in `controls`.
"""

from collections.abc import Callable, Sequence
import itertools
import re
from typing import NamedTuple

import numpy as np

from data_pipelines.prepare import words

KEYS = (
  'move forward',
  'strafe left',
  'move backward',
  'strafe right',
  'jump',
  'crouch',
  'walk',
  'primary weapon',
  'pistol',
  'knife',
  'reload',
  'attack',
  'scope',
)
_RIGHT = (2, 4, 10, 20, 30, 60, 100, 200, 300, 500, 1000)
_DOWN = (2, 4, 10, 20, 50, 100, 200)


def _both_ways(distances: tuple[int, ...]) -> tuple[int, ...]:
  return (*(-distance for distance in distances[::-1]), 0, *distances)


# Distances of the mouse that have a column, to the right and downwards.
DISTANCES = (_both_ways(_RIGHT), _both_ways(_DOWN))

_WAYS = (('turn left', 'turn right'), ('look up', 'look down'))
_STILL = ('no turn', 'no look')
_AXES = ('mouse x', 'mouse y')
_MOTION = re.compile(r'(turn|look) (?:left|right|up|down) [1-9][0-9]{0,5}')
# Keys that act when they go down: holding them on does nothing more, but for
# fire, where the set has a frame for each shot.
_TAPPED = np.isin(
  KEYS,
  ('jump', 'primary weapon', 'pistol', 'knife', 'reload', 'attack', 'scope'),
)
_SAME = 1e-6  # s: times are sums of fractions


def _motion(axis: int, distance: int) -> str:
  """Words of a distance, '' for none."""
  way = _WAYS[axis][int(distance > 0)]
  return f'{way} {abs(distance)}' if distance else ''


NAMES = KEYS + tuple(
  _motion(axis, distance) or _STILL[axis]
  for axis in range(2)
  for distance in DISTANCES[axis]
)
_BOUNDS = (len(KEYS), len(KEYS) + len(DISTANCES[0]), len(NAMES))  # of the axes


class Moves(NamedTuple):
  """What is done in each of `N` steps.

  Attributes:
    keys: uint8 [N, 13], 1 = held; the columns are `KEYS`.
    mouse: int64 [N, 2], counts to the right and downwards.
  """

  keys: np.ndarray
  mouse: np.ndarray


def moves_of(
  actions: np.ndarray, where: Callable[[int], str] = 'frame {}'.format
) -> Moves:
  """What actions [N, 51] of 0 and 1 do.

  Args:
    actions: of any type of number.
    where: what errors call row `n`.

  Raises:
    ValueError: a value is neither 0 nor 1, or not exactly one distance of an
      axis is set; names the row, the column or axis, and the value.
  """
  if actions.ndim != 2 or actions.shape[1] != len(NAMES):
    raise ValueError(
      f'{where(0)}: actions have the shape {actions.shape}, (frames, '
      f'{len(NAMES)}) is wanted'
    )
  odd = np.argwhere((actions != 0) & (actions != 1))
  if len(odd):
    row, column = odd[0]
    raise ValueError(
      f'{where(row)}: column {column} ({NAMES[column]}) is '
      f'{actions[row, column]}, 0 or 1 is wanted'
    )
  mouse = []
  for axis, (begin, end) in enumerate(itertools.pairwise(_BOUNDS)):
    part = actions[:, begin:end]
    for row in np.flatnonzero(part.sum(1) != 1)[:1]:
      found = [NAMES[begin + column] for column in np.flatnonzero(part[row])]
      raise ValueError(
        f'{where(row)}: {_AXES[axis]} is {", ".join(found) or "not set"}: '
        f'exactly one of columns {begin} to {end - 1} is wanted'
      )
    mouse.append(np.asarray(DISTANCES[axis])[part.argmax(1)])
  return Moves(actions[:, : len(KEYS)].astype(np.uint8), np.stack(mouse, 1))


def actions_of(moves: Moves) -> np.ndarray:
  """Actions uint8 [N, 51] with the nearest distances that have a column."""
  columns = [moves.keys]
  for axis, distances in enumerate(DISTANCES):
    apart = abs(moves.mouse[:, axis, None] - np.asarray(distances))
    columns.append(np.eye(len(distances), dtype=np.uint8)[apart.argmin(1)])
  return np.concatenate(columns, 1)


def merged(moves: Moves, steps: int) -> Moves:
  """Moves of steps that are `steps` times as long; a rest is left out.

  The mouse goes as far; a key is held if it was in half of them, a tapped one
  if it was in any.
  """
  count = len(moves.keys) // steps
  keys, mouse = (
    each[: count * steps].reshape(count, steps, each.shape[1]).sum(1)
    for each in moves
  )
  held = 2 * keys >= np.where(_TAPPED, 1, steps)
  return Moves(held.astype(np.uint8), mouse)


def segments_of(moves: Moves, rate: float) -> list[words.Segment]:
  """Moves as words, `rate` of them a second; equal neighbours are merged."""
  texts = [_text(*step) for step in zip(*moves, strict=True)]
  # As controls, each text is held or not; row 0 is before the first step.
  names = sorted(set(texts))
  held = [[text == name for name in names] for text in ['', *texts]]
  return words.segments_of(np.array(held), names, rate)


def moves_in(
  segments: Sequence[words.Segment], count: int, rate: float
) -> Moves:
  """The moves that were made words: `segments_of`, the other way.

  Args:
    segments: of a take; those of another kind than control are passed over.
    count: of the moves.
    rate: of the moves, 1/s.

  Raises:
    ValueError: a text is not of the grammar, or a segment is not of whole
      steps, is out of order or ends too late; named.
  """
  keys = np.zeros((count, len(KEYS)), np.uint8)
  mouse = np.zeros((count, 2), np.int64)
  done = 0
  for index, segment in enumerate(segments):
    if segment['kind'] != words.CONTROL:
      continue
    times = segment['start'], segment['end']
    begin, end = (round(time * rate) for time in times)
    apart = max(abs(begin / rate - times[0]), abs(end / rate - times[1]))
    if apart > _SAME or not done <= begin < end <= count:
      raise ValueError(
        f'segments[{index}] runs from {times[0]} to {times[1]} s: whole steps '
        f'of 1/{rate:g} s between {done / rate} and {count / rate} s are wanted'
      )
    keys[begin:end], mouse[begin:end] = _parsed(
      segment['text'], f'segments[{index}].text'
    )
    done = end
  return Moves(keys, mouse)


def actions(
  segments: Sequence[words.Segment], frame_count: int, rate: float
) -> np.ndarray:
  """The controls uint8 [frame_count, 51] of a take told frame by frame.

  Exactly those that were made words; row 0 is zeros. Words of a lower rate
  than the set's may name a distance that no column has: the nearest one is
  taken, as it was for the controls of the record.

  Raises:
    ValueError: as `moves_in`.
  """
  moves = moves_in(segments, frame_count - 1, rate)
  return np.pad(actions_of(moves), ((1, 0), (0, 0)))


def _text(keys: np.ndarray, mouse: np.ndarray) -> str:
  """Words of one step."""
  held = words.text_of(keys, KEYS)
  motions = (_motion(axis, int(mouse[axis])) for axis in range(2))
  return ', '.join(filter(None, (held, *motions)))


def _parsed(text: str, where: str) -> tuple[np.ndarray, np.ndarray]:
  """Keys and mouse of one step; ValueError if its words are not `text`."""
  keys, mouse = np.zeros(len(KEYS), np.uint8), np.zeros(2, np.int64)
  for item in text.split(', '):
    way, _, counts = item.rpartition(' ')
    if item in KEYS:
      keys[KEYS.index(item)] = 1
    elif _MOTION.fullmatch(item) and way in _WAYS[0] + _WAYS[1]:
      axis = int(way in _WAYS[1])
      mouse[axis] = int(counts) * (1 if way == _WAYS[axis][1] else -1)
    else:
      raise ValueError(
        f'{where}: {item!r:.80} is none of {", ".join(KEYS)}, turn left or '
        'right and look up or down with a number from 1 to 999999'
      )
  if _text(keys, mouse) != text:
    raise ValueError(f'{where} is {text!r:.200}, not {_text(keys, mouse)!r}')
  return keys, mouse
