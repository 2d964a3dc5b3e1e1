"""Doom as a source of film: ViZDoom with the free game Freedoom, no window.

An episode is filmed at 17.5 frames a second (35 tics, every 2nd). Frame `t`
shows the game after row `t` of the controls was held for two tics; row 0 is
zeros, for nothing had been done yet. Monsters take no notice of the player,
who cannot die and never runs out of plasma: what the picture does is what the
controls say.
"""

from collections.abc import Iterator
import contextlib
import functools
import os
import tempfile
from typing import NamedTuple

import numpy as np
from PIL import Image
import vizdoom

from data_pipelines.sources import player as player_lib

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
)
STATE_NAMES = ('angle', 'x', 'y', 'ammo', 'health')
# Width x height of the stored frame; rendered at 160x120 or 320x240.
SIZES = ('32x24', '64x48', '96x72', '128x96', '160x120', '192x144', '320x240')

_TICS = 2  # tics a frame
_TURN = 3.0  # degrees a frame
_WARM_UP = 70  # tics: the start fog clears and the weapon comes up


class Map(NamedTuple):
  """A map that is worth filming, and how it is started."""

  words: str  # as the prompt names it
  game: str  # the game's own file
  scenario: str = ''  # file loaded over it
  level: str = ''  # name of the level, '' for the first
  arguments: str = ''


# Chosen by eye at 64x48: colour, contrast, and room to move.
MAPS = {
  'deathmatch': Map('deathmatch', 'freedoom2.wad', 'deathmatch.wad'),
  'duel': Map(
    'duel', 'freedoom2.wad', 'multi_duel.wad', 'map01', '-host 1 -deathmatch'
  ),
  'hall': Map(
    'hall',
    'freedoom2.wad',
    'multi_deathmatch.wad',
    'map01',
    '-host 1 -deathmatch',
  ),
  'yard': Map('yard', 'freedoom1.wad', level='e1m3'),
}
DEFAULT_MAPS = ('deathmatch', 'duel', 'hall')


class Film(NamedTuple):
  """Frames of an episode beside what was held and what was true."""

  frames: np.ndarray  # uint8 [T, Y, X, 3]
  controls: np.ndarray  # uint8 [T, 7], 1 = held, columns CONTROL_NAMES
  states: np.ndarray  # float32 [T, 5], columns STATE_NAMES


def prompt(map_name: str) -> str:
  """What a story on this map begins with."""
  return f'doom {MAPS[map_name].words}'


def parse_size(size: str) -> tuple[int, int]:
  """(width, height) of '64x48'; ValueError names the sizes that exist."""
  if size not in SIZES:
    raise ValueError(
      f'size {size!r} is unknown; choose from {", ".join(SIZES)}'
    )
  width, height = size.split('x')
  return int(width), int(height)


def parse_maps(names: tuple[str, ...]) -> tuple[str, ...]:
  """The names themselves; ValueError names the maps that exist."""
  for name in names:
    if name not in MAPS:
      raise ValueError(
        f'map {name!r} is unknown; choose from {", ".join(MAPS)}'
      )
  if not names or len(set(names)) != len(names):
    raise ValueError(f'maps {names!r}: name each map once, and one at least')
  return tuple(names)


def film_takes(
  map_name: str, seed: int, size: str, takes: int, chunks: int
) -> Iterator[Film]:
  """Films `takes` takes of `1 + 4 * chunks` frames in a fresh episode.

  The last frame of a take is the first of the next one. A pure function of
  its arguments, on any process and after any other episode.
  """
  rng = np.random.default_rng(seed)
  game = _start(MAPS[map_name], int(rng.integers(2**31)), parse_size(size))
  try:
    player = player_lib.Player(rng)
    first = _look(game)
    for _ in range(takes):
      film, first = _film(game, player, first, chunks, parse_size(size))
      yield film
  finally:
    game.close()


class _View(NamedTuple):
  picture: np.ndarray  # uint8 [120, 160, 3] or larger
  state: np.ndarray  # float32 [5]
  wall: float


