"""How often each computation of a program runs in one run of it.

A scan over layers is a loop, whose body stands in the program once: what it
does counts as often as the loop turns.
"""

import re
from typing import NamedTuple

from launch.pod import hlo

_KNOWN = r'known_trip_count[^0-9]*(\d+)'
_INTEGER = re.compile(r'^-?\d+$')


class Runs(NamedTuple):
  """How often computations run.

  Attributes:
    counts: for each computation that runs, fused ones included.
    fused: those that are part of one instruction of another.
    unknown: loops that do not tell how often they turn.
  """

  counts: dict[str, int]
  fused: frozenset[str]
  unknown: tuple[str, ...]


def runs(program: hlo.Program, otherwise: int = 1) -> Runs:
  """Follows calls from the entry.

  Args:
    program: the program.
    otherwise: how often loops turn that do not tell.
  """
  counts, fused, unknown = {program.entry: 1}, set(), []
  for name in _callers_first(program):
    computation, times = program.computations[name], counts[name]
    for instruction in computation.instructions.values():
      turns = 1
      if instruction.opcode == 'while':
        turns = _turns(program, computation, instruction)
        if turns is None:
          unknown.append(instruction.name)
          turns = otherwise
      for called in _called(program, instruction):
        counts[called] = counts.get(called, 0) + times * turns
        if instruction.opcode == 'fusion' or name in fused:
          fused.add(called)
  return Runs(counts, frozenset(fused), tuple(unknown))


def _callers_first(program: hlo.Program) -> list[str]:
  """The computations that run, each after all that call it."""
  order, seen = [], set()

  def visit(name: str) -> None:
    seen.add(name)
    for instruction in program.computations[name].instructions.values():
      for called in _called(program, instruction):
        if called not in seen:
          visit(called)
    order.append(name)

  visit(program.entry)
  return order[::-1]


def _called(program: hlo.Program, instruction: hlo.Instruction) -> list[str]:
  """The computations that an instruction runs; not those of a reduction."""
  if instruction.opcode in ('while', 'call', 'conditional', 'fusion') or (
    instruction.opcode.startswith('async')
  ):
    words = re.findall(r'[\w.-]+', instruction.attributes.split('metadata=')[0])
    return [
      each for each in dict.fromkeys(words) if each in program.computations
    ]
  return []


def _turns(
  program: hlo.Program, around: hlo.Computation, loop: hlo.Instruction
) -> int | None:
  """How often a loop turns: as XLA says, or by its counter's bounds."""
  if known := loop.attribute(_KNOWN):
    return int(known)
  condition = program.computations[loop.attribute(r'condition=%?([\w.-]+)')]
  body = program.computations[loop.attribute(r'body=%?([\w.-]+)')]
  compare = condition.instructions[condition.root]
  if compare.opcode != 'compare' or 'direction=LT' not in compare.attributes:
    return None
  counter, bound = (condition.instructions[name] for name in compare.operands)
  place = counter.attribute(r'index=(\d+)')
  if place is None:
    return None
  start = _constant(around, _element(around, loop.operands[0], int(place)))
  after = body.instructions.get(_element(body, body.root, int(place)))
  if after is None or after.opcode != 'add':
    return None
  steps = [_constant(body, name) for name in after.operands]
  step = next((value for value in steps if value is not None), 1)
  end = _constant(condition, bound.name)
  if end is None or step <= 0:
    return None
  return max(0, -(-(end - (start or 0)) // step))


def _element(computation: hlo.Computation, name: str, place: int) -> str:
  """The name of what a tuple holds at a place; '' if that is not seen."""
  made = computation.instructions.get(name)
  if made is None or made.opcode != 'tuple':
    return ''
  return made.operands[place]


def _constant(computation: hlo.Computation, name: str) -> int | None:
  """The integer that a name stands for, if it is one."""
  made = computation.instructions.get(name)
  while made and made.opcode in ('copy', 'bitcast', 'convert'):
    made = computation.instructions.get(made.operands[0])
  if made is None or made.opcode != 'constant':
    return None
  return int(made.inside) if _INTEGER.match(made.inside) else None
