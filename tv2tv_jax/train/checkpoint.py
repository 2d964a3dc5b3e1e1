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
    parts = _split(abstract)
    wanted = {name: _named(part) for name, part in parts.items()}
    loaded = self._orbax.load_checkpointables(None, {**wanted, 'data': batches})
    found = {name: _unnamed(loaded[name], like) for name, like in parts.items()}
    return state_lib.TrainState(**found.pop('run'), **found)

  def save(
    self, state: state_lib.TrainState, batches: Any, *, last: bool = False
  ) -> None:
    """Saves when a checkpoint is due, or when it is the `last`, in any case."""
    step = int(state.step)
    if not (last or self._orbax.should_save(step)):
      return
    parts = {name: _named(part) for name, part in _split(state).items()}
    if not last:
      self._orbax.save_checkpointables_async(step, {**parts, 'data': batches})
    elif self._orbax.latest is None or self._orbax.latest.step != step:
      self._orbax.wait()
      self._orbax.save_checkpointables(
        step, {**parts, 'data': batches}, force=True
      )


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
    loaded = orbax.load_checkpointables(None, {'ema': _named(abstract)})
    return _unnamed(loaded['ema'], abstract)


def _split(state: state_lib.TrainState) -> dict[str, Any]:
  """The state in the parts that can be loaded one by one."""
  run = state._asdict()
  return {'model': run.pop('model'), 'ema': run.pop('ema'), 'run': run}


def _named(tree: Any) -> dict[str, Any]:
  """A tree as a flat mapping from `a.b.0.kernel` to arrays.

  What is on disk then depends on the names in our modules alone, not on how
  the library that holds them nests them.
  """
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {_name(path): leaf for path, leaf in leaves}


def _unnamed(named: dict[str, Any], like: Any) -> Any:
  """The inverse of `_named`, in the structure of `like`."""
  leaves, structure = jax.tree_util.tree_flatten_with_path(like)
  return jax.tree.unflatten(structure, [named[_name(p)] for p, _ in leaves])


def _name(path: Any) -> str:
  """`a.b.0.kernel` of a path of keys."""
  name = jax.tree_util.keystr(path, simple=True, separator='.')
  return name.removesuffix('.value')
