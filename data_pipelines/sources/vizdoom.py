"""Doom as a source of film: a scripted player on maps worth filming.

An episode is filmed at 17.5 frames a second (35 tics, every 2nd). Frame `t`
shows the game after row `t` of the controls was held for two tics; row 0 is
zeros, for nothing had been done yet.
"""

from collections.abc import Iterator
import dataclasses
import functools
import math
from typing import Any, ClassVar, NamedTuple

import numpy as np
from PIL import Image

from data_pipelines.prepare import words
from data_pipelines.sources import doom
from data_pipelines.sources import player as player_lib
from data_pipelines.sources import source

RATE = 17.5  # frames/s
LICENSE = 'Freedoom (BSD-3-Clause), ViZDoom scenarios (MIT)'
CONTROL_NAMES = (
  'turn left',
  'turn right',
  'move forward',
  'move backward',
  'strafe left',
  'strafe right',
  'attack',
  'jump',
)
STATE_NAMES = doom.STATE_NAMES
# Width x height of the stored frame; rendered at 160x120 or 320x240.
SIZES = ('32x24', '64x48', '96x72', '128x96', '160x120', '192x144', '320x240')
DEFAULT_MAPS = ('deathmatch', 'duel', 'hall')

_CHUNKS = 32  # of 4 frames a take
_TAKES = 4  # an episode


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vizdoom:
  """Episodes of a scripted player, a unit each; the last tenth is for testing.

  A unit's work is its number and its takes: whole other games are held out,
  from every map. Players take turns when every map has been played.

  Attributes:
    minutes: of play, rounded up to whole takes of 7.3 s.
    seed: of the game and the player: the same one gives the same film.
    size: width x height of a frame.
    maps: that the episodes take turns on: deathmatch, duel, hall, yard, or any
      level of Freedoom: e1m1 to e4m9, map01 to map32.
    players: who play, by style: scout, runner, gunner, dodger, looker, hopper.
  """

  name: ClassVar[str] = 'vizdoom'

  minutes: float = 30.0
  seed: int = 0
  size: str = '64x48'
  maps: tuple[str, ...] = DEFAULT_MAPS
  players: tuple[str, ...] = ('scout',)

  def units(self) -> list[source.Unit]:
    """A unit per episode.

    Raises:
      ValueError: unknown size or map, no time, or a seed below zero.
    """
    self._check()
    takes = max(2, math.ceil(self.minutes * 60 * RATE / (_CHUNKS * 4)))
    each = min(_TAKES, takes // 2)  # two splits want two episodes
    count = -(-takes // each)
    tests = max(1, round(count / 10))
    return [
      source.Unit(
        name=f'episode {number}',
        test=number >= count - tests,
        work=(number, min(each, takes - number * each)),
      )
      for number in range(count)
    ]

  def takes(self, unit: source.Unit) -> Iterator[source.Film]:
    """The takes of an episode; one begins with the last frame of another."""
    number, takes = unit.work
    map_name = self.maps[number % len(self.maps)]
    player = self.players[number // len(self.maps) % len(self.players)]
    sequence = np.random.SeedSequence([self.seed, number])
    seed = int(sequence.generate_state(1)[0])
    origin = f'vizdoom-{self.seed}-{map_name}-{number:05d}'
    seconds = _CHUNKS * 4 / RATE
    films = film_takes(map_name, player, seed, self.size, takes)
    for index, film in enumerate(films):
      whole = words.Segment(
        start=0.0,
        end=len(film.frames) / RATE,
        kind=words.PROMPT,
        text=prompt(map_name),
      )
      yield source.Film(
        name=f'{origin}-{index:02d}',
        frames=film.frames,
        rate=RATE,
        segments=[
          whole,
          *words.segments_of(film.controls, CONTROL_NAMES, RATE),
        ],
        origin=origin,
        start=index * seconds,
        ended=index == takes - 1,
        license=LICENSE,
        controls=film.controls,
        control_names=CONTROL_NAMES,
        states=film.states,
        state_names=STATE_NAMES,
        details={'map': map_name, 'player': player, 'seed': seed},
      )

  def recipe(self) -> dict[str, Any]:
    """The fields: a film is a function of them."""
    return dataclasses.asdict(self)

  def _check(self) -> None:
    if not (math.isfinite(self.minutes) and self.minutes > 0):
      raise ValueError(f'minutes is {self.minutes}; it must be positive')
    if self.seed < 0:
      raise ValueError(f'seed is {self.seed}; it must not be negative')
    parse_size(self.size)
    for name in self.maps:
      doom.find(name)
    for name in self.players:
      if name not in player_lib.STYLES:
        raise ValueError(
          f'player {name!r} is unknown; choose from '
          f'{", ".join(player_lib.STYLES)}'
        )
    for kind, names in (('maps', self.maps), ('players', self.players)):
      if not names or len(set(names)) != len(names):
        raise ValueError(f'{kind} {names!r}: name each once, and one at least')


class Film(NamedTuple):
  """Frames of an episode beside what was held and what was true."""

  frames: np.ndarray  # uint8 [T, Y, X, 3]
  controls: np.ndarray  # uint8 [T, 8], 1 = held, columns CONTROL_NAMES
  states: np.ndarray  # float32 [T, 6], columns STATE_NAMES


def prompt(map_name: str) -> str:
  """What a story on this map begins with."""
  return f'doom {doom.find(map_name).words}'


def parse_size(size: str) -> tuple[int, int]:
  """(width, height) of '64x48'; ValueError names the sizes that exist."""
  if size not in SIZES:
    raise ValueError(
      f'size {size!r} is unknown; choose from {", ".join(SIZES)}'
    )
  width, height = size.split('x')
  return int(width), int(height)


def film_takes(
  map_name: str, player: str, seed: int, size: str, takes: int
) -> Iterator[Film]:
  """Films takes of `1 + 4 * 32` frames in a fresh episode.

  The last frame of a take is the first of the next one. A pure function of
  its arguments, on any process and after any other episode.
  """
  rng = np.random.default_rng(seed)
  game = doom.start(
    doom.find(map_name), int(rng.integers(2**31)), parse_size(size)
  )
  try:
    scripted = player_lib.Player(rng, player_lib.STYLES[player])
    first = doom.look(game)
    for _ in range(takes):
      film, first = _film(game, scripted, first, parse_size(size))
      yield film
  finally:
    game.close()


def _film(game, player, first, size):
  """One take from the view `first`, and the view it ends with."""
  views = [first]
  rows = [player_lib.Controls()]
  speed = 1.0
  for _ in range(_CHUNKS):
    held = player.decide(player_lib.Sight(views[-1].wall, speed))
    for _ in range(player_lib.GRID):
      game.make_action(doom.buttons(held), doom.TICS)
      views.append(doom.look(game))
      rows.append(held)
    gone = views[-1].state[1:3] - views[-1 - player_lib.GRID].state[1:3]
    speed = float(np.hypot(*gone)) / doom.FREE_RUN
  shrink = functools.partial(_shrink, size=size)
  return Film(
    frames=np.stack([shrink(view.picture) for view in views]),
    controls=np.array([_row(held) for held in rows], np.uint8),
    states=np.stack([view.state for view in views]),
  ), views[-1]


def _row(held: player_lib.Controls) -> list[int]:
  return [
    held.turn > 0,
    held.turn < 0,
    held.move > 0,
    held.move < 0,
    held.strafe > 0,
    held.strafe < 0,
    held.attack,
    held.jump,
  ]


def _shrink(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
