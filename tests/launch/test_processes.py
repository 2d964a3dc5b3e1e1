"""Two processes are one run: they agree, and they end together."""

import os
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from launch.hosts import bond
from tests import ports
from tests.launch import small_run
from tv2tv_jax import sharding
from tv2tv_jax.train import metrics as metrics_lib


def _process(number, port, workdir, *flags, processes=2):
  """One of the processes of a small run, with two devices."""
  command = [sys.executable, '-m', 'tests.launch.small_run']
  command += [f'--workdir={workdir}', f'--coordinator=localhost:{port}']
  command += [f'--processes={processes}', f'--process={number}', *flags]
  return subprocess.Popen(
    command,
    env={
      **os.environ,
      'DEVICES': '2',
    },
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )


def _ended(processes):
  """Exit statuses and errors, once all of them have ended."""
  try:
    errors = [process.communicate(timeout=400)[1] for process in processes]
  finally:
    for process in processes:
      process.kill()  # None is left behind.
  return [process.returncode for process in processes], errors


def _pair(workdir, *flags):
  """Exit statuses and errors of a small run of two processes."""
  port = ports.free()
  return _ended([_process(i, port, workdir, *flags) for i in (0, 1)])


def _lines(errors):
  """The one line of each process that says what ended it."""
  found = []
  for error in errors:
    (line,) = (x for x in error.splitlines() if x.startswith('error: '))
    found.append(line)
  return found


def _alone(workdir, shape, **options):
  """The run of one process with four devices."""
  mesh = sharding.make_mesh(shape, devices=jax.devices()[:4])
  with jax.set_mesh(mesh):
    return small_run.train(workdir, **options)


def _losses(workdir):
  records = metrics_lib.read(workdir / 'metrics.jsonl')
  return {r['step']: r['loss'] for r in records if 'loss' in r}


def _rows(*files):
  """The rows of each batch, from the shares of one process or several."""
  shares = [file.read_text().splitlines() for file in files]
  return [' '.join(parts) for parts in zip(*shares, strict=False)]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_process_ends_the_other_and_the_run_goes_on_alone(
  tmp_path,
):
  """On mesh (1, 4, 1), whose parameters cross processes."""
  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  port = ports.free()
  flags = ('--model=tv2tv', '--steps=6', '--mishap=kill', '--at=4')
  processes = [_process(i, port, parts, *flags) for i in (0, 1)]
  (killed,), _ = _ended(processes[1:])
  since = time.monotonic()
  (status,), errors = _ended(processes[:1])
  assert (status, killed) == (bond.LOST, -9), errors
  assert time.monotonic() - since < 30
  (line,) = _lines(errors)
  assert line.startswith('error: process 1 of 2 (')
  assert line.endswith('has died: its log says why')
  before = _losses(parts)
  _alone(whole, (1, 4, 1), model='tv2tv', steps=6)
  together = _rows(parts / 'rows-0.txt', parts / 'rows-1.txt')
  _alone(parts, (1, 4, 1), model='tv2tv', steps=6)
  expected = _losses(whole)
  assert len(before) >= 2 and len(expected) == 6
  for step, loss in before.items():
    np.testing.assert_allclose(loss, expected[step], rtol=1e-6)
  after = _losses(parts)
  assert after.keys() == expected.keys()
  for step, loss in after.items():
    np.testing.assert_allclose(loss, expected[step], rtol=1e-6)
  assert len(together) >= 4
  assert together == _rows(whole / 'rows-0.txt')[: len(together)]
  # Alone, it read whole batches.
  rows = _rows(parts / 'rows-0.txt')
  alone = [row for row in rows if len(row.split()) == small_run.BATCH]
  assert alone == _rows(whole / 'rows-0.txt')[-len(alone) :]
  assert 2 <= len(alone) <= 4


def test_two_processes_go_on_where_one_stopped(tmp_path):
  """On mesh (2, 1, 2), whose rows cross processes."""
  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  state = _alone(whole, (2, 1, 2), model='plain', steps=4)
  with pytest.raises(ValueError, match='the stories of this host are gone'):
    _alone(parts, (2, 1, 2), model='plain', steps=4, mishap='raise', at=2)
  statuses, errors = _pair(parts, '--mesh=2,1,2', '--steps=4')
  assert statuses == [0, 0], errors
  expected, found = _losses(whole), _losses(parts)
  assert found.keys() == expected.keys()
  for step, loss in found.items():
    np.testing.assert_allclose(loss, expected[step], rtol=1e-6)
  again = _alone(parts, (2, 1, 2), model='plain', steps=4)
  assert int(again.step) == 4
  for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(again), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_an_error_of_one_process_is_the_line_of_all(tmp_path):
  flags = ('--steps=6', '--mishap=raise', '--at=2')
  for victim in (0, 1):
    statuses, errors = _pair(
      tmp_path / str(victim), *flags, f'--victim={victim}'
    )
    assert statuses == [2, 2], errors
    line, other = _lines(errors)
    assert line == other
    assert line.startswith(f'error: process {victim} of 2 (')
    assert line.endswith(': the stories of this host are gone')


def test_a_mesh_that_does_not_fit_is_the_line_of_all(tmp_path):
  statuses, errors = _pair(tmp_path, '--mesh=3')
  assert statuses == [2, 2], errors
  line, other = _lines(errors)
  assert line == other
  assert 'mesh (3,) does not cover 4 devices' in line


def test_who_is_missing_is_said(tmp_path):
  """By process 0, to those who came; and by those who do not find it."""
  port, silent = ports.free(), ports.free()
  wait = '--coordinator_timeout=4'
  processes = [
    _process(0, port, tmp_path, wait, processes=3),
    _process(1, port, tmp_path, wait, processes=3),
    _process(1, silent, tmp_path, wait),
  ]
  statuses, errors = _ended(processes)
  assert statuses == [bond.LOST] * 3, errors
  line, other, lost = _lines(errors)
  assert line == other
  assert line == (
    f'error: 2 of 3 processes came to localhost:{port} within 4 s; missing: 2'
  )
  assert lost.startswith(
    f'error: process 1 does not reach process 0 at localhost:{silent} within '
    '4 s'
  )


_SILENT = """
import os, signal, sys
from launch.hosts import meeting
number = int(sys.argv[2])
place = meeting.Place(f'localhost:{sys.argv[1]}', 2, number)
meeting.meet(place, {}, wait=60.0, silence=2.0)
if number:
  os.kill(os.getpid(), signal.SIGSTOP)
signal.pause()
"""


def test_a_process_that_stands_still_ends_the_others():
  port = str(ports.free())
  processes = [
    subprocess.Popen(
      [sys.executable, '-c', _SILENT, port, number],
      stderr=subprocess.PIPE,
      text=True,
    )
    for number in ('0', '1')
  ]
  try:
    statuses, errors = _ended(processes[:1])
  finally:
    processes[1].kill()
    processes[1].communicate()
  assert statuses == [bond.LOST], errors
  (line,) = _lines(errors)
  assert line.startswith('error: process 1 of 2 (')
  assert 'has said nothing for 2 s' in line
