"""A recording is what it says, whoever films it and however often stopped."""

import filecmp
import json
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipelines import records
from data_pipelines.prepare import dataset
from data_pipelines.prepare import record
from tests.data_pipelines import conftest


def test_takes_are_whole(recording):
  takes = [t for s in records.SPLITS for t in records.Takes(recording, s)]
  assert {take.map for take in takes} == {'deathmatch', 'duel', 'hall'}
  assert len({take.take for take in takes}) == len(takes) == 5
  for take in takes:
    frames = take.frames()
    assert frames.shape == (take.frame_count, 48, 64, 3)
    assert frames.dtype == np.uint8
    assert (take.frame_count - 1) % 4 == 0
    assert not take.controls[0].any()
    chunks = take.controls[1:].reshape(-1, 4, take.controls.shape[1])
    assert (chunks == chunks[:, :1]).all(), 'controls change inside a chunk'
    assert take.prompt == f'doom {take.map}'
    assert frames.std() > 10, 'a dull picture'


def test_splits_share_no_episode(recording):
  games = {
    split: {take.seed for take in records.Takes(recording, split)}
    for split in records.SPLITS
  }
  assert games['train'] and games['test']
  assert not games['train'] & games['test']


def test_the_picture_turns_as_the_controls_say(recording):
  for take in records.Takes(recording, 'train'):
    names, states = take.control_names, take.state_names
    angle = np.unwrap(take.states[:, states.index('angle')], period=360)
    left = take.controls[1:, names.index('turn left')].astype(int)
    right = take.controls[1:, names.index('turn right')]
    np.testing.assert_allclose(np.diff(angle), 3.0 * (left - right), atol=0.02)


def test_tfds_reads_it_without_tensorflow(recording):
  source = tfds.builder_from_directory(recording).as_data_source('train')
  assert source[0]['video']
  assert 'tensorflow' not in sys.modules


def test_processes_and_stops_change_nothing(recording, tmp_path):
  out = tmp_path / 'again'

  def stop(done, _):
    if done == 1:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    record.record(conftest.REQUEST, out, processes=1, progress=stop)
  assert not out.exists()
  seen = []
  record.record(
    conftest.REQUEST, out, processes=2, progress=lambda *n: seen.append(n)
  )
  assert seen[0] == (1, 3), 'the finished episode was filmed again'
  assert not dataset.partial(out).exists()
  files = sorted(path.name for path in recording.glob('*record*'))
  assert files
  same, _, _ = filecmp.cmpfiles(recording, out, files, shallow=False)
  assert same == files


def test_a_finished_recording_is_left_alone(recording):
  report = record.record(conftest.REQUEST, recording)
  assert 'already recorded' in report.line()
  with pytest.raises(ValueError, match='seed = 7, not 8'):
    record.record(conftest.REQUEST._replace(seed=8), recording)


@pytest.mark.parametrize(
  ('change', 'named'),
  [
    ({'source': 'quake'}, "'quake' is unknown; choose from vizdoom"),
    ({'size': '65x48'}, "'65x48' is unknown; choose from .*64x48"),
    ({'maps': ('moon',)}, "'moon' is unknown; choose from deathmatch"),
    ({'maps': ('duel', 'duel')}, 'once'),
    ({'minutes': 0.0}, 'minutes is 0.0'),
    ({'seed': -1}, 'seed is -1'),
  ],
)
def test_a_bad_request_is_named(change, named, tmp_path):
  with pytest.raises(ValueError, match=named):
    record.record(conftest.REQUEST._replace(**change), tmp_path / 'out')
  assert not list(tmp_path.iterdir())


def test_a_foreign_directory_is_not_touched(tmp_path):
  (tmp_path / 'letter.txt').write_text('dear')
  with pytest.raises(ValueError, match='no dataset of this project'):
    record.record(conftest.REQUEST, tmp_path)


def test_a_file_that_cannot_be_written_is_an_os_error(tmp_path):
  path = tmp_path / 'none' / 'x.array_record'
  with pytest.raises(OSError, match=r'x\.array_record: cannot be written'):
    dataset.write_raw(path, [b'word'])
  with pytest.raises(OSError, match='x'):
    dataset.write_text(path, 'word')


def test_the_recipe_is_beside_the_data(recording):
  recipe = json.loads((recording / dataset.RECIPE).read_text())
  assert recipe['seed'] == 7 and recipe['maps'][0] == 'deathmatch'
