"""Counter-Strike's files become takes: each frame beside what made it."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from data_pipelines import records
from data_pipelines.prepare import record
from data_pipelines.prepare import words
from data_pipelines.sources import csgo
from data_pipelines.sources import csgo_words
from tests.data_pipelines import csgo_files

FRAMES = csgo_files.random_frames(0, 40)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Two files of 40 frames, one of them in a folder of its own."""
  folder = tmp_path_factory.mktemp('csgo')
  csgo_files.write(folder / 'hdf5_dm_july2021_1.hdf5', FRAMES)
  csgo_files.write(folder / 'b' / 'hdf5_dm_nuke_expert_2.hdf5', FRAMES)
  return folder


def _films(folder, unit=0, **settings):
  """The takes of 17 frames of a file."""
  corpus = csgo.Csgo(input=str(folder), **{'seconds': 1.0, **settings})
  return list(corpus.takes(corpus.units()[unit]))


def test_a_frame_shows_what_its_row_of_controls_did(folder):
  films = _films(folder, unit=1)
  assert [len(film.frames) for film in films] == [17, 17, 8]
  for index, film in enumerate(films):
    first, count = 16 * index, len(film.frames)
    assert film.start == first / 16 and film.rate == 16
    np.testing.assert_array_equal(
      film.frames, FRAMES.x[first : first + count, :, :, ::-1]
    )
    assert (film.frames[:, 100, 0, 0] == np.arange(first, first + count)).all()
    np.testing.assert_array_equal(
      film.controls[1:], FRAMES.y[first : first + count - 1]
    )
    assert film.controls.dtype == np.uint8 and not film.controls[0].any()
    np.testing.assert_array_equal(
      film.states[1:, 3:], FRAMES.helperarr[first : first + count - 1]
    )
    assert not film.states[0, 3:].any()
    assert (film.states[not index :, :3] == (87, 29, 1)).all()
  assert np.isnan(films[0].states[0, :3]).all()


def test_a_take_tells_where_it_is_from(folder):
  film = _films(folder, unit=0)[2]
  assert film.name == 'csgo-b/hdf5_dm_nuke_expert_2-002'
  assert film.origin == 'b/hdf5_dm_nuke_expert_2.hdf5'
  assert film.segments[0] == {
    'start': 0.0,
    'end': 0.5,
    'kind': 'prompt',
    'text': 'counter-strike deathmatch nuke',
  }
  assert film.details == {
    'mode': 'deathmatch',
    'map': 'nuke',
    'player': 'expert',
  }
  assert film.license == csgo.LICENSE and not film.ended


def test_a_file_of_another_name_has_no_map(folder, tmp_path):
  shutil.copy(folder / 'hdf5_dm_july2021_1.hdf5', tmp_path / 'mine_1.hdf5')
  film = _films(tmp_path, license='mine')[0]
  assert film.segments[0]['text'] == 'counter-strike deathmatch'
  assert film.license == 'mine'


@pytest.mark.parametrize('rate', [16, 8, 4])
def test_words_of_a_take_give_its_controls_back(folder, rate):
  step = 16 // rate
  for film in _films(folder, rate=rate, grid='frame'):
    again = csgo_words.actions(film.segments, len(film.frames), rate)
    np.testing.assert_array_equal(again, film.controls)
  for film in _films(folder, rate=rate):
    first, count = round(film.start * 16), (len(film.frames) - 1) // 4
    moves = csgo_words.moves_of(FRAMES.y[first:][: 4 * step * count])
    wanted = csgo_words.merged(moves, 4 * step)
    again = csgo_words.moves_in(film.segments, count, rate / 4)
    np.testing.assert_array_equal(again.keys, wanted.keys)
    np.testing.assert_array_equal(again.mouse, wanted.mouse)


def test_a_lower_rate_leaves_frames_out_but_no_motion(folder):
  film = _films(folder, rate=8.0)[1]
  assert (film.frames[:, 100, 0, 0] == np.arange(16, 33, 2)).all()
  assert film.rate == 8.0 and film.segments[0]['end'] == 9 / 8
  moves = csgo_words.moves_of(FRAMES.y)
  for row in range(1, 9):
    pair = slice(14 + 2 * row, 16 + 2 * row)
    wanted = csgo_words.actions_of(
      csgo_words.Moves(
        moves.keys[pair].max(0)[None], moves.mouse[pair].sum(0)[None]
      )
    )
    np.testing.assert_array_equal(film.controls[row], wanted[0])
    events = FRAMES.helperarr[pair].max(0)
    np.testing.assert_array_equal(film.states[row, 3:], events)


