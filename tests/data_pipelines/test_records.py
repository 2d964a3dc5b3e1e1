"""Damage is named: the file, the record and the field."""

import shutil

import numpy as np
import pytest

from data_pipelines import decode
from data_pipelines import records


def test_a_range_is_part_of_the_whole(recording):
  take = records.Takes(recording, 'train')[0]
  whole = take.frames()
  for start, stop in ((0, 1), (1, 2), (4, 17), (7, 9), (126, 129)):
    np.testing.assert_array_equal(take.frames(start, stop), whole[start:stop])


def test_bytes_that_are_no_video_are_named(recording):
  take = records.Takes(recording, 'train')[0]
  middle = len(take.video) // 2
  cut = take.video[:middle]
  damaged = cut + bytes(200) + take.video[middle + 200 :]
  for video in (b'', b'hello', cut, damaged):
    with pytest.raises(ValueError, match='train record 0: video: '):
      take._replace(video=video).frames()
  with pytest.raises(ValueError, match='holds 129 frames'):
    decode.decode(take.video, start=120, stop=140)


@pytest.mark.parametrize('keep', [0.0, 0.3, 0.9])
def test_a_truncated_file_is_named(recording, tmp_path, keep):
  copy = tmp_path / 'copy'
  shutil.copytree(recording, copy)
  (file,) = copy.glob('*train*')
  file.write_bytes(file.read_bytes()[: int(file.stat().st_size * keep)])
  with pytest.raises(ValueError, match=r'train\.array_record') as caught:
    list(records.Takes(copy, 'train'))
  assert '\n' not in str(caught.value)


def test_a_missing_file_split_or_dataset_is_named(recording, tmp_path):
  with pytest.raises(ValueError, match='no dataset here'):
    records.Takes(tmp_path, 'train')
  with pytest.raises(ValueError, match="no split 'dev'; it has"):
    records.Takes(recording, 'dev')
  copy = tmp_path / 'copy'
  shutil.copytree(recording, copy)
  next(copy.glob('*train*')).unlink()
  with pytest.raises(ValueError, match='file is missing'):
    records.Takes(copy, 'train')


@pytest.mark.parametrize(
  ('field', 'value', 'named'),
  [
    ('controls', b'abc', 'controls has 3 bytes'),
    ('states', b'', 'states has 0 bytes'),
    ('segments', b'[', 'segments is not JSON'),
    ('control_names', b'{}', 'control_names'),
    ('prompt', b'\xff', 'prompt is not text'),
    ('frame_count', 0, 'frame_count is 0'),
    ('rate', float('nan'), 'rate is nan'),
  ],
)
def test_a_bad_field_is_named(recording, field, value, named):
  record = dict(records.open_split(recording, 'train')[0])
  record[field] = value
  with pytest.raises(ValueError, match=f'here: {named}'):
    records.parse_take(record, 'here')
  del record[field]
  with pytest.raises(ValueError, match=f'here: field {field} is missing'):
    records.parse_take(record, 'here')
