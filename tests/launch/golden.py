"""The golden table of a step's collectives, of each of the paper's models.

  python -m tests.launch.golden

writes the tables anew into `tests/golden`; look at the difference before you
keep it. Two layers on eight devices, by the partitioner that every platform
shares. It looks at axes, not at sizes, so widths are cut: full ones take many
times as long. A TPU's compiler then splits, joins and renames some of them:
those of real slices at full size are in launch/recipes.
"""

import dataclasses
import importlib
import pathlib

import jax

from configs import schema
from launch.pod import collectives as collectives_lib
from launch.pod import hlo
from launch.pod import program as program_lib
from launch.pod import runs as runs_lib
from tv2tv_jax import config as config_lib
from tv2tv_jax import sharding

FOLDER = pathlib.Path(__file__).parents[1] / 'golden'
NAMES = ('csgo_3b', 'sports_8b')
_MESH = (1, 2, 2, 2)
_SMALL = 2**13  # Bytes: below, collectives of norms and metrics.


def run(name: str) -> schema.StoryRun:
  """The run of a config, cut to two thin layers and short rows."""
  module = importlib.import_module(f'configs.{name}')
  whole = config_lib.from_config_dict(schema.StoryRun, module.get_config())
  model = whole.model
  towers = dataclasses.replace(
    model.towers, depth=2, width=256, head_width=16, hidden=512
  )
  frames = dataclasses.replace(
    model.frames, rows=4, columns=8, channels=(64, 128), attention_heads=4
  )
  return dataclasses.replace(
    whole,
    model=dataclasses.replace(
      model, towers=towers, frames=frames, vocabulary=2048
    ),
    data=dataclasses.replace(whole.data, batch=8, chunks=2, text_length=64),
    train=dataclasses.replace(whole.train, accumulate=1),
  )


def table(name: str) -> str:
  """One line for each kind over the same axes: how often, and how much."""
  mesh = sharding.make_mesh(_MESH)
  stage = program_lib.lowered(run(name), mesh).stage
  program = hlo.parse(stage.compile().as_text())
  found = collectives_lib.collectives(program, runs_lib.runs(program), mesh)
  rows = {}
  for each in found:
    if each.size >= _SMALL:
      key = f'{each.kind} {"+".join(each.axes)}'
      count, size = rows.get(key, (0, 0))
      rows[key] = count + each.runs, size + each.runs * each.size
  return ''.join(
    f'{key} {count} {size / 2**10:.0f} KiB\n'
    for key, (count, size) in sorted(rows.items())
  )


def path(name: str) -> pathlib.Path:
  """Where the table of a config is kept."""
  return FOLDER / f'collectives_{name}.txt'


def main() -> None:
  """Writes the tables."""
  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_num_cpu_devices', 8)
  for name in NAMES:
    path(name).write_text(table(name))


if __name__ == '__main__':
  main()
