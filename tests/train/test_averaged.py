"""The averaged weights of a checkpoint, alone, are what they were."""

import json

import jax
import numpy as np
import pytest

from tests.train import small_state
from tv2tv_jax import sharding
from tv2tv_jax.train import averaged
from tv2tv_jax.train import checkpoint


def _init(key):
  del key
  return small_state.Model(0)


@pytest.fixture
def workdir(tmp_path):
  """With two checkpoints."""
  with checkpoint.Checkpoints(
    tmp_path / 'run', every=1, keep=2, fingerprints={'vae': 'some'}
  ) as checkpoints:
    for step in (1, 2):
      state, feed = small_state.state(step), small_state.feed(step)
      checkpoints.save(state, feed, step=step)
  return tmp_path / 'run'


def _contents(workdir, step):
  path = workdir / f'checkpoints/{step}/contents/data.json'
  return json.loads(path.read_text())


def test_they_are_the_same_numbers_and_digests_elsewhere(workdir, tmp_path):
  averaged.write(workdir, 1, tmp_path / 'made')
  place = (tmp_path / 'made').rename(tmp_path / 'moved')
  assert checkpoint.finished(place) == [1]
  model = checkpoint.restore_model(place, _init)
  small_state.check_equal(model, small_state.state(1).ema)
  whole, alone = _contents(workdir, 1), _contents(place, 1)
  assert alone['fingerprints'] == {'vae': 'some'} and alone['data'] == {}
  assert alone['arrays'] == {
    name: array
    for name, array in whole['arrays'].items()
    if name.startswith('ema.')
  }


def test_nothing_says_where_they_were_made(workdir, tmp_path):
  averaged.write(workdir, 2, tmp_path / 'made')
  files = [path for path in (tmp_path / 'made').rglob('*') if path.is_file()]
  assert files
  for path in files:
    assert str(tmp_path).encode() not in path.read_bytes(), path


def test_no_run_goes_on_from_them(workdir, tmp_path):
  averaged.write(workdir, 2, tmp_path / 'made')
  with (
    checkpoint.Checkpoints(
      tmp_path / 'made', every=1, keep=2, fingerprints={'vae': 'some'}
    ) as checkpoints,
    pytest.raises(ValueError, match=r'missing model[.]few, model[.]matrix'),
  ):
    checkpoints.restore(small_state.abstract(), small_state.feed())


def test_a_damaged_checkpoint_is_named(workdir, tmp_path):
  (held,) = (
    path
    for path in (workdir / 'checkpoints/2/ema').rglob('*/d/*')
    if path.stat().st_size > 4096
  )
  numbers = np.fromfile(held, np.uint8)
  numbers[len(numbers) // 2] ^= 1
  numbers.tofile(held)
  with pytest.raises(checkpoint.NoCheckpointError, match='checkpoints/2: not'):
    averaged.write(workdir, 2, tmp_path / 'made')
  assert not (tmp_path / 'made').exists()


def test_any_mesh_reads_them(workdir, tmp_path):
  averaged.write(workdir, 2, tmp_path / 'made')
  with jax.set_mesh(sharding.make_mesh((2, 2, 2))):
    model = checkpoint.restore_model(tmp_path / 'made', _init)
  assert len(model.matrix[...].devices()) == 8
  small_state.check_equal(model, small_state.state(2).ema)
