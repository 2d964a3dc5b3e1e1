"""Logical axes to mesh axes: the one place that knows how arrays are laid out.

The mesh is explicit (`AxisType.Explicit`): layout is part of an array's type,
follows from the inputs of an operation, and an ambiguous one is an error at
trace time. What used to be called pjit is `jax.jit` today.

Without a mesh (`jax.set_mesh` not called) nothing here does anything, so every
module also runs on one device as plain JAX.
"""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import functools
import itertools
import math
from typing import Any

import jax
from jax.experimental import mesh_utils
from jax.sharding import AxisType
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
from jax.sharding import SingleDeviceSharding

# Devices along each: `data` holds copies of the model, `fsdp` shares of it,
# `tensor` splits every layer, `context` the tokens of a long row.
MESH_AXES = ('data', 'fsdp', 'tensor', 'context')

# A logical axis missing here is a typo, not a replicated axis: `spec` raises.
RULES: Mapping[str, str | tuple[str, ...] | None] = {
  'batch': ('data', 'fsdp'),
  'length': 'context',
  'embed': None,  # Activations keep the model width whole,
  'embed_in': ('context', 'fsdp'),  # weights are gathered just in time.
  'embed_late': 'context',  # Half way from one to the other.
  'heads': 'tensor',
  'head_dim': None,
  'mlp': 'tensor',
  'vocab': 'tensor',
  'layers': None,
}


