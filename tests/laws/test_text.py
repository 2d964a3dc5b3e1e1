"""The tree holds what it promises, and nothing of the desk it was made on."""

import pathlib
import re

import pytest

from tests.laws import tree

_REQUIRED = (
  'tv2tv_jax/__init__.py',
  'configs/__init__.py',
  'data_pipelines/__init__.py',
  'launch/__init__.py',
  'launch/demo.sh',
  'launch/test.sh',
  'tests/__init__.py',
  'BUILD',
  'requirements.txt',
  'README.md',
  'CHANGELOG.md',
  'DECISIONS.md',
  'LICENSE',
)
# Brackets, so that this file does not name what it looks for.
_DESK = re.compile(r'(?<![\w.~])/(wor[k]|tm[p]|roo[t]|hom[e]|User[s])/')
_UNFINISHED = re.compile(r'\b(TOD[O]|FIXM[E]|XX[X]|NotImplementedErro[r])\b')
_LONGEST = 300


def _text_files():
  for name in tree.files():
    try:
      yield name, (tree.ROOT / name).read_text(encoding='utf-8')
    except UnicodeDecodeError:
      continue


def test_the_top_level_is_there():
  missing = [name for name in _REQUIRED if name not in tree.files()]
  assert not missing


def test_no_file_names_a_path_of_a_machine():
  found = [name for name, text in _text_files() if _DESK.search(text)]
  assert not found


def test_nothing_is_marked_unfinished():
  found = [name for name, text in _text_files() if _UNFINISHED.search(text)]
  assert not found


def test_a_file_fits_in_one_sitting():
  long = {
    name: lines
    for name in tree.sources(*tree.ROOMS, 'tests')
    if (lines := (tree.ROOT / name).read_text().count('\n')) > _LONGEST
  }
  assert not long, f'longer than {_LONGEST} lines: {long}'


def test_the_readme_is_short():
  text = (tree.ROOT / 'README.md').read_text(encoding='utf-8')
  assert text.count('\n') <= 150


@pytest.mark.parametrize(
  'name', [name for name in tree.files() if name.endswith('README.md')]
)
def test_a_readme_names_what_exists(name):
  """Paths below the rooms, links, and `python -m` programs."""
  readme = (tree.ROOT / name).read_text(encoding='utf-8')
  tops = '|'.join((*tree.ROOMS, 'tests', r'\.ci'))
  named = set(re.findall(rf'(?<![\w/.-])(?:{tops})/[\w./-]*\w', readme))
  links = re.findall(r'\]\(([^)#\s]+)', readme)
  here = pathlib.PurePath(name).parent
  named |= {str(here / link) for link in links if '://' not in link}
  programs = re.findall(r'python -m ([\w.]+)', readme)
  named |= {program.replace('.', '/') + '.py' for program in programs}
  named -= {'pip.py', 'venv.py', 'pytest.py'}
  missing = [name for name in sorted(named) if not (tree.ROOT / name).exists()]
  assert not missing, f'{name} names {missing}'
