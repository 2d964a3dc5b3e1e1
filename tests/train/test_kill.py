"""A run that is killed, whatever it is doing, is the run that was not."""

import collections
import itertools
import json
import random
import signal

import numpy as np
import pytest

from tests.train import victim
from tv2tv_jax.train import metrics as metrics_lib

_MESHES = ((1, 8, 1), (2, 2, 2), (8, 1, 1))
# Numbers of the machine.
_OTHERS = {'seconds', 'pace', 'session'}


@pytest.fixture(scope='module')
def whole(processes, tmp_path_factory):
  """What the run is without interruption: its folder."""
  folder = tmp_path_factory.mktemp('whole')
  assert _end_of(processes, folder, 0, _MESHES[0]) == 0
  return folder


def _end_of(processes, folder, session, mesh, moment=None):
  """The exit code of a session of the run in a folder."""
  process = processes.Process(
    target=victim.run,
    args=(folder / 'run', folder / f'{session}.log', mesh, moment),
  )
  process.start()
  process.join()
  return process.exitcode


def _moments(seed, counts):
  """Random moments, so many of each phase, in an order that all are reached.

  The first of each comes at once: then it is surely that phase.
  """
  rng = random.Random(seed)
  longest = dict(
    start=0.3, restore=0.05, step=0.01, save=0.05, background=0.05, end=0.05
  )
  deepest = dict(step=5)
  found = {
    phase: [
      victim.Moment(
        phase,
        rng.randint(0, deepest.get(phase, 0)),
        rng.uniform(0, longest[phase]) if i else 0.0,
      )
      for i in range(count)
    ]
    for phase, count in counts.items()
  }
  # Once a checkpoint is whole, each process begins with a restore.
  first = [found['start'].pop(0), victim.Moment('background', 1, 0.0)]
  last = found.pop('end')
  between = list(itertools.chain(*found.values()))
  rng.shuffle(between)
  return first + between + last


def _log(folder, session):
  path = folder / f'{session}.log'
  return [json.loads(line) for line in path.read_text().splitlines()]


def _batches(log):
  return [line['batch'] for line in log if 'batch' in line]


def _killed_at(processes, folder, moments, meshes):
  """In which phases the sessions of a run died; then it is run to its end."""
  died = collections.Counter()
  for session, moment in enumerate(moments):
    mesh = meshes[session % len(meshes)]
    code = _end_of(processes, folder, session, mesh, moment)
    assert code == -signal.SIGKILL, f'{moment} did not come'
    phase = _log(folder, session)[-1]['phase']
    writing = list(folder.glob('run/checkpoints/*.orbax-checkpoint-tmp'))
    died['written' if phase == 'background' and not writing else phase] += 1
  assert _end_of(processes, folder, len(moments), meshes[0]) == 0
  return died


def _check_batches(folder, whole, sessions):
  """Each session goes on with the batch after its checkpoint."""
  order = _batches(_log(whole, 0))
  for session in range(sessions):
    log = _log(folder, session)
    begin = next((line['step'] for line in log if 'step' in line), 0)
    given = _batches(log)
    assert given == order[begin : begin + len(given)]


def _numbers(folder):
  """The metrics of a run that are not of the machine, by step."""
  records = metrics_lib.read(folder / 'run' / 'metrics.jsonl')
  found = [
    {k: v for k, v in record.items() if k.partition('/')[0] not in _OTHERS}
    for record in records
  ]
  return [record for record in found if 'loss' in record]


def _state(folder, session):
  with np.load(folder / f'{session}.npz') as numbers:
    return dict(numbers)


@pytest.mark.slow
def test_killed_at_20_moments_equals_uninterrupted(processes, whole, tmp_path):
  counts = dict(start=3, restore=4, step=5, save=3, background=3, end=1)
  moments = _moments(6, counts)
  assert len(moments) == 20
  died = _killed_at(processes, tmp_path, moments, _MESHES[:1])
  assert died.keys() >= set(victim.PHASES), died
  _check_batches(tmp_path, whole, len(moments) + 1)
  assert _numbers(tmp_path) == _numbers(whole)
  assert [r['step'] for r in _numbers(whole)] == list(range(1, 61))
  expected, found = _state(whole, 0), _state(tmp_path, len(moments))
  assert expected.keys() == found.keys()
  assert any(name.startswith('optimizer') for name in expected)
  for name, value in expected.items():
    np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.slow
def test_killed_and_resumed_on_other_meshes_agrees(processes, whole, tmp_path):
  counts = dict(start=1, restore=1, step=3, save=1, background=2, end=1)
  moments = _moments(7, counts)
  _killed_at(processes, tmp_path, moments, _MESHES[1:] + _MESHES[:1])
  _check_batches(tmp_path, whole, len(moments) + 1)
  for one, other in zip(_numbers(tmp_path), _numbers(whole), strict=True):
    assert one == pytest.approx(other, rel=1e-5)
  found = _state(tmp_path, len(moments))
  for name, value in _state(whole, 0).items():
    error = np.max(np.abs(found[name] - value))
    assert error <= 1e-5 * np.max(np.abs(value)), name
