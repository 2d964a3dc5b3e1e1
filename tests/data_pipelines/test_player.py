"""The player keeps to its grid and does everything often enough."""

import numpy as np

from data_pipelines.sources import player

_OPEN = player.Sight(wall=0.0, speed=1.0)


def _play(seed, decisions, sight=_OPEN, style='scout'):
  rng = np.random.default_rng(seed)
  scripted = player.Player(rng, player.STYLES[style])
  return np.array([scripted.decide(sight) for _ in range(decisions)])


def test_everything_is_done_often_enough():
  held = _play(0, 20_000)
  share = {
    'left': (held[:, 0] > 0).mean(),
    'right': (held[:, 0] < 0).mean(),
    'back': (held[:, 1] < 0).mean(),
    'attack': held[:, 3].mean(),
  }
  assert share['left'] > 0.2 and share['right'] > 0.2
  assert abs(share['left'] - share['right']) < 0.03
  assert share['back'] > 0.08 and share['attack'] > 0.12


def test_players_are_different_people():
  shares = {}
  for style in player.STYLES:
    turn, move, strafe, attack, jump = _play(0, 5000, style=style).T
    shares[style] = {
      'runner': (move > 0).mean(),
      'gunner': attack.mean(),
      'dodger': (strafe != 0).mean(),
      'looker': ((turn != 0) & (move == 0)).mean(),
      'hopper': jump.mean(),
    }
  for style in ('runner', 'gunner', 'dodger', 'looker', 'hopper'):
    own = shares[style][style]
    others = [each[style] for name, each in shares.items() if name != style]
    assert own > 1.3 * max(others), (style, own, others)


def test_the_same_seed_plays_the_same():
  assert (_play(3, 200) == _play(3, 200)).all()
  assert (_play(3, 200) != _play(4, 200)).any()


def test_it_does_not_push_on_when_stuck():
  stuck = player.Sight(wall=0.0, speed=0.0)
  held = _play(1, 500, stuck)
  pushing = (held[:, 1:3] != 0).any(1)
  again = (held[1:, 1:3] == held[:-1, 1:3]).all(1) & pushing[1:]
  assert not again.any()


def test_near_a_wall_it_turns_or_backs_off():
  held = _play(2, 2000, player.Sight(wall=1.0, speed=1.0))
  assert (held[:, 1] > 0).mean() < 0.05
  assert held[:, 3].mean() < 0.1
