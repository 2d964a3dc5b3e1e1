"""A run that is told to stop loses nothing, and says so by its exit status."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests import ports
from tests.train import stoppable
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import metrics as metrics_lib
from tv2tv_jax.train import watchdog

_STEPS = 20


def _started(workdir, *arguments, devices=2):
  """The run in a process of its own."""
  return subprocess.Popen(
    [sys.executable, '-m', stoppable.__name__, f'--workdir={workdir}']
    + [f'--steps={_STEPS}', *arguments],
    env={**os.environ, 'DEVICES': str(devices)},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _reach(process, batch):
  """Waits until the run asks for a batch."""
  for line in process.stdout:
    if line == f'batch {batch}\n':
      return
  raise AssertionError(process.stderr.read())


def _ended(process):
  """The exit status, and what was said."""
  out, error = process.communicate(timeout=240)
  return process.returncode, out, error


def _records(workdir):
  """What the metrics say of steps, but for what is of the machine."""
  machine = ('seconds', 'pace', 'session')
  return [
    {n: v for n, v in record.items() if n.split('/')[0] not in machine}
    for record in metrics_lib.read(workdir / 'metrics.jsonl')
    if 'loss' in record
  ]


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """The folder of the run that nobody stopped."""
  workdir = tmp_path_factory.mktemp('whole')
  status, _, error = _ended(_started(workdir, '--seconds=0'))
  assert status == 0, error
  return workdir


@pytest.mark.parametrize(
  'number,status,said',
  [
    (signal.SIGTERM, 0, r'told to stop, and saved after step'),
    (signal.SIGINT, 130, 'interrupted: run the same command to go on'),
  ],
)
def test_a_stopped_run_goes_on_as_if_it_had_not(
  whole, tmp_path, number, status, said
):
  process = _started(tmp_path)
  _reach(process, 5)
  process.send_signal(number)
  ended, _, error = _ended(process)
  assert (ended, said in error) == (status, True), error
  (step,) = checkpoint.finished(tmp_path)
  assert 4 <= step < _STEPS
  assert [r['step'] for r in _records(tmp_path)] == list(range(1, step + 1))
  ended, _, error = _ended(_started(tmp_path, '--seconds=0'))
  assert ended == 0, error
  assert _records(tmp_path) == _records(whole)
  with np.load(whole / 'end.npz') as one, np.load(tmp_path / 'end.npz') as two:
    assert one.keys() == two.keys()
    for name in one:
      np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_before_its_first_step_a_run_stops_at_once(tmp_path):
  process = _started(tmp_path, '--stands_at=0')
  _reach(process, 0)
  process.send_signal(signal.SIGTERM)
  status, _, error = _ended(process)
  assert (status, 'no step was taken: run the same' in error) == (0, True)
  assert not checkpoint.finished(tmp_path)


def test_a_second_interrupt_waits_for_nothing(tmp_path):
  process = _started(tmp_path, '--stands_at=3')
  _reach(process, 3)
  process.send_signal(signal.SIGINT)
  with pytest.raises(subprocess.TimeoutExpired):
    process.wait(timeout=0.5)
  process.send_signal(signal.SIGINT)
  status, _, error = _ended(process)
  assert status == 130, error
  assert not checkpoint.finished(tmp_path)


def test_a_run_that_stands_still_says_where_and_ends(tmp_path):
  process = _started(tmp_path, '--stands_at=3', '--watchdog=2')
  status, _, error = _ended(process)
  assert status == watchdog.STATUS, error
  assert 'nothing was completed for 2 s' in error
  for said in (error, (tmp_path / 'stacks-0.txt').read_text()):
    assert 'stoppable.py' in said and '__next__' in said
    assert 'in _watch' in said  # Of all threads.


def test_all_processes_stop_after_the_same_step(whole, tmp_path):
  """Though one alone is told; run again, they go on."""
  for arguments in (('--seconds=0.1',), ('--seconds=0',)):
    port = ports.free()
    processes = [
      _started(
        tmp_path,
        *arguments,
        f'--coordinator=localhost:{port}',
        '--processes=2',
        f'--process={number}',
        devices=1,
      )
      for number in range(2)
    ]
    if not checkpoint.finished(tmp_path):
      _reach(processes[1], 5)
      processes[1].send_signal(signal.SIGTERM)
      ends = [_ended(process) for process in processes]
      assert [status for status, *_ in ends] == [0, 0], ends
      (step,) = checkpoint.finished(tmp_path)
      assert 4 <= step < _STEPS
      assert 'told to stop, and saved after step' in ends[0][2]
      continue
    for status, out, error in [_ended(process) for process in processes]:
      assert status == 0, error
      # What the leader says, all hear.
      assert 'decided 0.1\n' in out
      assert 'said the disk of the leader is full\n' in out
  for one, two in zip(_records(tmp_path), _records(whole), strict=True):
    assert one == pytest.approx(two, rel=1e-5)
