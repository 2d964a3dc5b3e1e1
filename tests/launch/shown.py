"""Pictures of a model of chance, of one process or several.

  python -m tests.launch.shown WORKDIR DEVICES

films what a run shows of step 20, on so many devices a process.
"""

import pathlib
import sys

import jax

from configs import schema
from launch import run as run_lib
from launch import showing
from tests import tiny
from tv2tv_jax.train import workdir as workdir_lib


def main(argv) -> None:
  """Makes the pictures."""
  workdir = pathlib.Path(argv[1])
  run = workdir_lib.read(workdir, schema.StoryRun)
  showing.stories(workdir)(tiny.drawn(run.model), 20)


if __name__ == '__main__':
  jax.config.update('jax_num_cpu_devices', int(sys.argv[2]))
  run_lib.app(main, arguments=2)
