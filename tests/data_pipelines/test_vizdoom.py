"""A game is what it says, whoever films it."""

import json
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipelines import records
from data_pipelines.prepare import dataset
from data_pipelines.prepare import record
from data_pipelines.sources import vizdoom
from tests.data_pipelines import conftest


def test_takes_are_whole(recording):
  takes = [t for s in records.SPLITS for t in records.Takes(recording, s)]
  maps = {take.details['map'] for take in takes}
  assert maps == {'deathmatch', 'duel', 'hall'}
  assert len({take.take for take in takes}) == len(takes) == 5
  for take in takes:
    frames = take.frames()
    assert frames.shape == (take.frame_count, 48, 64, 3)
    assert frames.dtype == np.uint8
    assert (take.frame_count - 1) % 4 == 0
    assert not take.controls[0].any()
    chunks = take.controls[1:].reshape(-1, 4, take.controls.shape[1])
    assert (chunks == chunks[:, :1]).all(), 'controls change inside a chunk'
    assert take.prompt == f'doom {take.details["map"]}'
    assert frames.std() > 10, 'a dull picture'


def test_every_map_is_played_by_every_player(tmp_path):
  source = vizdoom.Vizdoom(
    minutes=1.5,
    size='32x24',
    maps=('e2m1', 'map12'),
    players=('runner', 'dodger'),
  )
  units = source.units()
  films = [next(source.takes(unit)) for unit in units[:4]]
  seen = [(film.details['map'], film.details['player']) for film in films]
  assert seen == [
    ('e2m1', 'runner'),
    ('map12', 'runner'),
    ('e2m1', 'dodger'),
    ('map12', 'dodger'),
  ]
  assert [film.segments[0]['text'] for film in films[:2]] == [
    'doom e2m1',
    'doom map12',
  ]


def test_takes_of_an_episode_go_on(recording):
  first, second = list(records.Takes(recording, 'train'))[:2]
  assert (first.origin, first.ended) == (second.origin, False)
  assert second.start == pytest.approx(first.start + 128 / 17.5)
  assert second.ended
  np.testing.assert_array_equal(first.states[-1], second.states[0])


def test_splits_share_no_episode(recording):
  games = {
    split: {take.origin for take in records.Takes(recording, split)}
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


def test_a_game_is_the_same_in_another_process(recording, tmp_path):
  out = tmp_path / 'again'
  record.record(conftest.SOURCE, out, processes=2)
  for file in recording.iterdir():
    assert file.read_bytes() == (out / file.name).read_bytes(), file.name


def test_a_finished_recording_is_left_alone(recording):
  report = record.record(conftest.SOURCE, recording)
  assert 'already recorded' in report.text()
  other = vizdoom.Vizdoom(minutes=0.6, seed=8)
  with pytest.raises(ValueError, match='seed = 7, not 8'):
    record.record(other, recording)


@pytest.mark.parametrize(
  ('change', 'named'),
  [
    ({'size': '65x48'}, "'65x48' is unknown; choose from .*64x48"),
    ({'maps': ('moon',)}, "'moon' is unknown; choose from deathmatch"),
    ({'maps': ('e5m1',)}, "'e5m1' is unknown; .* e1m1 to e4m9 and map01 to"),
    ({'players': ('me',)}, "player 'me' is unknown; choose from scout"),
    ({'players': ()}, 'one at least'),
    ({'maps': ('duel', 'duel')}, 'once'),
    ({'maps': ()}, 'one at least'),
    ({'minutes': 0.0}, 'minutes is 0.0'),
    ({'seed': -1}, 'seed is -1'),
  ],
)
def test_a_bad_setting_is_named(change, named, tmp_path):
  with pytest.raises(ValueError, match=named):
    record.record(vizdoom.Vizdoom(**change), tmp_path / 'out')
  assert not list(tmp_path.iterdir())


def test_the_recipe_is_beside_the_data(recording):
  recipe = json.loads((recording / dataset.RECIPE).read_text())
  assert recipe['source'] == 'vizdoom'
  assert recipe['seed'] == 7 and recipe['maps'][0] == 'deathmatch'


def test_who_jumps_leaves_the_ground():
  source = vizdoom.Vizdoom(size='32x24', players=('hopper',), minutes=0.5)
  held, height = [], []
  for film in source.takes(source.units()[0]):
    held.append(film.controls[1:, film.control_names.index('jump')] > 0)
    z = film.states[:, film.state_names.index('z')]
    height.append(np.diff(z))
  held, height = np.concatenate(held), np.concatenate(height)
  begins = held & ~np.concatenate([[False], held[:-1]])
  assert begins.sum() > 3
  assert (height[begins] > 5).mean() > 0.95, 'it jumps when it is told to'
  assert (height[~held] < 5).mean() > 0.95, 'and only then'
  changes = np.flatnonzero(np.diff(held)) + 1
  lengths = np.diff(changes)[0 if begins[changes[0]] else 1 :: 2]
  assert set(lengths) == {8}, 'and holds the key while it is in the air'
