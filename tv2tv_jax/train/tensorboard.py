"""Numbers of a run for TensorBoard. Needs the extra `tensorboard`."""

from collections.abc import Mapping
import pathlib

import tensorboardX

from tv2tv_jax.train import metrics

FOLDER = 'tensorboard'


def board(workdir: pathlib.Path, start: int) -> metrics.Tell:
  """Draws curves in `tensorboard/`.

  Args:
    workdir: the folder of the run.
    start: steps that the run goes on from: what an earlier session drew after
      them is hidden.
  """
  writer = tensorboardX.SummaryWriter(
    str(workdir / FOLDER), purge_step=start + 1
  )

  def tell(step: int, numbers: Mapping[str, float]) -> None:
    for name, number in numbers.items():
      writer.add_scalar(name, number, step)
    writer.flush()

  return tell
