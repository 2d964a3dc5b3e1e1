"""Which collectives a program runs, how often, how large, over which axes."""

from collections.abc import Sequence
import math
import re
from typing import NamedTuple

from jax.sharding import Mesh
import numpy as np

from launch.pod import hlo
from launch.pod import runs as runs_lib

KINDS = (
  'all-gather',
  'reduce-scatter',
  'all-reduce',
  'all-to-all',
  'collective-permute',
)
_FULL = re.compile(r'replica_groups=\{(\{[\d,{}]*\})\}')
_IOTA = re.compile(
  r'replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?'
)
_MESH = re.compile(r"replica_groups=mesh\[([^\]]*)\](.*?)\{('[^}]*)\}")
_PAIRS = re.compile(r'source_target_pairs=\{(\{[\d,{}]*\})\}')
_ORDER = re.compile(r'device_ids=\(?\[([\d,]+)\](?:T\(([\d,]+)\))?')


class Collective(NamedTuple):
  """Collectives of one place in a program.

  Attributes:
    name: of the instruction.
    kind: one of `KINDS`.
    group: devices that work together, by their number in the mesh: those with
      device 0; of a permute, a device and whom it sends to.
    axes: of the mesh, which they are spread over.
    size: bytes of the whole that a group shares: what is gathered, reduced,
      exchanged or sent.
    runs: how often it runs.
  """

  name: str
  kind: str
  group: tuple[int, ...]
  axes: tuple[str, ...]
  size: int
  runs: int

  @property
  def sent(self) -> float:
    """Bytes that a device sends, all the times that it runs."""
    return self.runs * share(self.kind, len(self.group)) * self.size


def share(kind: str, count: int) -> float:
  """Of the whole, what each of `count` devices sends: rings' formulas."""
  if kind == 'collective-permute':
    return 1.0
  return (2 if kind == 'all-reduce' else 1) * (count - 1) / count


def collectives(
  program: hlo.Program, runs: runs_lib.Runs, mesh: Mesh
) -> list[Collective]:
  """All that one run of a program runs on more than one device.

  A start and its done are one, and so are the parts of one that is spread over
  the fusions it runs beside: they have one channel.
  """
  found = {}
  for name, times in runs.counts.items():
    computation = program.computations[name]
    scatters = name.startswith('all-reduce-scatter')
    for instruction in computation.instructions.values():
      kind = instruction.opcode.removesuffix('-start')
      if kind not in KINDS:
        continue
      groups = _groups(instruction, mesh.size)
      groups = [group for group in groups if len(set(group)) > 1]
      if not groups:
        continue
      # A TPU's reduce-scatter is a fusion that keeps a share of a sum.
      kind = 'reduce-scatter' if scatters and kind == 'all-reduce' else kind
      channel = instruction.attribute(r'channel_id=(\d+)') or instruction.name
      found[kind, channel] = Collective(
        name=instruction.name,
        kind=kind,
        group=tuple(map(int, groups[0])),
        axes=_axes(groups, mesh),
        size=_size(kind, computation, instruction),
        runs=times,
      )
  return list(found.values())


def _size(
  kind: str, computation: hlo.Computation, instruction: hlo.Instruction
) -> int:
  """Bytes of what a group shares."""
  arrays = instruction.arrays
  if kind in ('all-gather', 'collective-permute'):
    # A start gives what it takes beside what it makes.
    started = instruction.opcode.endswith('-start')
    if kind == 'collective-permute':
      return arrays[0].bytes
    half = arrays[len(arrays) // 2 :] if started else arrays
    return sum(array.bytes for array in half)
  return sum(
    computation.instructions[name].bytes for name in instruction.operands
  )


def _groups(
  instruction: hlo.Instruction, count: int
) -> Sequence[Sequence[int]]:
  """The devices that work together; of a permute, who sends and who gets.

  Raises:
    ValueError: groups that are written in a way that is not known here.
  """
  text = instruction.attributes
  if found := (_PAIRS.search(text) or _FULL.search(text)):
    return _lists(found.group(1))
  if 'replica_groups={}' in text:
    return [range(count)]
  if found := _IOTA.search(text):
    shape, sizes, turn = (_numbers(part) for part in found.groups())
    return _turned(sizes, turn).reshape(shape)
  if found := _MESH.search(text):
    return _along(*found.groups())
  raise ValueError(f'{instruction.name}: groups of devices in {text[:300]!r}')


def _along(axes: str, order: str, over: str) -> np.ndarray:
  """Groups, a row each, along some axes of a mesh that the text describes.

  An axis may be cut: `'a':(2)4` is the part of 4 within 2.
  """
  names = re.findall(r"'([^']*)'=", axes)
  sizes = [int(size) for size in re.findall(r'=(\d+)', axes)]
  ids = np.arange(math.prod(sizes))
  if found := _ORDER.search(order):
    ids = _turned(*(_numbers(part) for part in found.groups())).reshape(-1)
  ids = ids.reshape(sizes)
  wanted = []
  for name, before, part in re.findall(r"'([^']*)'(?::\((\d+)\)(\d+))?", over):
    axis = names.index(name)
    if part:
      whole, first = sizes[axis], int(before)
      cut = [first, int(part), whole // first // int(part)]
      ids = ids.reshape(*sizes[:axis], *cut, *sizes[axis + 1 :])
      sizes[axis : axis + 1] = cut
      names[axis : axis + 1] = [f'{name}<', name, f'{name}>']
      axis += 1
    wanted.append(name)
  last = [names.index(name) for name in wanted]
  ids = np.moveaxis(ids, last, range(-len(last), 0))
  return ids.reshape(-1, math.prod(sizes[axis] for axis in last))


def _axes(groups: Sequence[Sequence[int]], mesh: Mesh) -> tuple[str, ...]:
  """The axes of a mesh along which devices of a group differ."""
  places = np.unravel_index(np.array(groups), mesh.devices.shape)
  return tuple(
    name
    for name, place in zip(mesh.axis_names, places, strict=True)
    if (place != place[:, :1]).any()
  )


def _turned(sizes: Sequence[int], turn: Sequence[int]) -> np.ndarray:
  """Numbers from 0 in an array, its axes in another order."""
  ids = np.arange(math.prod(sizes)).reshape(sizes)
  return ids.transpose(turn) if turn else ids


def _lists(text: str) -> list[list[int]]:
  """`{0,1},{2,3}` as lists."""
  return [_numbers(part) for part in re.findall(r'\{([\d,]+)\}', text)]


def _numbers(text: str | None) -> list[int]:
  """`0,1` as a list; none of nothing."""
  return [int(part) for part in (text or '').split(',') if part]
