"""What a program computes and moves: operations, and bytes of HBM.

Operations are those of dots, convolutions and kernels; the rest of the
arithmetic runs beside them. A fusion reads what it takes and writes what it
gives, once; of what it only slices it reads the slice, and what lies in the
chip's own memory costs nothing.
"""

from collections.abc import Iterator
import functools
from typing import NamedTuple

from launch.pod import hlo
from launch.pod import products
from launch.pod import runs as runs_lib

# They give names to what is there, or wait for what was counted before.
_FREE = frozenset(
  {
    'add-dependency',
    'after-all',
    'bitcast',
    'call',
    'conditional',
    'constant',
    'get-tuple-element',
    'iota',
    'opt-barrier',
    'parameter',
    'partition-id',
    'replica-id',
    'tuple',
    'while',
  }
)
_SLICES = frozenset({'dynamic-slice', 'slice', 'gather'})


class Work(NamedTuple):
  """What one instruction takes, all the times that it runs.

  Attributes:
    name: of the instruction.
    flops: operations of matrix products.
    bytes: to and from HBM.
    apart: whether it moves memory while others compute.
    runs: how often it runs.
  """

  name: str
  flops: float
  bytes: float
  apart: bool
  runs: int


def work(
  program: hlo.Program, runs: runs_lib.Runs, seen: float = 1.0
) -> list[Work]:
  """Of every instruction that runs for itself.

  Args:
    program: the program.
    runs: how often its computations run.
    seen: share of all pairs that attention's kernels compute.
  """
  reader = _Reader(program)
  found = []
  for name, times in runs.counts.items():
    if name in runs.fused:
      continue
    computation = program.computations[name]
    for instruction in computation.instructions.values():
      flops = reader.flops(computation, instruction)
      moved = reader.moved(computation, instruction)
      if products.kernel(instruction):
        flops *= seen
      if flops or moved:
        found.append(
          Work(
            name=instruction.name,
            flops=times * flops,
            bytes=times * moved,
            apart=instruction.opcode.endswith('-start'),
            runs=times,
          )
        )
  return found


class _Reader:
  """Counts, and remembers what fused computations take."""

  def __init__(self, program: hlo.Program):
    self._program = program
    self._inner = functools.cache(self._of_fused)
    self._read = functools.cache(self._read_of)

  def flops(
    self, computation: hlo.Computation, instruction: hlo.Instruction
  ) -> float:
    """Operations of an instruction, with what is fused into it."""
    if instruction.opcode == 'fusion':
      return self._inner(_fused(instruction))
    return products.flops(computation, instruction)

  def _of_fused(self, name: str) -> float:
    computation = self._program.computations[name]
    return sum(
      self.flops(computation, each)
      for each in computation.instructions.values()
    )

  def moved(
    self, computation: hlo.Computation, instruction: hlo.Instruction
  ) -> int:
    """Bytes that an instruction reads from HBM and writes to it."""
    opcode, arrays = instruction.opcode, instruction.arrays
    if opcode in _FREE or opcode.endswith('-done') or opcode == 'async-start':
      return 0
    if opcode == 'custom-call':
      if not products.kernel(instruction):
        return 0
    elif opcode == 'copy-start':
      return _in_hbm(arrays[:2])
    elif opcode == 'slice-start':
      (source, target) = arrays[:2]
      return _in_hbm([target, target._replace(space=source.space)])
    elif opcode in _SLICES:
      source = computation.instructions[instruction.operands[0]].arrays[:1]
      return _in_hbm(arrays) + _in_hbm(
        array._replace(space=source[0].space) for array in arrays
      )
    elif opcode == 'dynamic-update-slice':
      update = computation.instructions[instruction.operands[1]]
      return 2 * _in_hbm(update.arrays)
    elif opcode == 'fusion':
      name = _fused(instruction)
      read = sum(
        self._read(name, place, operand.arrays[0])
        for place, operand in enumerate(
          computation.instructions[each] for each in instruction.operands
        )
        if operand.arrays
      )
      return read + self._written(name, instruction)
    read = sum(
      _in_hbm(computation.instructions[name].arrays)
      for name in instruction.operands
    )
    return read + _in_hbm(arrays)

  def _read_of(self, name: str, place: int, operand: hlo.Array) -> int:
    """Bytes of an operand that a fused computation reads."""
    if operand.space:
      return 0
    computation = self._program.computations[name]
    parameter = next(
      each.name
      for each in computation.instructions.values()
      if each.opcode == 'parameter' and int(each.inside) == place
    )
    total = 0
    for use, where in _uses(computation, parameter):
      if use.opcode in _SLICES and where == 0:
        total += use.bytes
      elif use.opcode == 'fusion':
        total += self._read(_fused(use), where, operand)
      elif use.opcode == 'dynamic-update-slice' and where == 0:
        continue  # It stays where it is, but for what is written.
      else:
        return operand.bytes
    return min(total, operand.bytes)

  def _written(self, name: str, fusion: hlo.Instruction) -> int:
    """Bytes that a fused computation writes: of an update in place its own."""
    computation = self._program.computations[name]
    root = computation.instructions[computation.root]
    roots = [root]
    if root.opcode == 'tuple':
      roots = [computation.instructions[each] for each in root.operands]
    if len(roots) != len(fusion.arrays):
      return _in_hbm(fusion.arrays)
    total = 0
    for array, each in zip(fusion.arrays, roots, strict=True):
      while each.opcode == 'bitcast':
        each = computation.instructions[each.operands[0]]
      if each.opcode == 'dynamic-update-slice' and not array.space:
        total += computation.instructions[each.operands[1]].bytes
      else:
        total += _in_hbm([array])
    return total


def _fused(instruction: hlo.Instruction) -> str:
  """The computation of a fusion."""
  return instruction.attribute(r'calls=%?([\w.-]+)')


def _in_hbm(arrays) -> int:
  """Bytes of the arrays that lie in HBM."""
  return sum(array.bytes for array in arrays if not array.space)


def _uses(
  computation: hlo.Computation, name: str
) -> Iterator[tuple[hlo.Instruction, int]]:
  """Who takes what, and as which operand; through other names of it."""
  for each in computation.instructions.values():
    for place, operand in enumerate(each.operands):
      if operand == name:
        if each.opcode == 'bitcast':
          yield from _uses(computation, each.name)
        else:
          yield each, place
