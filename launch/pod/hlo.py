"""XLA's optimised program, read from its text.

Only what counting needs: computations, their instructions in order, and of
each its result's arrays, its operands and its attributes as text.
"""

import math
import re
from typing import NamedTuple

_ARRAY = re.compile(r'\b([a-z]+[0-9]*[a-z0-9]*)\[([0-9,<=]*)\](\{[^{}]*\})?')
_INSTRUCTION = re.compile(r'^\s+(ROOT )?%?([\w.-]+) = (.*)$')
_COMPUTATION = re.compile(r'^(ENTRY )?%?([\w.-]+) (?:\(.*)?\{$')
_NAME = re.compile(r'%([\w.-]+)')
_SPACE = re.compile(r'S\((\d+)\)')
_DIGITS = re.compile(r'\d+')
_NUMBERLESS = {'pred': 8, 'token': 0, 'opaque': 0}


class Array(NamedTuple):
  """An array of a result.

  Attributes:
    dtype: XLA's name of it.
    shape: its dimensions.
    space: of memory; 0 is HBM, others are on the chip.
  """

  dtype: str
  shape: tuple[int, ...]
  space: int = 0

  @property
  def bytes(self) -> int:
    """Its size, without the padding of tiles."""
    bits = _NUMBERLESS.get(self.dtype)
    if bits is None:
      bits = int(_DIGITS.search(self.dtype).group())
    return math.ceil(math.prod(self.shape) * bits / 8)


class Instruction(NamedTuple):
  """A line of a computation.

  Attributes:
    name: unique in the program.
    opcode: what it does.
    arrays: what it gives, a tuple's one after another.
    operands: names of what it takes.
    inside: the text between its parentheses.
    attributes: the text after them.
  """

  name: str
  opcode: str
  arrays: tuple[Array, ...]
  operands: tuple[str, ...]
  inside: str
  attributes: str

  @property
  def bytes(self) -> int:
    """Of all that it gives."""
    return sum(array.bytes for array in self.arrays)

  def attribute(self, pattern: str) -> str | None:
    """The first group of a pattern in the attributes."""
    found = re.search(pattern, self.attributes)
    return found and found.group(1)


class Computation(NamedTuple):
  """Instructions in order; `root` is the name of the result."""

  name: str
  instructions: dict[str, Instruction]
  root: str


class Program(NamedTuple):
  """All computations by name; `entry` is where it begins."""

  computations: dict[str, Computation]
  entry: str


def parse(text: str) -> Program:
  """The program of `jax.stages.Compiled.as_text()`.

  Raises:
    ValueError: a text with no entry computation.
  """
  computations, entry, inside = {}, None, None
  for line in text.splitlines():
    if inside is None:
      if found := _COMPUTATION.match(line):
        inside = Computation(found.group(2), {}, '')
        entry = inside.name if found.group(1) else entry
    elif line.startswith('}'):
      computations[inside.name] = inside
      inside = None
    elif found := _INSTRUCTION.match(line):
      root, name, rest = found.groups()
      inside.instructions[name] = _instruction(name, rest)
      inside = inside._replace(root=name) if root else inside
  if entry is None:
    raise ValueError('no ENTRY in a text that should be an HLO module')
  return Program(computations, entry)


def _instruction(name: str, rest: str) -> Instruction:
  """What stands after `name =`."""
  end = _closing(rest, 0) + 1 if rest.startswith('(') else rest.index(' ')
  result, rest = rest[:end], rest[end:].lstrip()
  begin = rest.index('(')
  end = _closing(rest, begin)
  inside = rest[begin + 1 : end]
  return Instruction(
    name=name,
    opcode=rest[:begin],
    arrays=_arrays(result),
    operands=_names(inside),
    inside=inside,
    attributes=rest[end + 1 :],
  )


def _names(inside: str) -> tuple[str, ...]:
  """The names between an instruction's parentheses."""
  if '%' in inside:
    return tuple(_NAME.findall(inside))
  return tuple(part.strip() for part in inside.split(',') if part)


def _closing(text: str, begin: int) -> int:
  """Where the parenthesis that opens at `begin` closes."""
  depth = 0
  for place in range(begin, len(text)):
    if text[place] == '(':
      depth += 1
    elif text[place] == ')':
      depth -= 1
      if not depth:
        return place
  raise ValueError(f'a parenthesis that does not close in {text[:200]!r}')


def _arrays(text: str) -> tuple[Array, ...]:
  """The arrays of a result's type."""
  found = []
  for dtype, sizes, layout in _ARRAY.findall(text):
    shape = tuple(int(size.lstrip('<=')) for size in sizes.split(',') if size)
    space = _SPACE.search(layout)
    found.append(Array(dtype, shape, int(space.group(1)) if space else 0))
  return tuple(found)
