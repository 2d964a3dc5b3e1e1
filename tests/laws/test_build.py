"""BUILD says of each target exactly what its sources import.

A room gets a target by copying a neighbour's: the failing test names every
line to add or to remove.
"""

import fnmatch
import functools
import graphlib
import os
from typing import NamedTuple

from tests.laws import tree

# What is named in a string, where no import shows it.
_BY_NAME = {
  'tests': {'beartype', 'pytest-timeout', 'pytest-xdist'},
  'tests.laws': {'import-linter'},
}


class Target(NamedTuple):
  """A rule of BUILD."""

  rule: str
  name: str
  srcs: tuple[str, ...]
  deps: frozenset[str]
  main: str


@functools.cache
def _targets() -> dict[str, Target]:
  """Runs BUILD, which is Python as far as it goes."""
  found = {}

  def rule(kind):
    def define(*, name, srcs=(), deps=(), main='', **_):
      assert name not in found, f'BUILD: two targets are named {name}'
      assert len(set(deps)) == len(deps), f'BUILD: {name} has a dep twice'
      found[name] = Target(kind, name, tuple(srcs), frozenset(deps), main)

    return define

  rules = ('py_library', 'py_binary', 'py_test')
  names = {kind: rule(kind) for kind in rules}
  names |= {
    'load': lambda *_: None,
    'package': lambda **_: None,
    'exports_files': lambda *_: None,
    'glob': _glob,
    'requirement': lambda package: f'requirement("{package}")',
  }
  exec(compile((tree.ROOT / 'BUILD').read_text(), 'BUILD', 'exec'), names)
  return found


def _glob(patterns, exclude=(), **_):
  """Bazel's: `*` stays in its folder, `**` does not."""

  def matches(name, pattern):
    folder, _, last = pattern.rpartition('/')
    if folder.endswith('**'):
      inside = name.startswith(folder.removesuffix('**'))
    else:
      inside = os.path.dirname(name) == folder
    return inside and fnmatch.fnmatch(os.path.basename(name), last)

  return [
    name
    for name in tree.files()
    if any(matches(name, pattern) for pattern in patterns)
    and not any(matches(name, pattern) for pattern in exclude)
  ]


@functools.cache
def _owners() -> dict[str, str]:
  """Which library or test each file belongs to."""
  owners = {}
  for target in _targets().values():
    for name in target.srcs:
      if target.rule == 'py_binary' or name == target.main:
        continue
      assert name not in owners, (
        f'BUILD: {name} is in {owners[name]} and in {target.name}'
      )
      owners[name] = target.name
  return owners


def _wanted(target: Target) -> set[str]:
  """The deps that the imports of the target's sources call for."""
  if target.srcs == (f'{target.name}/__init__.py',):  # The package as a whole.
    inside = {n for n in _targets() if n.startswith(f'{target.name}.')}
    inside = {n for n in inside if _targets()[n].rule == 'py_library'}
    return {f':{name}' for name in inside} if inside else set()
  if target.rule == 'py_binary':
    return {f':{_owners()[target.main]}'}
  wanted = set()
  for source in target.srcs:
    for module in tree.imports(source):
      file = tree.owned(module)
      if file in _owners():
        wanted.add(f':{_owners()[file]}')
      elif package := file is None and tree.distribution(module):
        wanted.add(f'requirement("{package}")')
  for package in _BY_NAME.get(target.name, ()):
    wanted.add(f'requirement("{package}")')
  if target.rule == 'py_test':
    wanted.add(':tests')  # Every test runs under conftest.py.
  return wanted - {f':{target.name}'}


def test_every_file_belongs_to_a_target():
  files = tree.sources(*tree.ROOMS, 'tests')
  lost = [name for name in files if name not in _owners()]
  lost = [n for n in lost if n not in {t.main for t in _targets().values()}]
  assert not lost, f'BUILD: no target has {lost} among its srcs'


def test_every_target_has_sources():
  empty = [target.name for target in _targets().values() if not target.srcs]
  assert not empty, f'BUILD: remove {empty}, or mend their srcs'


def test_deps_are_imports():
  lines = []
  for target in _targets().values():
    wanted = _wanted(target)
    lines += [f'{target.name}: add {d}' for d in sorted(wanted - target.deps)]
    lines += [
      f'{target.name}: remove {d}' for d in sorted(target.deps - wanted)
    ]
  assert not lines, 'BUILD\n' + '\n'.join(lines)


def test_no_target_depends_on_itself():
  graph = {
    target.name: {dep[1:] for dep in target.deps if dep.startswith(':')}
    for target in _targets().values()
  }
  graphlib.TopologicalSorter(graph).prepare()


def test_every_program_is_a_binary():
  programs = {
    name
    for name in tree.sources('launch')
    if "__name__ == '__main__'" in (tree.ROOT / name).read_text()
  }
  binaries = {
    target.main: target.name
    for target in _targets().values()
    if target.rule == 'py_binary'
  }
  missing, gone = programs - set(binaries), set(binaries) - programs
  assert not missing, f'BUILD: add a py_binary for {sorted(missing)}'
  assert not gone, f'BUILD: remove the py_binary of {sorted(gone)}'
  for main, name in binaries.items():
    assert name == main[: -len('.py')].replace('/', '.')


def test_a_target_has_the_name_of_its_module():
  for target in _targets().values():
    path = target.name.replace('.', '/')
    for name in set(target.srcs) - {'tests/__main__.py'}:
      inside = name.startswith(f'{path}/') or name == f'{path}.py'
      assert inside, f'BUILD: {target.name} has {name}'
