r"""Compares layouts: trained alike, asked alike, and judged by one witness.

  python -m launch.compare --config configs/doom_compare.py --workdir DIR

Records a game, trains a model of each layout and seed on it, has all of them
film the same held-out starts under the same instructions, said on the way, and
asks an inverse dynamics model, which has seen real film alone, whether the
pictures obeyed. A TV2TV story reads the words before its next chunk, a Think2V
story where its plan has them, a T2V story after its prompt, while they hold.

DIR gets `index.html`, one file that needs no other, `report.md` and
`report.json`: obedience with intervals, by instruction and by time, distances
to real film, drift over time, text density, and the same starts under every
layout. They are written anew after every evaluation, of what there is by then.

Every stage is a program of its own, whose command is printed; run this one
again to go on where it stopped. SIGTERM and ctrl-C end the stage at hand as
they do when it runs alone. A stage whose command has changed is run again. Any
field of the config can be set: `--config.seeds='(0, 1, 2)'`.
"""

import pathlib
import sys

from absl import flags
from ml_collections import config_flags

from configs import comparison as comparison_lib
from launch import run as run_lib
from launch.comparing import course as course_lib
from launch.comparing import result
from launch.comparing import scripts
from launch.comparing import stages as stages_lib
from tv2tv_jax import config as config_lib

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'File of the comparison.', lock_config=True
)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of all that is made.')
_DRY = flags.DEFINE_bool('dry', False, 'Only print the commands.')
flags.mark_flags_as_required(['config', 'workdir'])


def main(_) -> None:
  """All stages, and the page after each that has something new to show."""
  config = config_lib.from_config_dict(comparison_lib.Comparison, _CONFIG.value)
  course = course_lib.Course(config, pathlib.Path(_WORKDIR.value))
  every = course.stages()
  if _DRY.value:
    print('\n'.join(stage.line for stage in every))
    return
  course.folder.mkdir(parents=True, exist_ok=True)
  stages = stages_lib.Stages(course.folder)
  with stages.held():
    for stage in every:
      if stage.kind.startswith('film'):
        _ask(course)
      try:
        news = stages.run(stage, every)
      except stages_lib.StoppedError as error:
        print(f'{stage.name} stopped; run the same command to go on')
        sys.exit(error.status)
      if news and stage.kind.startswith('evaluate'):
        result.write(course, stages.seconds())
    print(result.write(course, stages.seconds()))


def _ask(course: course_lib.Course) -> None:
  """Writes what every model is asked for, once there is a recording."""
  for kind in course.kinds().values():
    path = course.prompts(kind)
    if not path.exists():
      asked = scripts.lines(course.config, kind.films, str(course.records))
      scripts.write(path, asked)


if __name__ == '__main__':
  run_lib.app(main, mesh='none')
