"""A run is one bundle: state and data iterator; inference loads the model.

All of Orbax is behind this file.
"""

from collections.abc import Callable
import pathlib
from typing import Any

from etils import epath
from flax import nnx
import jax
from orbax.checkpoint import v1 as ocp

from tv2tv_jax import sharding
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.typing import PrngKey

_FOLDER = 'checkpoints'


class Checkpoints:
  """The checkpoints of a workdir, saved in the background."""

  def __init__(self, workdir: pathlib.Path, *, every: int, keep: int):
    """Opens, or makes, the checkpoints of `workdir`.

    Args:
      workdir: the folder of the run.
      every: steps between checkpoints.
      keep: how many of the newest stay.
    """
    policies = ocp.training.save_decision_policies
    self._orbax = ocp.training.Checkpointer(
      epath.Path(workdir.absolute() / _FOLDER),
      save_decision_policy=policies.FixedIntervalPolicy(every),
      preservation_policy=ocp.training.preservation_policies.LatestN(keep),
      cleanup_tmp_directories=True,
    )

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, *_: Any) -> None:
    self._orbax.close()

  def restore(
    self, abstract: state_lib.TrainState, batches: Any
  ) -> state_lib.TrainState | None:
    """The newest state, with `batches` set to where it was; None if new."""
    if self._orbax.latest is None:
      return None
    wanted = {**_split(abstract), 'data': batches}
    loaded = self._orbax.load_checkpointables(None, wanted)
    return state_lib.TrainState(
      model=loaded['model'], ema=loaded['ema'], **loaded['run']
    )

  def save(
    self, state: state_lib.TrainState, batches: Any, *, last: bool = False
  ) -> None:
    """Saves when a checkpoint is due, or when it is the `last`, in any case."""
    step = int(state.step)
    if not last:
      bundle = {**_split(state), 'data': batches}
      self._orbax.save_checkpointables_async(step, bundle)
    elif self._orbax.latest is None or self._orbax.latest.step != step:
      bundle = {**_split(state), 'data': batches}
      self._orbax.save_checkpointables(step, bundle, force=True)


def restore_model(
  workdir: pathlib.Path, init: Callable[[PrngKey], nnx.Module]
) -> nnx.Module:
  """The averaged model of the newest checkpoint of a workdir.

  Args:
    workdir: the folder of a run.
    init: makes a model of the same shape from a key; it is never run.

  Raises:
    ValueError: the workdir holds no checkpoint.
  """
  folder = workdir.absolute() / _FOLDER
  if not folder.is_dir():
    raise ValueError(f'{workdir}: no checkpoint there; train first')
  with ocp.training.Checkpointer(epath.Path(folder)) as orbax:
    if orbax.latest is None:
      raise ValueError(f'{workdir}: no finished checkpoint there; train first')
    abstract = sharding.abstract(init, jax.random.key(0))
    return orbax.load_checkpointables(None, {'ema': abstract})['ema']


def _split(state: state_lib.TrainState) -> dict[str, Any]:
  """The state in the parts that can be loaded one by one."""
  run = state._asdict()
  return {'model': run.pop('model'), 'ema': run.pop('ema'), 'run': run}
