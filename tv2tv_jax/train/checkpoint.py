"""A run is one bundle: state and data iterator; inference loads the model.

All of Orbax is behind this file.
"""

from collections.abc import Callable, Iterator, Mapping
import functools
import gc
import os
import pathlib
from typing import Any

from etils import epath
from flax import nnx
import jax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
from jaxtyping import Array, Int
import numpy as np
from orbax.checkpoint import v1 as ocp

from tv2tv_jax import sharding
from tv2tv_jax.train import feed as feed_lib
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.typing import PrngKey

_FOLDER = 'checkpoints'
_DATA = 'data'

Shapes = Mapping[str, tuple[int, ...]]


class Checkpoints:
  """The checkpoints of a workdir, saved in the background."""

  def __init__(self, workdir: pathlib.Path, *, every: int, keep: int):
    """Opens, or makes, the checkpoints of `workdir`.

    Args:
      workdir: the folder of the run.
      every: steps between checkpoints.
      keep: how many of the newest stay.
    """
    self._workdir = workdir
    # What Grain would save of data goes on with as many processes only.
    registry = ocp.handlers.local_registry()
    registry.add(ocp.handlers.JsonHandler, checkpointable_name=_DATA)
    context = ocp.Context()
    context.checkpointables.registry = registry
    policies = ocp.training.save_decision_policies
    self._orbax = ocp.training.Checkpointer(
      epath.Path(workdir.absolute() / _FOLDER),
      context=context,
      save_decision_policy=policies.FixedIntervalPolicy(every),
      preservation_policy=ocp.training.preservation_policies.LatestN(keep),
      cleanup_tmp_directories=True,
    )

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, *_: Any) -> None:
    self._orbax.close()

  def restore(
    self, abstract: state_lib.TrainState, feed: feed_lib.Feed
  ) -> state_lib.TrainState | None:
    """The newest state, with the feed set to where it was; None if new.

    Raises:
      ValueError: the checkpoint is of another state, or of other data; names
        every difference.
    """
    if self._orbax.latest is None:
      return None
    parts = _split(abstract)
    wanted = {name: named(part) for name, part in parts.items()}
    _check(self._workdir, self._orbax.latest.path, wanted)
    saved = self._orbax.load_checkpointables(None, {_DATA: None})
    feed.restore(saved[_DATA], self._workdir)
    loaded = self._orbax.load_checkpointables(None, wanted)
    found = {name: _unnamed(loaded[name], like) for name, like in parts.items()}
    return state_lib.TrainState(**found.pop('run'), **found)

  def save(
    self,
    state: state_lib.TrainState,
    feed: feed_lib.Feed,
    *,
    last: bool = False,
  ) -> None:
    """Saves when a checkpoint is due, or when it is the `last`, in any case."""
    step = int(state.step)
    if not (last or self._orbax.should_save(step)):
      return
    parts = {name: named(part) for name, part in _split(state).items()}
    parts[_DATA] = feed.saved()
    if not last:
      self._orbax.save_checkpointables_async(step, parts)
    elif self._orbax.latest is None or self._orbax.latest.step != step:
      self._orbax.wait()
      self._orbax.save_checkpointables(step, parts, force=True)


def restore_model(
  workdir: pathlib.Path, init: Callable[[PrngKey], nnx.Module]
) -> nnx.Module:
  """The averaged model of the newest checkpoint of a workdir.

  Args:
    workdir: the folder of a run.
    init: makes a model of the same shape from a key; it is never run.

  Raises:
    ValueError: the workdir holds no checkpoint, or one of another model;
      names every difference.
  """
  folder = workdir.absolute() / _FOLDER
  if not folder.is_dir():
    raise ValueError(f'{workdir}: no checkpoint there; train first')
  with ocp.training.Checkpointer(epath.Path(folder)) as orbax:
    if orbax.latest is None:
      raise ValueError(f'{workdir}: no finished checkpoint there; train first')
    abstract = sharding.abstract(init, jax.random.key(0))
    wanted = {'ema': named(abstract)}
    _check(workdir, orbax.latest.path, wanted)
    loaded = orbax.load_checkpointables(None, wanted)
    return _unnamed(loaded['ema'], abstract)


def begun(workdir: pathlib.Path) -> bool:
  """Whether a run in `workdir` would go on from a checkpoint."""
  folder = workdir.absolute() / _FOLDER
  if not folder.is_dir():
    return False
  with ocp.training.Checkpointer(epath.Path(folder)) as orbax:
    return orbax.latest is not None


def write_parts(
  folder: pathlib.Path, parts: Iterator[Mapping[str, np.ndarray]]
) -> None:
  """Writes a checkpoint part by part; `folder` appears when it is whole.

  Memory holds one part and no copy of it, if the first byte of each array is at
  a multiple of 64: numbers are not compressed, which would take as much again.
  """
  context = ocp.Context()
  context.array.saving.use_compression = False
  host = jax.devices('cpu')[0]
  with context:
    # No name may hold a part while the next one is made.
    while part := jax.device_put(next(parts, {}), host):
      ocp.partial.save(folder.absolute(), part)
      del part
      gc.collect()  # Orbax holds what it wrote in a circle.
    ocp.partial.finalize(folder.absolute())


