"""The two commands say in one line what keeps them from working."""

import os
import pathlib
import shutil
import subprocess
import sys
import tomllib

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_TOOLS = 'bash cat cmp cp dirname flock mkdir mv rm'
_SCRIPTS = ['launch/demo.sh', 'launch/test.sh', 'launch/environment.sh']


def _clone(tmp_path):
  """The scripts alone, where no environment has been made."""
  clone = tmp_path / 'clone'
  (clone / 'launch').mkdir(parents=True)
  for name in (*_SCRIPTS, 'requirements.txt'):
    shutil.copy(_ROOT / name, clone / name)
  return clone


def _bash(clone, *command, tools=(), **environment):
  """Runs bash in the clone with just a few commands on its path."""
  bin_folder = clone / 'bin'
  bin_folder.mkdir(exist_ok=True)
  for name in _TOOLS.split():
    if (path := shutil.which(name)) and not (bin_folder / name).exists():
      (bin_folder / name).symlink_to(path)
  for name, text in tools:
    (bin_folder / name).write_text(f'#!/bin/sh\n{text}\n')
    (bin_folder / name).chmod(0o755)
  return subprocess.run(
    ['bash', *command],
    cwd=clone,
    env={'PATH': str(bin_folder), **environment},
    stdin=subprocess.DEVNULL,
    capture_output=True,
    text=True,
    check=False,
  )


def _made(clone, python='exit 0', serves='test'):
  """An environment that serves this much, whose Python does as told."""
  (clone / '.venv/bin').mkdir(parents=True)
  shutil.copy(clone / 'requirements.txt', clone / f'.venv/{serves}.txt')
  (clone / '.venv/bin/python').write_text(f'#!/bin/sh\n{python}\n')
  (clone / '.venv/bin/python').chmod(0o755)


@pytest.mark.parametrize('name', [*_SCRIPTS, '.ci/run'])
def test_the_shell_reads_it(name):
  subprocess.run(['bash', '-n', _ROOT / name], check=True)


@pytest.mark.parametrize('script', ['launch/demo.sh', 'launch/test.sh'])
def test_an_old_python_is_named(tmp_path, script):
  done = _bash(_clone(tmp_path), script, tools=[('python3', 'echo 3.9')])
  assert done.returncode == 2
  assert done.stderr.startswith('error: needs Python 3.11 or 3.12')
  assert 'python3 is 3.9' in done.stderr


def test_no_python_is_named(tmp_path):
  done = _bash(_clone(tmp_path), 'launch/test.sh')
  assert done.returncode == 2
  assert 'found: none' in done.stderr


def test_a_python_that_makes_no_environment_leaves_none(tmp_path):
  clone = _clone(tmp_path)
  broken = ('python3.11', '[ "$1" = -c ] && echo 3.11')
  done = _bash(clone, 'launch/test.sh', tools=[broken])
  assert done.returncode == 2
  assert 'python3-venv' in done.stderr.splitlines()[-1]
  assert not (clone / '.venv').exists()


@pytest.mark.parametrize('serves', ['demo', 'test'])
@pytest.mark.parametrize('script', ['launch/demo.sh', 'launch/test.sh'])
def test_an_environment_of_other_pins_is_made_anew(tmp_path, script, serves):
  clone = _clone(tmp_path)
  _made(clone, serves=serves)
  (clone / f'.venv/{serves}.txt').write_text('jax==0.0.1\n')
  done = _bash(clone, script)
  assert done.returncode == 2
  assert 'needs Python' in done.stderr


def test_the_tests_complete_the_demos_environment(tmp_path):
  clone = _clone(tmp_path)
  _made(clone, f'echo "$*" >> {clone}/ran', serves='demo')
  for _ in range(2):  # The second time there is nothing to install.
    done = _bash(clone, 'launch/test.sh')
    assert done.returncode == 0, done.stderr
  (install, *checks) = (clone / 'ran').read_text().splitlines()
  assert install.startswith('-m pip install')
  assert f'--requirement {clone}/requirements.txt' in install
  assert not [line for line in checks if '-m pip' in line]


@pytest.mark.parametrize('serves', ['demo', 'test'])
def test_either_environment_serves_the_demo(tmp_path, serves):
  clone = _clone(tmp_path)
  _made(clone, f'echo "$2" >> {clone}/ran', serves=serves)
  done = _bash(clone, 'launch/demo.sh', 'film')
  assert done.returncode == 0, done.stderr
  (first, then, *_) = (clone / 'ran').read_text().splitlines()
  assert (first, then) == ('launch.generate', 'launch.record')


