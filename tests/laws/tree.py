"""The tree that the laws are about: its files, and what each one imports."""

import ast
from collections.abc import Iterator
import functools
import importlib.metadata
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOMS = ('tv2tv_jax', 'configs', 'data_pipelines', 'launch')
# What is handed to others as it is: a document in their language, of which
# nothing of ours imports a word.
_HANDED_ON = ('launch/pytorch/',)


@functools.cache
def files() -> tuple[str, ...]:
  """Every file of the project, from the root, without what git ignores."""
  command = ['git', 'ls-files', '-z', '-co', '--exclude-standard']
  listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
  if listed.returncode:  # An unpacked archive has no git.
    found = (path.relative_to(ROOT) for path in ROOT.rglob('*'))
    names = [p.as_posix() for p in found if not p.parts[0].startswith('.venv')]
  else:
    names = listed.stdout.decode().split('\0')
  return tuple(sorted({n for n in names if n and (ROOT / n).is_file()}))


def sources(*folders: str) -> tuple[str, ...]:
  """The Python files below `folders`; of the code's rooms if none is named."""
  folders = folders or ROOMS
  return tuple(
    name
    for name in files()
    if name.endswith('.py')
    and name.split('/')[0] in folders
    and not name.startswith(_HANDED_ON)
  )


@functools.cache
def syntax(name: str) -> ast.Module:
  """The file as a syntax tree."""
  return ast.parse((ROOT / name).read_text(encoding='utf-8'), name)


def imports(name: str) -> Iterator[str]:
  """Each module that the file imports, at any depth: a dotted name."""
  for node in ast.walk(syntax(name)):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      yield from (f'{node.module}.{alias.name}' for alias in node.names)


def owned(module: str) -> str | None:
  """The file that `module`, or the module it is a name of, comes from."""
  path = module.replace('.', '/')
  for candidate in (path, path.rpartition('/')[0]):
    for file in (f'{candidate}.py', f'{candidate}/__init__.py'):
      if file in files():
        return file
  return None


def distribution(module: str) -> str | None:
  """The package on PyPI that `module` comes from; None for Python's own."""
  top = module.partition('.')[0]
  if top in sys.stdlib_module_names:
    return None
  found = _distributions().get(top)
  if not found:
    raise LookupError(f'{module}: no installed package has it')
  return normal(min(found, key=len))


def normal(name: str) -> str:
  """A package's name as PyPI compares it."""
  return re.sub(r'[-_.]+', '-', name).lower()


@functools.cache
def _distributions():
  return importlib.metadata.packages_distributions()
