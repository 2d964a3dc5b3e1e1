"""One of two processes that share a mesh and the checkpoints of a run."""

from collections.abc import Sequence
import json
import pathlib

import jax
from jax.experimental import multihost_utils
import numpy as np

from tests.train import small_state
from tv2tv_jax import sharding
from tv2tv_jax.train import checkpoint


def run(
  process: int,
  port: int,
  workdir: pathlib.Path,
  steps: Sequence[int],
  report: pathlib.Path,
) -> None:
  """Restores what is there, checks it, and saves other steps.

  Args:
    process: which of the two this is.
    port: where they meet.
    workdir: of the run.
    steps: to save.
    report: gets what this process found, as JSON.
  """
  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_num_cpu_devices', 2)
  jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  jax.distributed.initialize(f'localhost:{port}', 2, process)
  with (
    jax.set_mesh(sharding.make_mesh((1, 4))),
    checkpoint.Checkpoints(workdir, every=1, keep=2) as checkpoints,
  ):
    feed = small_state.feed()
    state = checkpoints.restore(small_state.abstract(), feed)
    found = {'step': None}
    if state is not None:
      step = int(state.step)
      small_state.check_equal(_whole(state), _whole(small_state.state(step)))
      found = {'step': step, 'data': feed.saved()['state']['drawn']}
    for step in steps:
      checkpoints.save(
        small_state.state(step), small_state.feed(step), step=step
      )
  report.write_text(json.dumps(found))


def _whole(tree):
  """All of each array, on this process."""
  gathered = multihost_utils.process_allgather(tree, tiled=True)
  return jax.tree.map(np.asarray, gathered)
