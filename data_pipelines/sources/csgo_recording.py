"""A file of the Pearce & Zhu set: its frames, each checked as it is read.

It is HDF5 with four datasets a frame (README.md and `dm_pretrain_process.py` of
TeaPearce/Counter-Strike_Behavioural_Cloning):

| dataset | type | is |
|---|---|---|
| `frame_7_x` | uint8 [150, 280, 3] | the picture; blue, green, red (`screen_input.py`) |
| `frame_7_y` | float64 [51] | the action, see `csgo_words` |
| `frame_7_xaux` | float64 [54] | of each of the three actions before: 13 keys, 2 distances of the mouse, and then health / 100, rounds / 30 and team |
| `frame_7_helperarr` | float64 [2] | 1 for a kill and 1 for a death while the action lasted |

Health, rounds and team of the action before were read just before the picture
was grabbed: they are the frame's own. Nothing but the file is read: datasets
whose bytes are in another file are refused.
"""  # noqa: E501 - a row of a table is one line

from collections.abc import Iterator
import contextlib
import pathlib
import re

import h5py
import numpy as np

from data_pipelines import film
from data_pipelines.sources import csgo_words

SIZE = (280, 150)  # width and height
STATE_NAMES = ('health', 'ammo', 'team', 'kill', 'death')

_SHAPES = {
  'x': (*SIZE[::-1], 3),
  'y': (len(csgo_words.NAMES),),
  'xaux': (54,),
  'helperarr': (2,),
}
_KEY = re.compile(rf'frame_(0|[1-9][0-9]{{0,8}})_(?:{"|".join(_SHAPES)})')
_KNOWN = slice(15, 18)  # of xaux: health, rounds and team of the action before
_UNITS = (100, 30, 1)  # that they are stored in
# The library has no error class of its own.
_ERRORS = (
  KeyError,
  MemoryError,
  OSError,
  OverflowError,
  RuntimeError,
  TypeError,
  ValueError,
)


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator['Recording']:
  """The recording of a file; ValueError names what is amiss with it."""
  with _named(f'{path}: no whole HDF5 file'):
    file = h5py.File(path, 'r', locking=False)
  with file:
    yield Recording(file, path)


class Recording:
  """The frames of an open file.

  Every method raises a ValueError that names the file, the dataset and the
  value if one is missing, damaged or not as it should be.

  Attributes:
    frame_count: frames 0 to the last one; some between may be missing.
  """

  def __init__(self, file: h5py.File, path: pathlib.Path):
    self._file, self._path = file, path
    with _named(f'{path}: its list of datasets cannot be read'):
      keys = filter(None, map(_KEY.fullmatch, file))
      self.frame_count = 1 + max((int(key[1]) for key in keys), default=-1)
    if not self.frame_count:
      raise ValueError(f'{path}: holds no frame; frame_0_x and more are wanted')

  def pictures(self, shown: range, box: film.Box | None) -> np.ndarray:
    """Frames uint8 [T, Y, X, 3], red, green, blue; a box of each, or all."""
    pictures = (
      np.ascontiguousarray(self._read(frame, 'x')[..., ::-1]) for frame in shown
    )
    return np.stack([box.seen(each) if box else each for each in pictures])

  def moves(self, shown: range) -> csgo_words.Moves:
    """What made each frame after the first, those left out included."""
    frames = range(shown.start, shown[-1])
    return csgo_words.moves_of(
      np.array([self._read(frame, 'y') for frame in frames]).reshape(
        len(frames), len(csgo_words.NAMES)
      ),
      lambda row: f'{self._path}: frame_{frames[row]}_y',
    )

  def states(self, shown: range) -> np.ndarray:
    """What the game knew, float32 [T, 5], columns `STATE_NAMES`.

    Health, up to 100; rounds in the magazine, -1 for a knife; 1 for
    counter-terrorists and 0 for terrorists; 1 where the player has killed, or
    has died, since the frame before. Health, rounds and team of a file's first
    frame are not known: NaN.
    """
    states = np.zeros((len(shown), len(STATE_NAMES)), np.float32)
    for row, frame in enumerate(shown):
      known = self._read(frame, 'xaux')[_KNOWN] if frame else np.nan
      states[row, :3] = np.round(known * np.array(_UNITS))
      for before in range(max(frame - shown.step, shown.start), frame):
        events = self._read(before, 'helperarr')
        states[row, 3:] = np.maximum(states[row, 3:], events)
    return states

  def _read(self, frame: int, field: str) -> np.ndarray:
    key = f'frame_{frame}_{field}'
    where = f'{self._path}: {key}'
    with _named(f'{where} cannot be read'):
      link = self._file.get(key, getlink=True)
      inside = isinstance(link, h5py.HardLink)
      found = self._file[key] if inside else link
      inside = isinstance(found, h5py.Dataset) and not (
        found.is_virtual or found.external
      )
      shape, kind = (found.shape, found.dtype) if inside else (None, None)
    if not inside:
      problem = 'is no dataset of this file' if found else 'is missing'
      raise ValueError(f'{where} {problem}; {_SHAPES[field]} is wanted')
    number = kind == np.uint8 if field == 'x' else kind.kind in 'fiub'
    if shape != _SHAPES[field] or not number:
      wanted = 'uint8' if field == 'x' else 'numbers'
      raise ValueError(
        f'{where} is {kind} {shape}; {wanted} {_SHAPES[field]} is wanted'
      )
    with _named(f'{where} cannot be read'):
      values = found[()]
    _check(values, field, where)
    return values


def _check(values: np.ndarray, field: str, where: str):
  """ValueError names the first value that cannot be one of this field."""
  if field == 'xaux':
    odd, wanted = ~(abs(values) < 1e30), 'a number'
  elif field == 'helperarr':
    odd, wanted = (values != 0) & (values != 1), '0 or 1'
  else:
    return
  for column in np.flatnonzero(odd)[:1]:
    raise ValueError(
      f'{where}: column {column} is {values[column]}, {wanted} is wanted'
    )


@contextlib.contextmanager
def _named(problem: str) -> Iterator[None]:
  """Errors of the library become ValueErrors that begin with `problem`."""
  try:
    yield
  except _ERRORS as error:
    raise ValueError(f'{problem} ({error})') from None
