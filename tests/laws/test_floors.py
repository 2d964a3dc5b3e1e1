"""Imports point down: pyproject.toml says how, import-linter holds it."""

import re
import subprocess
import sys
import tomllib

from tests.laws import tree

_FLAGS = ('absl.flags', 'absl.app', 'argparse', 'ml_collections.config_flags')


def _contracts():
  text = (tree.ROOT / 'pyproject.toml').read_text()
  return tomllib.loads(text)['tool']['importlinter']['contracts']


def test_import_contracts_hold():
  # A process of its own: it binds the console that pytest puts away.
  program = 'from importlinter import cli; cli.lint_imports_command()'
  command = [sys.executable, '-c', program, '--no-cache', '--no-logo']
  done = subprocess.run(
    command, cwd=tree.ROOT, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_stands_on_a_floor():
  floors = next(c['layers'] for c in _contracts() if c['id'] == 'floors')
  named = set(re.findall(r'[\w.]+', ' '.join(floors)))
  rooms = {'.'.join(name.split('/')[:2]) for name in tree.sources('tv2tv_jax')}
  rooms = {room.removesuffix('.py') for room in rooms}
  missing = rooms - named - {'tv2tv_jax.__init__'}
  assert not missing, (
    f'pyproject.toml, contract `floors`: name {sorted(missing)} on a floor'
  )


def test_only_launch_has_flags():
  rooms = set(tree.ROOMS) - {'launch'}
  found = [
    f'{name} imports {module}'
    for name in tree.sources(*rooms)
    for module in tree.imports(name)
    if module.startswith(_FLAGS)
  ]
  assert not found


def test_every_folder_of_code_is_a_package():
  folders = {name.rpartition('/')[0] for name in tree.sources()}
  missing = [f for f in folders if f'{f}/__init__.py' not in tree.files()]
  assert not missing, f'add __init__.py (one docstring) to {sorted(missing)}'
