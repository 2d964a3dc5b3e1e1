"""Operations of matrix products, convolutions and kernels."""

import json
import math

import numpy as np

from launch.pod import hlo

_KERNEL = 'tpu_custom_call'


def flops(computation: hlo.Computation, instruction: hlo.Instruction) -> float:
  """Operations of one instruction; none of what is no product."""
  if instruction.opcode == 'convolution':
    return _convolution(*_sides(computation, instruction), instruction)
  if instruction.opcode == 'dot':
    return _dot(_sides(computation, instruction)[0], instruction)
  if instruction.opcode == 'custom-call':
    return float(kernel(instruction).get('flops', 0))
  return 0.0


def kernel(instruction: hlo.Instruction) -> dict[str, int]:
  """What a kernel says it costs; {} of what is no kernel, or tells nothing."""
  target = instruction.attribute(r'custom_call_target="([^"]*)"')
  if target != _KERNEL:
    return {}
  told = instruction.attribute(r'"cost_estimate":(\{[^{}]*\})')
  if told is None:
    return {'flops': 0}
  return {name: int(value) for name, value in json.loads(told).items()}


def _sides(
  computation: hlo.Computation, instruction: hlo.Instruction
) -> list[hlo.Array]:
  """The arrays that a product multiplies."""
  return [
    computation.instructions[name].arrays[0] for name in instruction.operands
  ]


def _dot(left: hlo.Array, instruction: hlo.Instruction) -> float:
  """Operations of a matrix product."""
  axes = instruction.attribute(r'lhs_contracting_dims=\{([\d,]*)\}') or ''
  contracted = [left.shape[int(axis)] for axis in axes.split(',') if axis]
  return 2.0 * math.prod(instruction.arrays[0].shape) * math.prod(contracted)


def _convolution(
  image: hlo.Array, taps: hlo.Array, instruction: hlo.Instruction
) -> float:
  """Operations of a convolution; what falls on padding is none.

  A TPU's matrix products are convolutions: batches and sums may be places.
  """
  labels = instruction.attribute(r'dim_labels=(\S+?->\w+)')
  image_labels, rest = labels.split('_')
  tap_labels, out_labels = rest.split('->')
  window = instruction.attribute(r'window=\{([^}]*)\}') or ''
  fields = dict(part.split('=') for part in window.split())
  places = 1
  for axis in range(len(image_labels) - 2):

    def field(name: str, default: str, axis: int = axis) -> str:
      return fields[name].split('x')[axis] if name in fields else default

    places *= _valid(
      image.shape[image_labels.index(str(axis))],
      instruction.arrays[0].shape[out_labels.index(str(axis))],
      size=int(field('size', '1')),
      stride=int(field('stride', '1')),
      low=int(field('pad', '0_0').split('_')[0]),
      spread=int(field('lhs_dilate', '1')),
      dilated=int(field('rhs_dilate', '1')),
    )
  groups = int(instruction.attribute(r'batch_group_count=(\d+)') or 1)
  batch = image.shape[image_labels.index('b')] // groups
  inputs = taps.shape[tap_labels.index('i')]
  outputs = taps.shape[tap_labels.index('o')]
  return 2.0 * places * batch * inputs * outputs


def _valid(
  length: int,
  outputs: int,
  *,
  size: int,
  stride: int,
  low: int,
  spread: int,
  dilated: int,
) -> int:
  """Pairs of an output and a tap that meet a place of the picture."""
  first = np.arange(outputs, dtype=np.int64) * stride - low
  total = 0
  for tap in range(size):
    place = first + tap * dilated
    inside = (place >= 0) & (place <= (length - 1) * spread)
    total += int(np.count_nonzero(inside & (place % spread == 0)))
  return total
