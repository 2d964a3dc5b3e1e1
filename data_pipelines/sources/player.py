"""A scripted player: what it holds down, decided every four frames.

It plays in stretches: one set of controls held for a multiple of four frames,
so that a clip that starts on this grid has controls that change only between
chunks of the video tokenizer. It leaves walls alone: near one it prefers to
turn or to back off, and it turns when it pushes forward without moving. It
holds jump while it is in the air and no longer, so that who jumps is seen to.

Lengths and weights are a choice, see DECISIONS.md.
"""

from typing import NamedTuple

import numpy as np

GRID = 4  # frames of one decision, and of one chunk
_LENGTHS = (4, 8, 12, 16, 20, 24, 32)  # frames
_LENGTH_WEIGHTS = (0.06, 0.27, 0.25, 0.20, 0.10, 0.07, 0.05)
# Frames in the air. The game takes no other jump within 12 of the last one.
_JUMP = 8


class Controls(NamedTuple):
  """What is held down: signs for the axes, 0 or 1 for trigger and jump."""

  turn: int = 0  # +1 left, -1 right
  move: int = 0  # +1 forward, -1 backward
  strafe: int = 0  # +1 left, -1 right
  attack: int = 0
  jump: int = 0


class Sight(NamedTuple):
  """What the player knows when it decides."""

  wall: float  # how near the wall ahead is: 0 far, 1 at the nose
  speed: float  # distance since the last decision / distance of a free run


# Controls and how often a stretch of them begins in the open.
_MENU = (
  (Controls(turn=1), 0.085),
  (Controls(turn=-1), 0.085),
  (Controls(move=1), 0.24),
  (Controls(turn=1, move=1), 0.075),
  (Controls(turn=-1, move=1), 0.075),
  (Controls(move=-1), 0.075),
  (Controls(turn=1, move=-1), 0.015),
  (Controls(turn=-1, move=-1), 0.015),
  (Controls(strafe=1), 0.045),
  (Controls(strafe=-1), 0.045),
  (Controls(move=1, strafe=1), 0.015),
  (Controls(move=1, strafe=-1), 0.015),
  (Controls(attack=1), 0.11),
  (Controls(turn=1, attack=1), 0.05),
  (Controls(turn=-1, attack=1), 0.05),
  (Controls(move=1, attack=1), 0.06),
  (Controls(move=-1, attack=1), 0.025),
  (Controls(), 0.05),
  (Controls(jump=1), 0.06),
  (Controls(move=1, jump=1), 0.06),
  (Controls(turn=1, jump=1), 0.02),
  (Controls(turn=-1, jump=1), 0.02),
)


class Style(NamedTuple):
  """How much oftener than the menu says a player begins a stretch.

  Attributes:
    turn: of turning on the spot.
    run: of moving forward.
    back: of moving backward.
    strafe: of moving sideways.
    attack: of firing.
    jump: of jumping, which most players never do.
  """

  turn: float = 1.0
  run: float = 1.0
  back: float = 1.0
  strafe: float = 1.0
  attack: float = 1.0
  jump: float = 0.0

  def liking(self, controls: Controls) -> float:
    """The factor of some controls."""
    still = not (controls.move or controls.strafe)
    return (
      (self.turn if controls.turn and still else 1.0)
      * (self.run if controls.move > 0 else 1.0)
      * (self.back if controls.move < 0 else 1.0)
      * (self.strafe if controls.strafe else 1.0)
      * (self.attack if controls.attack else 1.0)
      * (self.jump if controls.jump else 1.0)
    )


# Different people at the same game (choice).
STYLES = {
  'scout': Style(),
  'runner': Style(run=3.0, attack=0.4),
  'gunner': Style(run=0.6, attack=4.0),
  'dodger': Style(back=3.0, strafe=5.0),
  'looker': Style(turn=4.0, run=0.6, attack=0.5),
  'hopper': Style(back=2.0, jump=1.0),
}


class Player:
  """Chooses controls; a pure function of its generator and what it sees."""

  def __init__(self, rng: np.random.Generator, style: Style = STYLES['scout']):
    self._rng, self._style = rng, style
    self._held = Controls()
    self._left = 0  # decisions left in this stretch

  def decide(self, sight: Sight) -> Controls:
    """Controls to hold for the next `GRID` frames."""
    pushing = self._held.move or self._held.strafe
    stuck = pushing and sight.speed < 0.3
    limit = 0.65 if self._held.attack else 0.75
    blocked = sight.wall > limit and (self._held.move > 0 or self._held.attack)
    if self._left <= 0 or ((stuck or blocked) and not self._held.jump):
      self._begin_stretch(sight, stuck)
    self._left -= 1
    return self._held

  def _begin_stretch(self, sight: Sight, stuck: bool):
    menu = [controls for controls, _ in _MENU]
    weights = np.array(
      [
        weight
        * self._style.liking(controls)
        * self._liking(controls, sight, stuck)
        for controls, weight in _MENU
      ]
    )
    self._held = menu[self._rng.choice(len(menu), p=weights / weights.sum())]
    length = self._rng.choice(_LENGTHS, p=_LENGTH_WEIGHTS)
    if stuck or sight.wall > 0.75:  # face something else before going on
      length = max(length, 12) if self._held.turn else min(length, 12)
    if self._held.jump:
      length = _JUMP
    self._left = int(length) // GRID

  def _liking(self, controls: Controls, sight: Sight, stuck: bool) -> float:
    if controls == self._held or (controls.jump and self._held.jump):
      return 0.0
    if stuck and controls[1:3] == self._held[1:3]:
      return 0.0
    if sight.wall < 0.5:
      return 1.0
    if (
      controls.attack and sight.wall > 0.65
    ):  # a burst on a near wall would fill the picture
      return 0.02
    if controls.move > 0:
      return 1.0 if sight.wall < 0.75 else 0.05
    return 2.0 if controls.turn or controls.move < 0 else 0.5