def make_mesh(
  shape: Sequence[int] | None = None,
  *,
  devices: Sequence[Any] | None = None,
) -> Mesh:
  """A mesh over devices with axes `MESH_AXES`.

  Devices of one slice, which a fast network joins, stay together: several
  slices are split along `data`, or along `fsdp` where `data` is 1.

  Args:
    shape: devices along each axis; those not given are 1, and one of them may
      be -1, for all that are left. None puts all on fsdp.
    devices: which ones, `jax.Device`s; None for all of all processes.

  Raises:
    ValueError: the product of `shape` is not the number of devices, or slices
      do not divide the axis that they are split along.
  """
  devices = jax.devices() if devices is None else list(devices)
  sizes = _sizes((1, -1) if shape is None else tuple(shape), len(devices))
  kinds = (AxisType.Explicit,) * len(MESH_AXES)
  slices = len({getattr(d, 'slice_index', 0) for d in devices})
  split = dict(allow_split_physical_axes=True)  # Of the network of a slice.
  if slices == 1:
    placed = mesh_utils.create_device_mesh(sizes, devices, **split)
    return Mesh(placed, MESH_AXES, axis_types=kinds)
  outer = 0 if sizes[0] > 1 else 1
  if sizes[outer] % slices:
    raise ValueError(
      f'{slices} slices do not divide {sizes[outer]} devices along '
      f'{MESH_AXES[outer]}: give a multiple'
    )
  across = tuple(slices if i == outer else 1 for i in range(len(sizes)))
  within = tuple(a // b for a, b in zip(sizes, across, strict=True))
  placed = mesh_utils.create_hybrid_device_mesh(
    within, across, devices, **split
  )
  return Mesh(placed, MESH_AXES, axis_types=kinds)


def _sizes(shape: tuple[int, ...], count: int) -> tuple[int, ...]:
  """Devices along each axis of the mesh; ValueError if they do not fit."""
  sizes = shape + (1,) * (len(MESH_AXES) - len(shape))
  known = math.prod(size for size in sizes if size != -1)
  if sizes.count(-1) == 1 and known > 0 and count % known == 0:
    sizes = tuple(count // known if size == -1 else size for size in sizes)
  whole = all(size >= 1 for size in sizes)
  if len(sizes) != len(MESH_AXES) or not whole or math.prod(sizes) != count:
    raise ValueError(
      f'mesh {shape} does not cover {count} devices along {MESH_AXES}: '
      'give sizes whose product is the number of devices, -1 for what is left'
    )
  return sizes


def leads() -> bool:
  """Whether this is the process that writes what only one may write."""
  return jax.process_index() == 0


def has_mesh() -> bool:
  """Whether a mesh is set."""
  return not jax.sharding.get_abstract_mesh().empty


def here() -> Callable[[], contextlib.AbstractContextManager]:
  """Gives what enters the mesh that is set now, in any thread, at any time."""
  if not has_mesh():
    return contextlib.nullcontext
  return functools.partial(jax.set_mesh, jax.sharding.get_mesh())


def alone() -> contextlib.AbstractContextManager:
  """Enters a mesh of one device of this process, where a mesh is set."""
  if not has_mesh():
    return contextlib.nullcontext()
  return jax.set_mesh(make_mesh(devices=jax.local_devices()[:1]))


def spec(*axes: str | None) -> PartitionSpec | None:
  """`spec('batch', 'length')` is `P(('data', 'fsdp'), 'context')`.

  Axes of the mesh with one device split nothing and are left out. Returns None
  when no mesh is set: then there is no layout to speak of, and every
  `out_sharding` argument of JAX takes None.

  Raises:
    KeyError: an axis that `RULES` does not name.
  """
  split = [_split_by(axis) for axis in axes]
  laid_out = (names[0] if len(names) == 1 else names or None for names in split)
  return PartitionSpec(*laid_out) if has_mesh() else None


def devices_along(axis: str) -> int:
  """Devices that the mesh that is set splits a logical axis over."""
  sizes = jax.sharding.get_abstract_mesh().shape
  return math.prod(sizes[name] for name in _split_by(axis))


def splits(axis: str) -> bool:
  """Whether the mesh that is set splits a logical axis over devices."""
  return bool(_split_by(axis))


def _split_by(axis: str | None) -> tuple[str, ...]:
  """The axes of the mesh that split a logical axis."""
  names = RULES[axis] if axis is not None else None
  names = (names,) if isinstance(names, str) else names or ()
  sizes = jax.sharding.get_abstract_mesh().shape if has_mesh() else {}
  return tuple(name for name in names if sizes.get(name, 1) > 1)


def place(value: jax.Array, *axes: str | None) -> jax.Array:
  """`value` laid out by its logical axes; replicated when none are given.

  Raises:
    ValueError: the mesh does not divide an axis that it splits.
  """
  layout = spec(*axes)
  if layout is None:
    return value
  sizes = jax.sharding.get_abstract_mesh().shape
  for axis, size in zip(axes, value.shape, strict=False):
    split = {name: sizes[name] for name in _split_by(axis)}
    if size % math.prod(split.values()):
      raise ValueError(
        f'the mesh splits {axis!r} into {split}, which does not divide '
        f'{size}, of an array of {value.shape}: give another --mesh'
      )
  return jax.sharding.reshard(value, layout)


def gathered(weight: jax.Array, *axes: str | None) -> jax.Array:
  """A weight of these logical axes as it is used: its shares of fsdp as one.

  In the dtype it comes in, so cast it before. The backward pass shares the
  gradient out again.
  """
  return place(
    weight, *('embed' if axis == 'embed_in' else axis for axis in axes)
  )


def folded(x: jax.Array, kept: int) -> jax.Array:
  """`x` with all but its last `kept` axes as one, laid out as they were.

  Where several of them are split, rows move between devices, unless each
  device has a single one of the first.
  """
  shape = (-1, *x.shape[x.ndim - kept :])
  if not has_mesh():
    return x.reshape(shape)
  leading = jax.typeof(x).sharding.spec[: x.ndim - kept]
  names = [(n,) if isinstance(n, str) else n or () for n in leading]
  layout = PartitionSpec(tuple(itertools.chain(*names)) or None)
  return jax.lax.reshape(
    x, (math.prod(x.shape[: x.ndim - kept]), *shape[1:]), out_sharding=layout
  )


def unfolded(
  x: jax.Array, leading: tuple[int, ...], like: jax.Array
) -> jax.Array:
  """`x` with its first axis split into `leading`, laid out as `like` is.

  The inverse of `folded`, which `like` went through.
  """
  shape = (*leading, *x.shape[1:])
  if not has_mesh():
    return x.reshape(shape)
  layout = PartitionSpec(*jax.typeof(like).sharding.spec[: len(leading)])
  return jax.lax.reshape(x, shape, out_sharding=layout)


def merged(x: jax.Array, axis: int) -> jax.Array:
  """`x` with `axis` and the next one as one, laid out as `axis` was."""
  size = x.shape[axis] * x.shape[axis + 1]
  shape = (*x.shape[:axis], size, *x.shape[axis + 2 :])
  if not has_mesh():
    return x.reshape(shape)
  split = list(layout_of(x))
  del split[axis + 1]
  return jax.lax.reshape(x, shape, out_sharding=PartitionSpec(*split))


def unmerged(x: jax.Array, axis: int, size: int) -> jax.Array:
  """`x` with `axis` as two, the first of `size` and laid out as it was."""
  rest = x.shape[axis] // size
  shape = (*x.shape[:axis], size, rest, *x.shape[axis + 1 :])
  if not has_mesh():
    return x.reshape(shape)
  split = list(layout_of(x))
  split.insert(axis + 1, None)
  return jax.lax.reshape(x, shape, out_sharding=PartitionSpec(*split))


def layout_of(x: jax.Array) -> PartitionSpec | None:
  """What splits each axis of `x`; None when no mesh is set."""
  if not has_mesh():
    return None
  split = jax.typeof(x).sharding.spec
  return PartitionSpec(*split, *(None,) * (x.ndim - len(split)))


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
