"""Tensors of others as leaves of ours: other names, other orders of axes."""

from collections.abc import Iterator, Mapping
import math
import pathlib
from typing import Any, NamedTuple

from flax import nnx
import numpy as np

from tv2tv_jax.interop import safetensors


class Leaf(NamedTuple):
  """A tensor there, or one of several equal parts of its rows, and here.

  Attributes:
    source: its name there.
    name: its name here.
    axes: 'KGH D->DKGH', its axes there and here. Those that are folded into one
      there stand together; 1 is an axis of one there, and none here.
    shape: its shape here.
    part: which part of the rows there it is, and of how many.
    layer: which slice of what is stacked over layers here, if it is one.
  """

  source: str
  name: str
  axes: str
  shape: tuple[int, ...]
  part: tuple[int, int] = (0, 1)
  layer: int | None = None

  @property
  def whole(self) -> tuple[int, ...]:
    """The shape of the whole tensor there."""
    rows, *rest = self._folded
    return (rows * self.part[1], *rest)

  def size(self, tensor: safetensors.Tensor) -> int:
    """Bytes of the tensor that are read."""
    return math.prod(self.shape) * tensor.dtype.itemsize

  def read(self, tensor: safetensors.Tensor, dtype: np.dtype) -> np.ndarray:
    """The numbers as ours, with a few rows of the tensor beside them."""
    out = _empty(self.shape, dtype)
    there, here = self.axes.split('->')
    order = [here.index(axis) for axis in there if axis in here]
    into = out.transpose(order).reshape(self._folded, copy=False)
    bits = np.dtype(f'u{dtype.itemsize}')
    begin = self.part[0] * len(into)
    for first, rows in tensor.pieces(begin, begin + len(into)):
      place = into[first - begin : first - begin + len(rows)]
      if dtype == rows.dtype:  # NumPy moves bits faster than bfloat16.
        place, rows = place.view(bits), rows.view(bits)
      place[...] = rows
    return out

  def here(self, there: np.ndarray) -> np.ndarray:
    """The numbers of the tensor there in our order of axes: a view.

    What is written to it is written to the tensor.
    """
    axes, here = self.axes.split('->')
    rows = self._folded[0]
    part = there[self.part[0] * rows : (self.part[0] + 1) * rows]
    sizes = dict(zip(here, self.shape, strict=True))
    names = [axis for axis in axes if axis in sizes]
    apart = part.reshape([sizes[axis] for axis in names], copy=False)
    return apart.transpose([names.index(axis) for axis in here])

  @property
  def _folded(self) -> tuple[int, ...]:
    """The shape there of what is read."""
    there, here = self.axes.split('->')
    sizes = dict(zip(here, self.shape, strict=True)) | {'1': 1}
    return tuple(math.prod(sizes[a] for a in group) for group in there.split())


class Source(NamedTuple):
  """A folder whose every name and shape is as its config.json says.

  Attributes:
    model: what config.json tells of.
    parts: leaves; those of a part are written together.
    tensors: what they are read from, by source name.
    left: tensors of the folder that are not kept, and why.
  """

  model: Any
  parts: list[list[Leaf]]
  tensors: dict[str, safetensors.Tensor]
  left: dict[str, str]


def shapes(module: nnx.Module) -> dict[str, tuple[int, ...]]:
  """The shape of each parameter of a module by its name: `a.0.kernel`."""
  leaves = nnx.to_flat_state(nnx.state(module))
  return {'.'.join(map(str, path)): leaf.shape for path, leaf in leaves}


def check(
  folder: pathlib.Path,
  parts: list[list[Leaf]],
  found: Mapping[str, safetensors.Tensor],
) -> None:
  """Every tensor is wanted, and of the shape that is.

  Raises:
    ValueError: not so; names all that is missing, unknown or of another shape.
  """
  wanted = {leaf.source: leaf.whole for part in parts for leaf in part}
  wrong = list(_wrong(wanted, {n: t.shape for n, t in found.items()}))
  if wrong:
    raise ValueError(
      f'{folder}: not the model of its config.json: {"; ".join(wrong)}'
    )


def _wrong(
  wanted: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]
) -> Iterator[str]:
  """Every name and shape that is not as wanted."""
  missing = [name for name in wanted if name not in found]
  extra = [name for name in found if name not in wanted]
  if missing:
    yield f'missing {", ".join(missing)}'
  if extra:
    yield f'not known {", ".join(extra)}'
  for name, shape in wanted.items():
    if found.get(name, shape) != shape:
      yield f'{name} is {list(found[name])}, not {list(shape)}'


def _empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
  """An array whose memory JAX takes over: it begins at a multiple of 64."""
  size = math.prod(shape) * dtype.itemsize
  memory = np.empty(size + 64, np.uint8)
  begin = -memory.ctypes.data % 64
  return memory[begin : begin + size].view(dtype).reshape(shape)
