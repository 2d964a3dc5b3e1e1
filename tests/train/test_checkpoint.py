"""A checkpoint is kept, comes back as it was, and is of the run it is for."""

import re
import resource
import signal

import jax
import numpy as np
import pytest

from tests.train import small_state
from tv2tv_jax import sharding
from tv2tv_jax.train import bundle
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import feed as feed_lib


def _save(workdir, steps, rows=64, **policy):
  policy = {'every': 1, 'keep': 2, **policy}
  held = []
  with checkpoint.Checkpoints(workdir, **policy) as checkpoints:
    for step in steps:
      state, feed = small_state.state(step, rows), small_state.feed(step)
      held.append(checkpoints.save(state, feed, step=step))
  return held


def _restore(workdir, abstract=None, feed=None, **policy):
  policy = {'every': 1, 'keep': 2, **policy}
  with checkpoint.Checkpoints(workdir, **policy) as checkpoints:
    return checkpoints.restore(
      abstract or small_state.abstract(), feed or small_state.feed()
    )


def _init(rows=64):
  return lambda key: small_state.Model(0, rows)


def test_nothing_is_restored_where_nothing_is(tmp_path):
  assert not checkpoint.begun(tmp_path) and checkpoint.finished(tmp_path) == []
  assert _restore(tmp_path) is None
  with pytest.raises(checkpoint.NoCheckpointError, match='train first'):
    checkpoint.restore_model(tmp_path, _init())


@pytest.mark.parametrize('shape', [(1, 8, 1), (2, 2, 2), (8, 1, 1)])
def test_state_and_data_come_back_on_any_mesh(tmp_path, shape):
  with jax.set_mesh(sharding.make_mesh((2, 2, 2))):
    _save(tmp_path, [1, 2])
  assert checkpoint.begun(tmp_path)
  feed = small_state.feed()
  with jax.set_mesh(sharding.make_mesh(shape)):
    state = _restore(tmp_path, feed=feed)
    like = small_state.abstract()
  small_state.check_equal(state, small_state.state(2))
  assert feed.saved() == small_state.feed(2).saved()
  for leaf, wanted in zip(
    jax.tree.leaves(state), jax.tree.leaves(like), strict=True
  ):
    assert leaf.sharding.is_equivalent_to(wanted.sharding, leaf.ndim)


def test_what_is_saved_may_be_given_up(tmp_path):
  """As the step does, which reuses the memory while it is still written."""
  spoil = jax.jit(
    lambda state: jax.tree.map(lambda leaf: leaf * 0, state), donate_argnums=0
  )
  state = small_state.state(1, rows=1 << 14)
  with checkpoint.Checkpoints(tmp_path, every=1, keep=1) as checkpoints:
    checkpoints.save(state, small_state.feed(), step=1)
    jax.block_until_ready(spoil(state))
  restored = _restore(tmp_path, small_state.abstract(1 << 14))
  small_state.check_equal(restored, small_state.state(1, 1 << 14))


def test_saved_when_due_and_at_the_end_once(tmp_path):
  with checkpoint.Checkpoints(tmp_path, every=4, keep=9) as checkpoints:
    for step in range(1, 10):
      state, feed = small_state.state(step), small_state.feed(step)
      seconds = checkpoints.save(state, feed, step=step)
      assert (seconds > 0) == (step % 4 == 0)
    assert checkpoints.save(state, feed, step=9, last=True) > 0
    assert checkpoint.finished(tmp_path) == [4, 8, 9]  # It has waited.
    checkpoints.save(state, feed, step=9, last=True)
  assert checkpoint.finished(tmp_path) == [4, 8, 9]


def test_the_newest_stay_and_some_for_ever(tmp_path):
  _save(tmp_path, range(1, 8), keep=2, keep_every=3)
  assert checkpoint.finished(tmp_path) == [3, 6, 7]


def test_how_long_restoring_took_is_told(tmp_path):
  _save(tmp_path, [1])
  with checkpoint.Checkpoints(tmp_path, every=1, keep=2) as checkpoints:
    assert checkpoints.restore_seconds == 0
    checkpoints.restore(small_state.abstract(), small_state.feed())
    assert checkpoints.restore_seconds > 0


def test_one_model_of_a_checkpoint_is_restored_alone(tmp_path, monkeypatch):
  _save(tmp_path, [1, 2])
  read = []

  def noted(folder, wanted, contents):
    read.append(list(wanted))
    return bundle_read(folder, wanted, contents)

  bundle_read = bundle.read
  monkeypatch.setattr(bundle, 'read', noted)
  for part, step in (('ema', 2), ('model', 2), ('ema', 1)):
    only = None if step == 2 else step
    model = checkpoint.restore_model(tmp_path, _init(), part=part, step=only)
    small_state.check_equal(model, getattr(small_state.state(step), part))
  assert read == [['ema'], ['model'], ['ema']]
  with pytest.raises(checkpoint.NoCheckpointError, match='of step 3 there'):
    checkpoint.restore_model(tmp_path, _init(), step=3)