def filled(
  model: nnx.Module,
  folder: pathlib.Path,
  source: Mapping[str, str | tuple[str, ...]],
) -> nnx.Module:
  """`model`, which is given up, with leaves from a checkpoint of `write_parts`.

  Each leaf keeps its dtype and layout. A layer is read at a time, so that
  memory never holds a second model.

  Args:
    model: what to fill.
    folder: the checkpoint.
    source: the name there of each leaf to fill; of a leaf that is stacked over
      layers, the name there of each layer.

  Raises:
    ValueError: the checkpoint is of another model, or `source` leaves some of
      it out; names every difference.
  """
  arrays = named(model)
  whole = {name: there for name, there in source.items() if type(there) is str}
  layers: list[dict[str, str]] = []
  for name in (name for name in source if name not in whole):
    layers += [{} for _ in range(len(source[name]) - len(layers))]
    for layer, there in zip(layers, source[name], strict=False):
      layer[name] = there
  slices = {name: _slice(arrays[name]) for layer in layers for name in layer}
  wanted = {there: arrays[name].shape for name, there in whole.items()}
  for layer in layers:
    wanted |= {there: slices[name].shape for name, there in layer.items()}
  _agree(folder, _shapes(ocp.metadata(folder.absolute()).metadata), wanted)
  for name, there in whole.items():
    like = jax.ShapeDtypeStruct(
      arrays[name].shape, arrays[name].dtype, sharding=arrays[name].sharding
    )
    arrays[name].delete()
    arrays[name] = _loaded(folder, {there: like})[there]
  stacked = {name: arrays.pop(name) for name in slices}
  for i, layer in enumerate(layers):
    parts = _loaded(folder, {t: slices[name] for name, t in layer.items()})
    parts = {name: parts[there] for name, there in layer.items()}
    stacked = _with_layer(stacked, parts, i)
  return _unnamed(arrays | stacked, model)


def _slice(leaf: jax.Array) -> jax.ShapeDtypeStruct:
  """What one layer of a stacked leaf is like."""
  layout = leaf.sharding
  if isinstance(layout, NamedSharding):
    layout = NamedSharding(layout.mesh, PartitionSpec(*layout.spec[1:]))
  return jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype, sharding=layout)


def _loaded(folder: pathlib.Path, abstract: dict[str, Any]) -> dict[str, Any]:
  """Some leaves of a checkpoint, in the dtype and layout of `abstract`."""
  context = ocp.Context()
  context.pytree.loading.partial_load = True
  with context:
    return ocp.load(folder.absolute(), abstract)


@functools.partial(jax.jit, donate_argnums=0)
def _with_layer(
  stacked: dict[str, jax.Array],
  parts: dict[str, jax.Array],
  layer: Int[Array, ''],
) -> dict[str, jax.Array]:
  """Stacked leaves with one layer replaced."""
  return {
    name: jax.lax.dynamic_update_index_in_dim(leaf, parts[name], layer, 0)
    for name, leaf in stacked.items()
  }


def _check(
  workdir: pathlib.Path,
  folder: os.PathLike,
  parts: Mapping[str, Mapping[str, Any]],
) -> None:
  """ValueError where parts of a checkpoint are not as wanted."""
  found, wanted = {}, {}
  for part, leaves in parts.items():
    metadata = ocp.metadata(folder, checkpointable_name=part).metadata
    for shapes, tree in ((found, metadata), (wanted, leaves)):
      shapes |= {f'{part}.{n}': s for n, s in _shapes(tree).items()}
  _agree(workdir, found, wanted)


def _agree(where: pathlib.Path, found: Shapes, wanted: Shapes) -> None:
  """ValueError names all that is missing, unknown or of another shape."""
  missing = sorted(wanted.keys() - found.keys())
  extra = sorted(found.keys() - wanted.keys())
  lines = [f'missing {", ".join(missing)}'] if missing else []
  lines += [f'not known {", ".join(extra)}'] if extra else []
  lines += [
    f'{name} is {list(found[name])}, not {list(wanted[name])}'
    for name in sorted(wanted.keys() & found.keys())
    if found[name] != wanted[name]
  ]
  if lines:
    raise ValueError(
      f'{where}: its checkpoint is of another model: {"; ".join(lines)}'
    )


def _shapes(named: Mapping[str, Any]) -> Shapes:
  """The shape of each leaf."""
  return {name: tuple(leaf.shape) for name, leaf in named.items()}


def _split(state: state_lib.TrainState) -> dict[str, Any]:
  """The state in the parts that can be loaded one by one."""
  run = state._asdict()
  return {'model': run.pop('model'), 'ema': run.pop('ema'), 'run': run}


def named(tree: Any) -> dict[str, Any]:
  """A tree as a flat mapping from `a.b.0.kernel` to arrays.

  What is on disk then depends on the names in our modules alone, not on how
  the library that holds them nests them.
  """
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {_name(path): leaf for path, leaf in leaves}


def _unnamed(named: dict[str, Any], like: Any) -> Any:
  """The inverse of `named`, in the structure of `like`."""
  leaves, structure = jax.tree_util.tree_flatten_with_path(like)
  return jax.tree.unflatten(structure, [named[_name(p)] for p, _ in leaves])


def _name(path: Any) -> str:
  """`a.b.0.kernel` of a path of keys."""
  name = jax.tree_util.keystr(path, simple=True, separator='.')
  return name.removesuffix('.value')
