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


def test_a_file_that_is_cut_anywhere_is_named(recording, tmp_path):
  copy = tmp_path / 'copy'
  shutil.copytree(recording, copy)
  (file,) = copy.glob('*train*')
  data = file.read_bytes()
  blocks = range(0, len(data), 2**16)  # Of the format.
  anywhere = np.random.default_rng(0).integers(len(data), size=30)
  for keep in [*blocks, *(block + 1 for block in blocks), *anywhere]:
    file.write_bytes(data[:keep])
    with pytest.raises(ValueError, match=r'train\.array_record') as caught:
      list(records.Takes(copy, 'train'))
    assert '\n' not in str(caught.value)


def test_damage_anywhere_in_a_file_is_named_or_harmless(recording, tmp_path):
  copy = tmp_path / 'copy'
  shutil.copytree(recording, copy)
  (file,) = copy.glob('*train*')
  data, found = file.read_bytes(), list(records.Takes(recording, 'train'))
  rng = np.random.default_rng(0)
  for place in rng.integers(len(data), size=200):
    noise = rng.bytes(rng.integers(1, 100))
    file.write_bytes(data[:place] + noise + data[place + len(noise) :])
    try:
      read = list(records.Takes(copy, 'train'))
    except ValueError as error:
      assert str(copy) in str(error)
    else:
      assert [t.take for t in read] == [t.take for t in found]


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
    ('segments', b'[{}]', r'segments\[0\].start is None'),
    ('details', b'[]', r"details is '\[\]', not an object"),
    ('details', b'{', 'details is not JSON'),
    ('origin', b'\xff', 'origin is not text'),
    ('frame_count', 0, 'frame_count is 0'),
    ('rate', float('nan'), 'rate is nan'),
    ('rate', float('inf'), 'rate is inf'),
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


def test_another_version_is_named_first(recording):
  record = dict(records.open_split(recording, 'train')[0])
  record |= {'version': b'1.0.0', 'segments': b'['}
  del record['origin']
  with pytest.raises(ValueError, match=r"here: version is '1\.0\.0', this"):
    records.parse_take(record, 'here')


@pytest.mark.parametrize('rate', [30000 / 1001, 24000 / 1001, 17.5, 12.8, 60.0])
def test_a_rate_outlives_its_32_bits(rate):
  assert records.exact_rate(float(np.float32(rate))) == rate