def _film(game, player, first, chunks, size):
  """One take from the view `first`, and the view it ends with."""
  views = [first]
  rows = [player_lib.Controls()]
  speed = 1.0
  for _ in range(chunks):
    held = player.decide(player_lib.Sight(views[-1].wall, speed))
    for _ in range(player_lib.GRID):
      game.make_action(_buttons(held), _TICS)
      views.append(_look(game))
      rows.append(held)
    gone = views[-1].state[1:3] - views[-1 - player_lib.GRID].state[1:3]
    speed = float(np.hypot(*gone)) / _FREE_RUN
  shrink = functools.partial(_shrink, size=size)
  return Film(
    frames=np.stack([shrink(view.picture) for view in views]),
    controls=np.array([_row(held) for held in rows], np.uint8),
    states=np.stack([view.state for view in views]),
  ), views[-1]


_FREE_RUN = 50.0  # map units gone in one decision at full speed


def _start(level: Map, seed: int, size: tuple[int, int]) -> vizdoom.DoomGame:
  """A game that is running, its player armed and looking around."""
  game = vizdoom.DoomGame()
  home = os.path.dirname(vizdoom.__file__)
  game.set_doom_game_path(os.path.join(home, level.game))
  if level.scenario:
    game.set_doom_scenario_path(os.path.join(home, 'scenarios', level.scenario))
  if level.level:
    game.set_doom_map(level.level)
  resolution = vizdoom.ScreenResolution
  game.set_screen_resolution(
    resolution.RES_160X120 if size[0] <= 160 else resolution.RES_320X240
  )
  game.set_screen_format(vizdoom.ScreenFormat.RGB24)
  game.set_depth_buffer_enabled(True)
  game.set_render_hud(False)
  game.set_render_crosshair(False)
  game.set_render_screen_flashes(False)
  game.set_window_visible(False)
  game.set_sound_enabled(False)
  game.set_mode(vizdoom.Mode.PLAYER)
  game.set_doom_skill(1)
  button, variable = vizdoom.Button, vizdoom.GameVariable
  game.set_available_buttons(
    [
      button.TURN_LEFT_RIGHT_DELTA,
      button.MOVE_FORWARD,
      button.MOVE_BACKWARD,
      button.MOVE_LEFT,
      button.MOVE_RIGHT,
      button.ATTACK,
    ]
  )
  game.set_available_game_variables(
    [
      variable.ANGLE,
      variable.POSITION_X,
      variable.POSITION_Y,
      variable.SELECTED_WEAPON_AMMO,
      variable.HEALTH,
    ]
  )
  game.set_episode_timeout(0)
  game.set_seed(seed)
  game.add_game_args(f'{level.arguments} +sv_cheats 1 +sv_infiniteammo 1')
  # The engine leaves a settings file and a folder where it starts.
  game.set_doom_config_path(os.devnull)
  with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    game.init()
  for command in ('god', 'notarget', 'give ammo', 'give PlasmaRifle'):
    game.send_game_command(command)
  game.advance_action(_WARM_UP // 2)
  game.send_game_command('use PlasmaRifle')
  game.advance_action(_WARM_UP // 2)
  return game


def _look(game) -> _View:
  state = game.get_state()
  depth = state.depth_buffer
  height, width = depth.shape
  ahead = depth[height * 2 // 5 : height * 3 // 5, width // 3 : width * 2 // 3]
  return _View(
    picture=state.screen_buffer,
    state=np.asarray(state.game_variables, np.float32),
    wall=float(np.clip(1.0 - np.median(ahead) / _FAR, 0.0, 1.0)),
  )


_FAR = 40.0  # depth of the buffer beyond which a wall is no matter


def _buttons(held: player_lib.Controls) -> list[float]:
  return [
    -_TURN / _TICS * held.turn,
    held.move > 0,
    held.move < 0,
    held.strafe > 0,
    held.strafe < 0,
    held.attack,
  ]


def _row(held: player_lib.Controls) -> list[int]:
  return [
    held.turn > 0,
    held.turn < 0,
    held.move > 0,
    held.move < 0,
    held.strafe > 0,
    held.strafe < 0,
    held.attack,
  ]


def _shrink(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