def test_a_size_shows_the_middle_in_red_green_blue(folder):
  film = _films(folder, size='75x75')[1]
  assert film.frames.shape == (17, 75, 75, 3)
  np.testing.assert_array_equal(film.frames[3, 10, 40], (19, 0, 200))
  np.testing.assert_array_equal(film.frames[3, 65, 40], (19, 0, 0))


def test_files_are_units_and_some_are_held_out(folder):
  corpus = csgo.Csgo(input=str(folder))
  names = ['b/hdf5_dm_nuke_expert_2.hdf5', 'hdf5_dm_july2021_1.hdf5']
  assert [unit.name for unit in corpus.units()] == names
  assert sum(unit.test for unit in corpus.units()) == 1
  none = dataclasses.replace(corpus, test_share=0.0)
  assert not any(unit.test for unit in none.units())


def test_one_file_is_a_corpus(folder):
  path = folder / 'hdf5_dm_july2021_1.hdf5'
  one = csgo.Csgo(input=str(path), test_share=0.0)
  (unit,) = one.units()
  whole = csgo.Csgo(input=str(folder))
  again = next(u for u in whole.units() if u.name == unit.name)
  for film, other in zip(one.takes(unit), whole.takes(again), strict=True):
    assert (film.name, film.origin) == (other.name, other.origin)
    np.testing.assert_array_equal(film.frames, other.frames)


def test_the_recipe_knows_files_but_not_where_they_are(folder, tmp_path):
  recipe = csgo.Csgo(input=str(folder)).recipe()
  shutil.copytree(folder, tmp_path / 'copy')
  moved = csgo.Csgo(input=str(tmp_path / 'copy'))
  assert json.loads(json.dumps(moved.recipe())) == recipe
  with (tmp_path / 'copy' / 'hdf5_dm_july2021_1.hdf5').open('ab') as file:
    file.write(b'more')
  assert moved.recipe() != recipe


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    *(('rate', value) for value in (5.0, 32.0, -16.0, float('nan'))),
    *(('seconds', value) for value in (0.2, 17.0, float('nan'))),
    *(('size', value) for value in ('128', '0x128', '128x128x3')),
    *(('test_share', value) for value in (-0.1, 1.0)),
    ('grid', 'second'),
    ('input', 'nowhere'),
  ],
)
def test_a_setting_out_of_range_is_named(folder, field, value):
  corpus = csgo.Csgo(**{'input': str(folder), field: value})
  with pytest.raises(ValueError, match=rf'^{field} is .?{value}'):
    corpus.units()


def test_a_recording_tells_each_chunk_what_happens_in_it(folder, tmp_path):
  corpus = csgo.Csgo(input=str(folder), seconds=1.0, size='64x36')
  record.record(corpus, tmp_path / 'out', processes=1)
  takes = [
    take
    for split in records.SPLITS
    for take in records.Takes(tmp_path / 'out', split)
  ]
  assert sorted(take.frame_count for take in takes) == [5, 5, 17, 17, 17, 17]
  for take in takes:
    first, chunks = round(take.start * 16), (take.frame_count - 1) // 4
    moves = csgo_words.moves_of(FRAMES.y[first:][: 4 * chunks])
    told = csgo_words.merged(moves, 4)
    texts = [
      words.Segment(start=i, end=i + 1, kind='control', text=text)
      for i, text in enumerate(take.words(0, chunks)[1:])
    ]
    again = csgo_words.moves_in(texts, chunks, 1.0)
    np.testing.assert_array_equal(again.keys, told.keys)
    np.testing.assert_array_equal(again.mouse, told.mouse)
    np.testing.assert_array_equal(
      take.controls[1:], FRAMES.y[first:][: 4 * chunks]
    )
    assert take.control_names == csgo_words.NAMES


@pytest.mark.parametrize('count', [1, 4])
def test_a_file_shorter_than_a_chunk_is_dropped(tmp_path, folder, count):
  csgo_files.write(tmp_path / 'in' / 'a.hdf5', csgo_files.random_frames(1, 9))
  short = csgo_files.Frames(*(each[:count] for each in FRAMES))
  csgo_files.write(tmp_path / 'in' / 'b.hdf5', short)
  corpus = csgo.Csgo(input=str(tmp_path / 'in'), test_share=0.0, size='32x18')
  report = record.record(corpus, tmp_path / 'out', processes=1)
  assert report.takes == 1 and report.dropped == {'short': 1}
