"""Weights of others: written part by part, and put into a model of ours."""

from collections.abc import Iterator, Mapping
import functools
import gc
import pathlib
from typing import Any

from flax import nnx
import jax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
from jaxtyping import Array, Int
import numpy as np
from orbax.checkpoint import v1 as ocp

from tv2tv_jax.train import bundle
from tv2tv_jax.train import checkpoint


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
  arrays = checkpoint.named(model)
  whole = {name: there for name, there in source.items() if type(there) is str}
  layers: list[dict[str, str]] = []
  for name in (name for name in source if name not in whole):
    layers += [{} for _ in range(len(source[name]) - len(layers))]
    for layer, there in zip(layers, source[name], strict=False):
      layer[name] = there
  slices = {name: _slice(arrays[name]) for layer in layers for name in layer}
  wanted = {there: arrays[name] for name, there in whole.items()}
  for layer in layers:
    wanted |= {there: slices[name] for name, there in layer.items()}
  found = ocp.metadata(folder.absolute()).metadata
  bundle.agree(folder, _shapes(found), _shapes(wanted))
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
  return checkpoint.unnamed(arrays | stacked, model)


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


def _shapes(arrays: Mapping[str, Any]) -> dict[str, str]:
  """The shape of each array; its type may be another."""
  return {name: str(list(array.shape)) for name, array in arrays.items()}
