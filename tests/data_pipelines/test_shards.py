"""Videos in TAR files are read as in folders, and damage ends nothing early."""

import tarfile

import numpy as np
import pytest

from tests.data_pipelines import counter
from tests.data_pipelines import tiny_videos


@pytest.fixture(scope='module')
def files():
  return tiny_videos.files()


def test_a_shard_is_as_good_as_a_folder(files, tmp_path):
  folder = tiny_videos.write(tmp_path / 'folder', files)
  shard = tiny_videos.pack(tmp_path / 'shards' / 'x' / '00.tar', files)
  wanted, left = tiny_videos.made(tiny_videos.corpus(folder))
  takes, dropped = tiny_videos.made(tiny_videos.corpus(shard.parent.parent))
  assert len(takes) == len(wanted) and len(dropped) == len(left) == 1
  for take, want in zip(takes, wanted, strict=True):
    assert take.origin == f'x/00.tar/{want.origin}'
    np.testing.assert_array_equal(take.frames, want.frames)
    assert take.segments == want.segments


def test_a_broken_member_is_not_the_end_of_a_shard(files, tmp_path):
  film = files['a.mp4']
  broken = {
    '1.mp4': film,
    '2.mp4': film[:-100],
    '3.mp4': film,
    '3.srt': b'1\nnow',
    '4.mp4': counter.sound(),
    '5.mp4': b'',
    '6.srt': b'',
    '7.mp4': film,
  }
  shard = tiny_videos.pack(tmp_path / '00.tar', broken)
  takes, dropped = tiny_videos.made(tiny_videos.corpus(shard))
  assert {take.origin for take in takes} == {'00.tar/1.mp4', '00.tar/7.mp4'}
  assert [(each.name, each.reason) for each in dropped] == [
    ('00.tar/2.mp4', 'unreadable'),
    ('00.tar/3.mp4', 'unreadable'),
    ('00.tar/4.mp4', 'no film in it'),
    ('00.tar/5.mp4', 'no film in it'),
    ('00.tar/6.srt', 'captions without a video'),
  ]
  assert '00.tar: 2.mp4: is cut short' in dropped[0].detail
  assert "00.tar: 3.srt: line 2 is 'now'" in dropped[1].detail


@pytest.mark.parametrize('damage', ['cut', 'no end', 'header', 'size'])
def test_a_broken_shard_is_named_after_what_is_whole(damage, files, tmp_path):
  film = files['a.mp4']
  shard = tiny_videos.pack(tmp_path / '00.tar', {'1.mp4': film, '2.mp4': film})
  data = bytearray(shard.read_bytes())
  second = 512 * (2 + (len(film) - 1) // 512)
  match damage:
    case 'cut':
      del data[second + 600 :]
    case 'no end':
      del data[second:]
    case 'header':
      data[second + 5] ^= 255
    case 'size':  # of a terabyte, its check sum right
      header = tarfile.TarInfo('2.mp4')
      header.size = 2**40
      data[second : second + 512] = header.tobuf(tarfile.GNU_FORMAT)
  shard.write_bytes(data)
  corpus = tiny_videos.corpus(shard)
  takes = []
  with pytest.raises(ValueError, match=r'00\.tar: '):
    takes.extend(corpus.takes(corpus.units()[0]))
  for length in (0, 100, 511):
    shard.write_bytes(bytes(data[:length]))
    with pytest.raises(ValueError, match=r'00\.tar: not a TAR file'):
      list(corpus.takes(corpus.units()[0]))