def test_a_checkpoint_may_vanish_before_it_is_read(
  tmp_path, monkeypatch, capsys
):
  """The run beside goes on: it may also have saved another one by then."""
  _save(tmp_path, [1, 2])

  def late(folder, wanted, contents):
    monkeypatch.undo()
    _save(tmp_path, [3, 4])
    return bundle.read(folder, wanted, contents)

  monkeypatch.setattr(bundle, 'read', late)
  model = checkpoint.restore_model(tmp_path, _init())
  small_state.check_equal(model, small_state.state(4).ema)
  assert '2: not used: removed meanwhile' in capsys.readouterr().err
  monkeypatch.setattr(bundle, 'read', late)
  with pytest.raises(checkpoint.NoCheckpointError, match='removed meanwhile'):
    monkeypatch.setattr(checkpoint, 'finished', lambda _: [2])
    checkpoint.restore_model(tmp_path, _init())


def test_all_that_differs_is_named(tmp_path):
  _save(tmp_path, [1])
  with pytest.raises(ValueError) as error:
    checkpoint.restore_model(tmp_path, _init(8))
  assert str(error.value) == (
    f'{tmp_path}: its checkpoint is of another model: ema.matrix is '
    'float32[64, 32], not float32[8, 32]'
  )
  state = small_state.abstract()
  state = state._replace(
    model={'matrix': state.model.matrix, 'new': state.step},
    optimizer=(state.ema, state.ema),
    skipped=state.progress,
  )
  with pytest.raises(ValueError) as error:
    _restore(tmp_path, state)
  assert str(error.value) == (
    f'{tmp_path}: its checkpoint is of another model: missing model.new, '
    'optimizer.1.few, optimizer.1.matrix; not known model.few, optimizer.1; '
    'run.skipped is int32[], not float32[]'
  )


def test_other_data_and_other_fingerprints_are_refused_by_name(tmp_path):
  prints = {'vae': 'a', 'tokenizer': 'b'}
  _save(tmp_path, [1], fingerprints=prints)
  small_state.check_equal(
    _restore(tmp_path, fingerprints=prints), small_state.state(1)
  )
  with pytest.raises(ValueError, match="made with others: vae is 'c', was 'a'"):
    _restore(tmp_path, fingerprints=prints | {'vae': 'c'})
  with pytest.raises(ValueError, match="tokenizer is None, was 'b'; vae"):
    _restore(tmp_path)
  data = feed_lib.Data(small_state.Count(), {'seed': 1})
  with pytest.raises(ValueError, match='other data: seed is 1, was None'):
    _restore(tmp_path, feed=feed_lib.Feed(data), fingerprints=prints)


@pytest.fixture
def short_of_room():
  """No file can be larger than 256 KiB, as on a disk that is almost full."""
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
  resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, before[1]))
  yield
  resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize('last', [False, True])
def test_no_room_is_said_once_and_what_was_there_stays(tmp_path, request, last):
  rows = 1 << 12
  _save(tmp_path, [1], rows)
  request.getfixturevalue('short_of_room')
  said = re.escape(f'{tmp_path}/checkpoints: a checkpoint could not be written')
  with checkpoint.Checkpoints(tmp_path, every=1, keep=1) as checkpoints:
    state, feed = small_state.state(2, rows), small_state.feed(2)
    if not last:  # It is written in the background.
      checkpoints.save(state, feed, step=2)
    with pytest.raises(OSError, match=said) as error:
      checkpoints.save(state, feed, step=3, last=last)
  assert '\n' not in str(error.value)
  assert checkpoint.finished(tmp_path) == [1]
  restored = _restore(tmp_path, small_state.abstract(rows))
  small_state.check_equal(restored, small_state.state(1, rows))


def test_no_room_is_said_at_the_end_at_the_latest(tmp_path, short_of_room):
  with pytest.raises(OSError, match='could not be written'):
    _save(tmp_path, [1], 1 << 12)
  assert checkpoint.finished(tmp_path) == []


def test_no_folder_can_be_made(tmp_path):
  (tmp_path / 'checkpoints').write_text('in the way')
  with pytest.raises(OSError, match=re.escape(str(tmp_path / 'checkpoints'))):
    _save(tmp_path, [1])


def test_names_do_not_depend_on_how_modules_nest_them():
  names = checkpoint.named(small_state.abstract())
  assert {'step', 'model.matrix', 'ema.few', 'optimizer.0.matrix'} < set(names)
  tree = small_state.state(1)
  again = checkpoint.unnamed(checkpoint.named(tree), small_state.abstract())
  assert jax.tree.structure(again) == jax.tree.structure(tree)
  np.testing.assert_array_equal(again.ema.few[...], tree.ema.few[...])
