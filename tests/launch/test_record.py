"""The programs that record and tokenize say in one line what is wrong."""

import subprocess
import sys

import pytest


def _run(*arguments):
  return subprocess.run(
    [sys.executable, '-m', *arguments], capture_output=True, text=True
  )


def test_record_then_tokenize(tmp_path):
  out, model = tmp_path / 'film', tmp_path / 'words.model'
  record = ('launch.record', f'--out={out}', '--minutes=0.1', '--maps=duel')
  done = _run(*record)
  assert done.returncode == 0, done.stderr
  assert '2 takes, 256 frames' in done.stdout
  assert 'already recorded' in _run(*record).stdout
  tokenize = ('launch.tokenize', f'--records={out}', f'--out={model}')
  done = _run(*tokenize)
  assert done.returncode == 0, done.stderr
  assert 'already learned' in _run(*tokenize).stdout


@pytest.mark.parametrize(
  ('flag', 'named'),
  [
    ('--source=quake', "source 'quake' is unknown; choose from vizdoom"),
    ('--size=7x7', "size '7x7' is unknown"),
    ('--colour=red', 'colour'),
  ],
)
def test_a_bad_flag_ends_in_one_line(tmp_path, flag, named):
  done = _run('launch.record', f'--out={tmp_path / "film"}', flag)
  assert done.returncode == 2
  errors = [line for line in done.stderr.splitlines() if 'error: ' in line]
  assert len(errors) == 1 and named in errors[0]
  assert not (tmp_path / 'film').exists()
