"""Logical axes to mesh axes: the one place that knows how arrays are laid out.

The mesh is explicit (`AxisType.Explicit`): layout is part of an array's type,
follows from the inputs of an operation, and an ambiguous one is an error at
trace time. What used to be called pjit is `jax.jit` today.

Without a mesh (`jax.set_mesh` not called) nothing here does anything, so every
module also runs on one device as plain JAX.
"""

from collections.abc import Callable, Mapping
import math
from typing import Any

import jax
from jax.sharding import AxisType
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
from jax.sharding import SingleDeviceSharding

MESH_AXES = ('data', 'fsdp', 'tensor')

# A logical axis missing here is a typo, not a replicated axis: `spec` raises.
RULES: Mapping[str, str | tuple[str, ...] | None] = {
  'batch': ('data', 'fsdp'),
  'length': None,
  'embed': None,  # Activations keep the model width whole,
  'embed_in': 'fsdp',  # weights are gathered just in time.
  'heads': 'tensor',
  'head_dim': None,
  'mlp': 'tensor',
  'vocab': 'tensor',
  'layers': None,
}


def make_mesh(shape: tuple[int, ...] | None = None) -> Mesh:
  """A mesh over all devices with axes `MESH_AXES`.

  Args:
    shape: devices along data, fsdp and tensor; None puts all on fsdp.

  Raises:
    ValueError: the product of `shape` is not the number of devices.
  """
  count = jax.device_count()
  shape = shape or (1, count, 1)
  if len(shape) != len(MESH_AXES) or math.prod(shape) != count:
    raise ValueError(
      f'mesh {shape} does not cover {count} devices along {MESH_AXES}: '
      'give three sizes whose product is the number of devices'
    )
  return jax.make_mesh(
    shape, MESH_AXES, axis_types=(AxisType.Explicit,) * len(MESH_AXES)
  )


def has_mesh() -> bool:
  """Whether a mesh is set."""
  return not jax.sharding.get_abstract_mesh().empty


def spec(*axes: str | None) -> PartitionSpec | None:
  """`spec('batch', 'length')` is `P(('data', 'fsdp'), None)`.

  Returns None when no mesh is set: then there is no layout to speak of, and
  every `out_sharding` argument of JAX takes None.

  Raises:
    KeyError: an axis that `RULES` does not name.
  """
  laid_out = tuple(RULES[axis] if axis is not None else None for axis in axes)
  return PartitionSpec(*laid_out) if has_mesh() else None


def place(value: jax.Array, *axes: str | None) -> jax.Array:
  """`value` laid out by its logical axes; replicated when none are given."""
  layout = spec(*axes)
  return value if layout is None else jax.sharding.reshard(value, layout)


def unfolded(
  x: jax.Array, leading: tuple[int, ...], like: jax.Array
) -> jax.Array:
  """`x` with its first axis split into `leading`, laid out along the first.

  The inverse of folding leading axes into one, which `like` went through.
  """
  shape = (*leading, *x.shape[1:])
  if not has_mesh():
    return x.reshape(shape)
  layout = PartitionSpec(*jax.typeof(like).sharding.spec[:1])
  return jax.lax.reshape(x, shape, out_sharding=layout)


def abstract(make: Callable[..., Any], *args: Any) -> Any:
  """Shapes, dtypes and layouts of `make(*args)`; computes nothing.

  The one description of the train state: it drives birth, restoring onto any
  mesh, and compiling for machines this process does not have.
  """
  mesh = jax.sharding.get_mesh() if has_mesh() else None

  def describe(leaf):
    if mesh is None:
      alone = SingleDeviceSharding(jax.devices()[0])
      return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=alone)
    layout = leaf.sharding.spec if leaf.sharding is not None else None
    layout = NamedSharding(mesh, layout or PartitionSpec())
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=layout)

  return jax.tree.map(describe, jax.eval_shape(make, *args))


def put_batch(batch: Any) -> Any:
  """A process's rows of a batch as global arrays, split along the batch."""
  if not has_mesh():
    return batch
  layout = NamedSharding(jax.sharding.get_mesh(), spec('batch'))
  return jax.tree.map(
    lambda rows: jax.make_array_from_process_local_data(layout, rows), batch
  )


def rows_here(batch: int) -> range:
  """The rows of a batch of all processes that this one gives to `put_batch`.

  Processes that share devices of one row, by the axis `tensor`, both give it.

  Raises:
    ValueError: the mesh has a process's rows in several places of the batch.
  """
  if not has_mesh():
    return range(batch)
  layout = NamedSharding(jax.sharding.get_mesh(), spec('batch'))
  held = layout.addressable_devices_indices_map((batch,)).values()
  edges = sorted({rows.indices(batch)[:2] for (rows,) in held})
  here = range(edges[0][0], edges[-1][1])
  if sum(end - begin for begin, end in edges) != len(here):
    raise ValueError(
      f'this process has the rows {edges} of batches of {batch}, which are not '
      'together: give a mesh that keeps devices of a process together'
    )
  return here
