r"""TV2TV, Think2V and T2V of one size on one recording, and who obeys.

  python -m launch.compare --config configs/doom_compare.py --workdir DIR

is the setting of a laptop: the models of configs/doom.py, two seeds, an hour of
a player who also jumps, the released model's VAE. After a colon stands another:

  python -m launch.compare --config configs/doom_compare.py:h200 --workdir DIR

is for one GPU: configs/doom_100m.py, pictures of 128 x 96, ten hours, a
VAE of its own; `:minutes` shows the whole path in some minutes, and no result.

Expect what launch/recipes/doom_compare.md has: the table of the laptop, and the
hours it took.
"""

import dataclasses

from ml_collections import config_dict

from configs import comparison
from tv2tv_jax import config

_INSTRUCTIONS = (
  'move backward',
  'attack',
  'turn left',
  'turn right',
  'jump',
)
_HOLDS = (1.0, 1.0, 1.0, 1.0, 0.5)  # A jump is two chunks in the air.
_LONG = '1,3,' + ','.join(map(str, range(8, 64, 4)))
_LAPTOP = comparison.Comparison(
  record=('--source=vizdoom', '--minutes=60', '--seed=0', '--players=hopper'),
  vae='launch/released/doom/vae',
  vae_flags=(),
  train=(
    '--config=configs/doom.py',
    '--config.train.steps=4000',
    '--config.train.minutes=10000',
    '--config.sample.lanes=8',
  ),
  generate=(),
  layouts=('tv2tv', 'think2v', 't2v'),
  seeds=(0, 1),
  instructions=_INSTRUCTIONS,
  holds=_HOLDS,
  short=comparison.Films(starts=32, seconds=6.0, told_at=('1', '3')),
  long=comparison.Films(starts=16, seconds=64.0, told_at=(_LONG,)),
  variants=('--guidance=1',),
)


def get_config(setting: str = 'laptop') -> config_dict.ConfigDict:
  """The comparison for a machine: laptop, h200, or minutes.

  Raises:
    ValueError: no such setting.
  """
  settings = {'laptop': _LAPTOP, 'h200': _h200(), 'minutes': _minutes()}
  if setting not in settings:
    raise ValueError(
      f'setting {setting!r} is unknown; choose from {", ".join(settings)}'
    )
  return config.to_config_dict(settings[setting])


def _h200() -> comparison.Comparison:
  """One GPU of 141 GB: as large as a day allows."""
  return dataclasses.replace(
    _LAPTOP,
    record=(
      '--source=vizdoom',
      '--minutes=600',
      '--seed=0',
      '--players=hopper',
      '--size=128x96',
    ),
    vae='',
    vae_flags=(
      '--config=configs/doom_vae.py',
      '--config.train.steps=40000',
      '--config.train.minutes=60',
      '--config.data.batch=32',
    ),
    train=(
      '--config=configs/doom_100m.py',
      '--config.train.steps=30000',
    ),
    seeds=(0, 1, 2),
    short=dataclasses.replace(_LAPTOP.short, starts=48),
    variants=('--guidance=1', '--steps=25'),
  )


def _minutes() -> comparison.Comparison:
  """The whole path, too short to show anything."""
  return dataclasses.replace(
    _LAPTOP,
    record=('--source=vizdoom', '--minutes=4', '--seed=0', '--players=hopper'),
    train=(
      '--config=configs/doom.py',
      '--config.train.steps=40',
      '--config.train.minutes=10000',
      '--config.train.evaluate_every=40',
      '--config.sample.steps=2',
      '--config.sample.lanes=8',
    ),
    seeds=(0,),
    short=comparison.Films(starts=2, seconds=3.0, told_at=('1',)),
    long=comparison.Films(starts=1, seconds=6.0, told_at=('1,3',)),
    variants=('--guidance=1',),
  )