def test_a_demo_installs_the_dependencies_alone(tmp_path):
  clone = _clone(tmp_path)
  shutil.copy(_ROOT / 'pyproject.toml', clone)
  python = f"""case "$1 $2" in
  -c*) exec {sys.executable} "$@" ;;
  '-m venv') mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  -m*) echo "$*" >> {clone}/ran ;;
esac"""
  done = _bash(clone, 'launch/demo.sh', 'film', tools=[('python3.11', python)])
  assert done.returncode == 0, done.stderr
  install = (clone / 'ran').read_text().splitlines()[0]
  assert f'--requirement {clone}/.venv/dependencies.txt' in install
  assert f'--constraint {clone}/requirements.txt' in install
  dependencies = (clone / '.venv/dependencies.txt').read_text().splitlines()
  project = tomllib.loads((_ROOT / 'pyproject.toml').read_text())['project']
  assert dependencies == project['dependencies']


def test_a_failed_check_fails_the_tests(tmp_path):
  clone = _clone(tmp_path)
  _made(clone, '[ "$2" != ruff ]')
  done = _bash(clone, 'launch/test.sh')
  assert done.returncode == 1
  assert done.stderr == 'failed: lint\nfailed: format\n'


def test_the_demo_takes_one_argument(tmp_path):
  done = _bash(_clone(tmp_path), 'launch/demo.sh', '--minutes')
  assert done.returncode == 2
  assert done.stderr.startswith('usage:')


_STAGES = [
  'first',
  'record',
  'tokenize',
  'vae',
  'encode',
  'train',
  'obedience',
]


def test_the_demo_does_no_stage_twice(tmp_path):
  clone = _clone(tmp_path)
  _made(clone, f'echo "$2" >> {clone}/ran; echo table')
  first = _bash(clone, 'launch/demo.sh', 'film')
  again = _bash(clone, 'launch/demo.sh', 'film')
  for done in (first, again):
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == 'table'
  assert len((clone / 'ran').read_text().splitlines()) == len(_STAGES)
  seconds = (clone / 'film/stages.json').read_text()
  assert all(f'"{name}": 0' in seconds for name in ['environment', *_STAGES])


def test_the_demo_goes_on_where_it_stopped(tmp_path):
  clone = _clone(tmp_path)
  _made(clone, f'echo "$2" >> {clone}/ran; [ "$2" != launch.encode ]')
  first = _bash(clone, 'launch/demo.sh', 'film')
  assert first.returncode == 1
  assert 'encode stopped; to go on' in first.stderr
  (clone / '.venv/bin/python').write_text(
    f'#!/bin/sh\necho "$2" >> {clone}/ran\n'
  )
  again = _bash(clone, 'launch/demo.sh', 'film')
  assert again.returncode == 0, again.stderr
  ran = (clone / 'ran').read_text().split()
  assert ran.count('launch.record') == 1
  assert ran.count('launch.encode') == 2
  assert ran[-1] == 'launch.obedience'


def test_the_demo_films_with_the_released_model_first(tmp_path):
  clone = _clone(tmp_path)
  _made(clone, f'echo "$*" >> {clone}/ran; [ "$2" != launch.record ]')
  done = _bash(clone, 'launch/demo.sh', 'film')
  assert done.returncode == 1  # And where it is, is said before all else.
  first = done.stdout.index(f'{clone}/film/first/story.mp4')
  assert first < done.stdout.index('== record')
  (generate, _) = (clone / 'ran').read_text().splitlines()
  options = generate.split()
  assert options[options.index('--workdir') + 1] == 'launch/released/doom'
  assert options[options.index('--out') + 1] == f'{clone}/film/first'


def test_another_first_story_changes_nothing_after_it(tmp_path):
  clone = _clone(tmp_path)
  _made(clone, f'echo "$2" >> {clone}/ran')
  assert _bash(clone, 'launch/demo.sh', 'film').returncode == 0
  script = clone / 'launch/demo.sh'
  script.write_text(script.read_text().replace('--seed 1 ', '--seed 2 '))
  assert _bash(clone, 'launch/demo.sh', 'film').returncode == 0
  ran = (clone / 'ran').read_text().split()
  assert ran[len(_STAGES) :] == ['launch.generate']


def test_two_demos_do_not_share_a_folder(tmp_path):
  if not shutil.which('flock'):
    pytest.skip('needs flock')
  clone = _clone(tmp_path)
  _made(clone)
  (clone / 'film/.stages').mkdir(parents=True)
  lock = os.open(clone / 'film/.stages/lock', os.O_CREAT | os.O_RDWR)
  held = subprocess.run(['flock', '-n', str(lock)], pass_fds=[lock], check=True)
  assert held.returncode == 0
  done = _bash(clone, 'launch/demo.sh', 'film')
  os.close(lock)
  assert done.returncode == 2
  assert 'another demo is at work' in done.stderr
