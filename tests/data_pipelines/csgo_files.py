"""Small files in the exact layout of the Pearce & Zhu set."""

import pathlib
from typing import NamedTuple

import h5py
import numpy as np

from data_pipelines.sources import csgo_words


class Frames(NamedTuple):
  """What the datasets of a file hold, frame by frame."""

  x: np.ndarray  # uint8 [N, 150, 280, 3], blue, green, red
  y: np.ndarray  # float64 [N, 51]
  xaux: np.ndarray  # float64 [N, 54]
  helperarr: np.ndarray  # float64 [N, 2]


def random_frames(seed: int, count: int) -> Frames:
  """A picture that tells its number in red, and actions that never repeat."""
  rng = np.random.default_rng(seed)
  x = np.zeros((count, 150, 280, 3), np.uint8)
  x[..., 2] = np.arange(count)[:, None, None]
  x[:, :75, :, 0] = 200  # the upper half is blue
  moves = csgo_words.Moves(
    rng.integers(0, 2, (count, len(csgo_words.KEYS)), np.uint8),
    np.stack([rng.choice(each, count) for each in csgo_words.DISTANCES], 1),
  )
  y = csgo_words.actions_of(moves).astype(float)
  xaux = np.zeros((count, 54))
  for back in range(1, 4):  # actions before, the last one first
    block = xaux[back:, 18 * (back - 1) : 18 * back]
    block[:, :13] = y[:-back, :13]
    block[:, 13:15] = moves.mouse[:-back] / (1000, 200)
    block[:, 15:] = 0.87, 29 / 30, 1
  helperarr = rng.integers(0, 2, (count, 2)).astype(float)
  return Frames(x, y, xaux, helperarr)


def write(path: pathlib.Path, frames: Frames):
  """Writes the four datasets of each frame."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with h5py.File(path, 'w') as file:
    for number in range(len(frames.x)):
      for field, values in frames._asdict().items():
        file.create_dataset(f'frame_{number}_{field}', data=values[number])


def damaged(path: pathlib.Path, seed: int) -> bytes:
  """The bytes of a file, cut short, or with some that are not pictures changed.

  Pictures are nearly all of a file: changes anywhere would hit little else.
  """
  data = np.fromfile(path, np.uint8)
  rng = np.random.default_rng(seed)
  with h5py.File(path) as file:
    pictures = np.zeros(len(data), bool)
    for dataset in file.values():
      if dataset.ndim == 3:
        begin = dataset.id.get_offset()
        pictures[begin : begin + dataset.nbytes] = True
  places = rng.choice(np.flatnonzero(~pictures), rng.integers(1, 20))
  kind = seed % 5
  if kind == 0:
    return data[: rng.integers(len(data))].tobytes()
  if kind == 1:
    data[places] = rng.integers(0, 256, len(places))
  elif kind == 2:
    data[places] = rng.choice([0, 1, 127, 128, 255], len(places))
  elif kind == 3:
    data[places[0]] ^= 1 << rng.integers(8, dtype=np.uint8)
  else:
    data[places[0] : places[0] + 2 ** rng.integers(12)] = 0
  return data.tobytes()
