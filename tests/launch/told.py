"""Folders of finished stories that no model told, and film like theirs.

A story is a wall of noise that moves sideways: to the right where the player
would turn left. It goes as its words say, if it is one that obeys.
"""

import json
import pathlib

import jax
import numpy as np

from data_pipelines.prepare import record
from data_pipelines.sources import source
from launch import story_folder
from launch.evaluation import reader
from tests.launch import fake_teller
from tv2tv_jax.evaluate import controls
from tv2tv_jax.evaluate import inverse_dynamics
from tv2tv_jax.sample import settings as settings_lib

SIZE = 16, 24  # rows, columns
STEP = fake_teller.STEP
RATE = 8.0
CHUNKS = 7
NAMES = tuple(word for head in controls.HEADS for word in head.words if word)
_SPEED = {'turn left': 1, 'turn right': -1}  # pixels a frame


class Teller(fake_teller.Storyteller):
  """Of larger pictures, so that there is motion to see."""

  def __init__(self, **changes):
    super().__init__(**changes)
    self.size = SIZE


def film(words, seed=0):
  """A frame and a chunk for each word, moving as it says."""
  rng = np.random.default_rng(seed)
  wall = rng.integers(0, 256, (SIZE[0], 400, 3), np.uint8)
  speeds = np.repeat([_SPEED.get(word, 0) for word in words], STEP)
  places = 200 - np.concatenate([[0], np.cumsum(speeds)])
  return np.stack([wall[:, at : at + SIZE[1]] for at in places])


def write(folder, name, asks=None, *, seed=0, obeys=True, prompt='hall'):
  """A story told some words, by its chunk; and what it wrote itself."""
  asks, teller = asks or {}, Teller()
  words = [asks.get(chunk, '') for chunk in range(1, CHUNKS)]
  frames = film(words if obeys else [''] * (CHUNKS - 1), seed)
  finished = story_folder.Finished(
    script=story_folder.Script(
      prompt=prompt,
      seed=seed,
      settings=settings_lib.Settings(),
      layout='tv2tv',
      chunks=CHUNKS,
      asks=asks,
    ),
    start=frames[:1],
    words=['', *(word or 'go' for word in words)],
    frames=frames,
    ended='length',
  )
  story_folder.save(folder / name, finished, teller)


def stories(folder: pathlib.Path) -> pathlib.Path:
  """Two starts, each told nothing, to move forward, and to turn and attack."""
  for seed in range(2):
    turn, other = ('turn left', 'turn right')[:: 1 - 2 * seed]
    forward = dict.fromkeys((1, 2, 4, 5), 'move forward')
    write(folder, f'{seed}-nothing', seed=seed)
    write(folder, f'{seed}-forward', forward, seed=seed)
    write(folder, f'{seed}-turn', {1: turn, 2: turn, 4: other}, seed=seed)
    write(folder, f'{seed}-attack', {4: 'attack', 5: 'attack'}, seed=seed)
  return folder


def change(folder: pathlib.Path, name: str, **fields) -> None:
  """Gives the record of a story other values."""
  path = folder / name / story_folder.RECORD
  values = json.loads(path.read_bytes())
  path.write_text(json.dumps({**values, **fields}))


def net(seed: int = 0) -> inverse_dynamics.InverseDynamics:
  """A reader of chance."""
  from flax import nnx

  config = inverse_dynamics.InverseDynamicsConfig(
    chunk_frames=STEP,
    height=SIZE[0],
    width=SIZE[1],
    half_reach=(0, 1),
    reach=(0, 2),
    cell_width=4,
    hidden=6,
  )
  return inverse_dynamics.InverseDynamics(
    config, rngs=nnx.Rngs(jax.random.key(seed))
  )


def reader_of(model, names=NAMES) -> reader.Reader:
  """The reader that a model is."""
  return reader.Reader(model, names, RATE, reader.fingerprint(model))


class Corpus:
  """A few takes of two splits, with what was held."""

  name = 'walls'

  def units(self):
    return [source.Unit(f'u{n}', n > 1, n) for n in range(4)]

  def takes(self, unit):
    rng = np.random.default_rng(unit.work)
    words = rng.choice(NAMES, 12).repeat(2)
    frames = film(words, unit.work)
    held = np.zeros((len(frames), len(NAMES)), np.uint8)
    rows = np.arange(1, len(frames))
    held[rows, [NAMES.index(word) for word in words.repeat(STEP)]] = 1
    yield source.Film(
      name=f'take-{unit.work}',
      frames=frames,
      rate=RATE,
      segments=[
        {
          'start': 0.0,
          'end': len(frames) / RATE,
          'kind': 'prompt',
          'text': 'hall',
        },
      ],
      origin=f'file-{unit.work}',
      controls=held,
      control_names=NAMES,
    )

  def recipe(self):
    return {'walls': 1}


def recorded(folder: pathlib.Path) -> str:
  """The corpus as a dataset of takes."""
  record.record(Corpus(), folder, processes=1)
  return str(folder)
