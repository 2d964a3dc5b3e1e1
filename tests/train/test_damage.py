"""Whatever happens to a file of a checkpoint, no wrong state is restored."""

import json
import random
import re
import shutil
import socket

import numpy as np
import pytest

from tests.train import pair
from tests.train import small_state
from tv2tv_jax.train import checkpoint

# What Orbax's threads still say when a read has failed.
pytestmark = pytest.mark.filterwarnings(
  'ignore::pytest.PytestUnraisableExceptionWarning', 'ignore::RuntimeWarning'
)


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  """A workdir with the checkpoints of steps 1 and 2."""
  workdir = tmp_path_factory.mktemp('saved')
  with checkpoint.Checkpoints(workdir, every=1, keep=2) as checkpoints:
    for step in (1, 2):
      state, feed = small_state.state(step), small_state.feed(step)
      checkpoints.save(state, feed, step=step)
  return workdir


@pytest.fixture
def workdir(saved, tmp_path):
  """A copy of it, to be damaged."""
  shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
  return tmp_path


def _files(workdir, step):
  folder = workdir / 'checkpoints' / str(step)
  return sorted(path for path in folder.rglob('*') if path.is_file())


def _damage(path, how, rng):
  """Damages a file that is not empty."""
  content = bytearray(path.read_bytes())
  if how == 'missing':
    path.unlink()
    return
  if how == 'cut':
    content = content[: len(content) // 2]
  if how == 'zeros':
    content = bytes(len(content))
  if how == 'flipped':
    place = rng.randrange(len(content))
    content[place] ^= 1 << rng.randrange(8)
  path.write_bytes(content)


def _largest(workdir, step, part):
  """The file with the numbers of a part."""
  files = [path for path in _files(workdir, step) if part in path.parts]
  return max(files, key=lambda path: path.stat().st_size)


def _restore(workdir, feed=None):
  with checkpoint.Checkpoints(workdir, every=1, keep=2) as checkpoints:
    return checkpoints.restore(
      small_state.abstract(), feed or small_state.feed()
    )


@pytest.mark.parametrize('how', ['missing', 'cut', 'zeros', 'flipped'])
def test_any_file_may_be_damaged(saved, tmp_path, how, capsys):
  """What is restored is the last state, or, with a word, the one before."""
  rng, passed_over = random.Random(how), set()
  abstract = small_state.abstract()
  states = {step: small_state.state(step) for step in (1, 2)}
  for number, file in enumerate(_files(saved, 2)):
    if file.stat().st_size == 0:
      continue
    workdir = tmp_path / str(number)
    shutil.copytree(saved, workdir)
    _damage(workdir / file.relative_to(saved), how, rng)
    feed = small_state.feed()
    with checkpoint.Checkpoints(workdir, every=1, keep=2) as checkpoints:
      state = checkpoints.restore(abstract, feed)
    step = int(state.step)
    small_state.check_equal(state, states[step])
    assert feed.saved() == small_state.feed(step).saved()
    folder = workdir / 'checkpoints'
    said = f'{folder / "2"}: DAMAGED, NOT USED: ' in capsys.readouterr().err
    assert said == (step == 1) == (folder / '.broken-2-0').is_dir()
    if step == 1:
      passed_over.add(file)
  needed = {_largest(saved, 2, part) for part in ('model', 'ema', 'optimizer')}
  needed |= {path for path in _files(saved, 2) if path.name == 'data.json'}
  assert len(needed) == 4 and needed <= passed_over


def test_numbers_that_no_library_checks_are_named(workdir, capsys):
  path = _largest(workdir, 2, 'ema')
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1  # Of the numbers, by their size.
  path.write_bytes(content)
  assert int(_restore(workdir).step) == 1
  assert 'NOT USED: ema.matrix: not what was saved' in capsys.readouterr().err


def test_the_step_of_a_damaged_checkpoint_is_saved_again(workdir):
  for number in range(2):
    _largest(workdir, 2, 'model').unlink()
    with checkpoint.Checkpoints(workdir, every=1, keep=2) as checkpoints:
      feed = small_state.feed()
      state = checkpoints.restore(small_state.abstract(), feed)
      assert int(state.step) == 1
      checkpoints.save(small_state.state(2), feed, step=2)
    assert checkpoint.finished(workdir) == [1, 2]
    assert (workdir / 'checkpoints' / f'.broken-2-{number}').is_dir()
  small_state.check_equal(_restore(workdir), small_state.state(2))


def test_no_whole_checkpoint_is_an_error_and_not_a_new_start(workdir):
  _largest(workdir, 1, 'model').unlink()
  _largest(workdir, 2, 'contents').unlink()
  before = sorted(workdir.rglob('*'))
  said = re.escape(f'{workdir}/checkpoints: no checkpoint there is whole: 2: ')
  for _ in range(2):  # It stays one.
    with pytest.raises(checkpoint.NoCheckpointError, match=said) as error:
      _restore(workdir)
    assert '; 1: ' in str(error.value)
  assert sorted(workdir.rglob('*')) == before


def test_another_job_reads_past_damage_and_leaves_it(workdir, capsys):
  def init(key):
    return small_state.Model(0)

  _largest(workdir, 2, 'ema').unlink()
  before = sorted(workdir.rglob('*'))
  model = checkpoint.restore_model(workdir, init)
  small_state.check_equal(model, small_state.state(1).ema)
  assert f'{workdir}/checkpoints/2: not used: ' in capsys.readouterr().err
  model = checkpoint.restore_model(workdir, init, part='model')
  small_state.check_equal(model, small_state.state(2).model)
  assert capsys.readouterr().err == ''
  with pytest.raises(checkpoint.NoCheckpointError, match='is whole: 2: '):
    checkpoint.restore_model(workdir, init, step=2)
  assert sorted(workdir.rglob('*')) == before


def test_what_is_unfinished_is_said_and_removed(workdir, capsys):
  folder = workdir / 'checkpoints'
  (folder / '2').rename(folder / '2.orbax-checkpoint-tmp')
  assert checkpoint.finished(workdir) == [1]
  checkpoint.restore_model(workdir, lambda key: small_state.Model(0))
  assert len(list(folder.iterdir())) == 2  # It may be the run's that goes on.
  assert int(_restore(workdir).step) == 1
  said = f'{folder}/2.orbax-checkpoint-tmp: AN UNFINISHED CHECKPOINT, removed'
  assert said in capsys.readouterr().err
  with checkpoint.Checkpoints(workdir, every=1, keep=2) as checkpoints:
    state = small_state.state(2)
    checkpoints.save(state, small_state.feed(2), step=2)
  assert {path.name for path in folder.iterdir()} == {'1', '2'}
  np.testing.assert_array_equal(_restore(workdir).step, 2)


def test_memory_that_is_short_is_no_damage(workdir, monkeypatch):
  def short(*_):
    raise MemoryError('short')

  monkeypatch.setattr('orbax.checkpoint.v1.load_checkpointables', short)
  with pytest.raises(MemoryError, match='short'):
    _restore(workdir)
  assert checkpoint.finished(workdir) == [1, 2]


def test_processes_agree_on_what_is_whole(processes, tmp_path):
  """Also where the file that is damaged is read by one of them alone."""
  workdir = tmp_path / 'run'

  def both(steps):
    with socket.socket() as listener:
      listener.bind(('localhost', 0))
      port = listener.getsockname()[1]
    reports = [tmp_path / f'{process}.json' for process in range(2)]
    pairs = [
      processes.Process(target=pair.run, args=(i, port, workdir, steps, report))
      for i, report in enumerate(reports)
    ]
    for process in pairs:
      process.start()
    for process in pairs:
      process.join()
    assert [process.exitcode for process in pairs] == [0, 0]
    return [json.loads(report.read_text()) for report in reports]

  assert both([1, 2]) == [{'step': None}] * 2
  path = _largest(workdir, 2, 'ocdbt.process_1')
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  assert both([2]) == [{'step': 1, 'data': 1}] * 2
  folder = workdir / 'checkpoints'
  assert {path.name for path in folder.iterdir()} == {'1', '2', '.broken-2-0'}
  state = _restore(workdir)  # By one process, on another mesh.
  small_state.check_equal(state, small_state.state(2))
