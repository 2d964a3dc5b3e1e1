"""Doom, running: how a map is started, what is held, and what is seen.

ViZDoom with the free game Freedoom, no window. Monsters take no notice of the
player, who cannot die and never runs out of plasma: what the picture does is
what the controls say.
"""

import contextlib
import os
import re
import tempfile
from typing import NamedTuple

import numpy as np
import vizdoom

from data_pipelines.sources import player as player_lib

STATE_NAMES = ('angle', 'x', 'y', 'ammo', 'health', 'z')
TICS = 2  # tics a frame, of 35 a second
FREE_RUN = 50.0  # map units gone in one decision at full speed

_TURN = 3.0  # degrees a frame
_WARM_UP = 70  # tics: the start fog clears and the weapon comes up
_FAR = 40.0  # depth of the buffer beyond which a wall is no matter


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


def find(name: str) -> Map:
  """The map of a name: one of `MAPS`, or a level of Freedoom.

  Raises:
    ValueError: there is none.
  """
  if name in MAPS:
    return MAPS[name]
  if re.fullmatch('e[1-4]m[1-9]', name):
    return Map(name, 'freedoom1.wad', level=name)
  if re.fullmatch('map(0[1-9]|[12][0-9]|3[0-2])', name):
    return Map(name, 'freedoom2.wad', level=name)
  raise ValueError(
    f'map {name!r} is unknown; choose from {", ".join(MAPS)}, e1m1 to e4m9 and '
    'map01 to map32'
  )


class View(NamedTuple):
  """What a player sees, and what is true."""

  picture: np.ndarray  # uint8 [120, 160, 3] or larger
  state: np.ndarray  # float32 [6], columns STATE_NAMES
  wall: float  # how near the wall ahead is: 0 far, 1 at the nose


def start(level: Map, seed: int, size: tuple[int, int]) -> vizdoom.DoomGame:
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
      button.JUMP,
    ]
  )
  game.set_available_game_variables(
    [
      variable.ANGLE,
      variable.POSITION_X,
      variable.POSITION_Y,
      variable.SELECTED_WEAPON_AMMO,
      variable.HEALTH,
      variable.POSITION_Z,
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


def look(game: vizdoom.DoomGame) -> View:
  """What is on the screen now."""
  state = game.get_state()
  depth = state.depth_buffer
  height, width = depth.shape
  ahead = depth[height * 2 // 5 : height * 3 // 5, width // 3 : width * 2 // 3]
  return View(
    picture=state.screen_buffer,
    state=np.asarray(state.game_variables, np.float32),
    wall=float(np.clip(1.0 - np.median(ahead) / _FAR, 0.0, 1.0)),
  )


def buttons(held: player_lib.Controls) -> list[float]:
  """What the game is told while the player holds this."""
  return [
    -_TURN / TICS * held.turn,
    held.move > 0,
    held.move < 0,
    held.strafe > 0,
    held.strafe < 0,
    held.attack,
    held.jump,
  ]
