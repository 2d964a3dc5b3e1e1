"""What is written beside a video is found, and searched for whole words."""

import json

import pytest

from data_pipelines.natural import metadata


@pytest.fixture
def video(tmp_path):
  path = tmp_path / 'cup final 3.mp4'
  path.write_bytes(b'')
  return path


def test_a_video_alone_has_its_name(video):
  assert metadata.read(video) == ('', '', 'cup final 3')


def test_all_files_beside_it_are_read(video):
  video.with_suffix('.info.json').write_text(
    json.dumps(
      {
        'title': 'The goal',
        'tags': ['Soccer', 'cup'],
        'formats': ['tennis'],
        'description': None,
      }
    )
  )
  video.with_suffix('.json').write_text('{"license": "CC-BY-4.0"}')
  video.with_suffix('.txt').write_text('in the rain, für alle')
  found = metadata.read(video)
  assert found.title == 'The goal'
  assert found.license == 'CC-BY-4.0'
  for word in ('goal', 'soccer', 'CUP', 'für', 'the rain', 'final'):
    assert metadata.mentions(found.text, ['nothing', word]), word
  for word in ('tennis', 'so', 'goals', 'in.the', 'ürf'):
    assert not metadata.mentions(found.text, [word]), word


@pytest.mark.parametrize(
  ('suffix', 'data', 'named'),
  [
    (
      '.json',
      b'{"title": "\xff"}',
      r'cup final 3\.json: line 1: byte 0xff is no UTF-8',
    ),
    ('.json', b'{"title": ', r'cup final 3\.json: is not JSON'),
    ('.json', b'[' * 50_000, r'cup final 3\.json: is not JSON'),
    ('.json', b'[]', r'cup final 3\.json: is \[\], not an object'),
    ('.info.json', b'{"title": 3}', r'cup final 3\.info\.json: title is 3'),
    ('.json', b'{"license": ["CC"]}', r"license is \['CC'\], not a text"),
    ('.json', b'{"license": "\\ud800"}', r"license is '\\ud800', not a text"),
    ('.txt', b'\xc3', r'cup final 3\.txt: line 1: byte 0xc3 is no UTF-8'),
  ],
)
def test_a_damaged_file_is_named(suffix, data, named, video):
  video.with_suffix(suffix).write_bytes(data)
  with pytest.raises(ValueError, match=named):
    metadata.read(video)
