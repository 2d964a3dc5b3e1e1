"""A story begins with what is named, or the error says what is amiss."""

import types

import numpy as np
from PIL import Image
import pytest

from data_pipelines.prepare import encode_video
from launch import storyteller as storyteller_lib
from launch.stories import starts
from tests.launch import fake_teller

_SIZE = fake_teller.SIZE


@pytest.fixture
def workdir(tmp_path):
  """A workdir that keeps two starts, beside files of all kinds."""
  frames = np.stack([np.full((*_SIZE, 3), 100 * n, np.uint8) for n in (1, 2)])
  path = tmp_path / storyteller_lib.STARTS
  np.savez(path, frames=frames, prompts=['doom', 'hall'])
  return tmp_path


def _read(start, workdir, seconds=None, records=None):
  places = starts.Places(workdir, records, seconds)
  return starts.read(str(start), places, fake_teller.Storyteller(), 'the start')


def _video(path, count, rate=16, size=_SIZE):
  """Frames that brighten one by one."""
  frames = np.stack(
    [np.full((*size, 3), 8 * n, np.uint8) for n in range(count)]
  )
  path.write_bytes(encode_video.encode_video(frames, rate))
  return path


def test_a_kept_frame_has_a_prompt(workdir):
  start = _read(1, workdir)
  assert start.prompt == 'hall'
  assert start.frames.shape == (1, *_SIZE, 3) and (start.frames == 200).all()


def test_a_picture_is_one_frame(workdir):
  frame = np.random.default_rng(0).integers(0, 256, (*_SIZE, 3), np.uint8)
  Image.fromarray(frame).save(workdir / 'a.png')
  start = _read(workdir / 'a.png', workdir)
  np.testing.assert_array_equal(start.frames[0], frame)
  assert start.prompt == ''


@pytest.mark.parametrize(
  'count,seconds,frames',
  # 8 frames a second, of 16; a start has 1 + 4n frames.
  [(20, None, 9), (20, 0.6, 5), (20, 0.01, 1), (15, None, 5), (3, None, 1)],
)
def test_a_video_is_a_clip_at_the_rate_of_the_model(
  workdir, count, seconds, frames
):
  start = _read(_video(workdir / 'a.mp4', count), workdir, seconds)
  assert len(start.frames) == frames
  wanted = 16 * np.arange(frames)
  np.testing.assert_allclose(start.frames.mean((1, 2, 3)), wanted, atol=3)


@pytest.mark.parametrize(
  'start,seconds,complaint',
  [
    (2, None, 'keeps 2 starting frames: no number 2'),
    (0, 1.0, 'the start is one frame: --start_seconds=1 needs a video'),
    ('a.png', 1.0, 'the start is one frame: --start_seconds=1 needs a video'),
    ('large.png', None, 'starting frame of 20x12: this model films 16x12'),
    ('large.mp4', None, 'starting frame of 20x12: this model films 16x12'),
    ('a.mp4', 1.5, 'has 5 frames at 8 frames/s, --start_seconds=1.5 needs 13'),
    ('cut.png', None, 'the start: no picture'),
    ('cut.mp4', None, 'the start: no picture and no video'),
    ('words.txt', None, 'the start: no picture and no video'),
    ('', None, 'the start: no picture'),
    ('nowhere.png', None, 'the start: no picture'),
    ('test:0', None, 'the start needs --records DIR'),
  ],
)
def test_what_is_no_start_is_named(
  workdir, monkeypatch, start, seconds, complaint
):
  monkeypatch.chdir(workdir)
  grey = Image.new('RGB', (16, 12))
  grey.save('a.png')
  Image.new('RGB', (20, 12)).save('large.png')
  noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
  Image.fromarray(noise).save('whole.png')
  video = _video(workdir / 'a.mp4', 10)
  _video(workdir / 'large.mp4', 10, size=(12, 20))
  (workdir / 'cut.png').write_bytes((workdir / 'whole.png').read_bytes()[:300])
  (workdir / 'cut.mp4').write_bytes(video.read_bytes()[:300])
  (workdir / 'words.txt').write_text('no picture')
  with pytest.raises(ValueError) as caught:
    _read(start, workdir, seconds)
  assert complaint in str(caught.value)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('seconds,frames', [(None, 1), (1.1, 9)])
def test_a_take_is_a_frame_or_a_clip(workdir, monkeypatch, seconds, frames):
  monkeypatch.setattr(starts.records, 'Takes', _takes)
  start = _read('test:1', workdir, seconds, 'film')
  assert start.prompt == 'doom'
  assert start.frames[:, 0, 0, 0].tolist() == [*range(frames)]


@pytest.mark.parametrize(
  'take,seconds,complaint',
  [
    ('test:2', None, 'the start: film has 2 takes in test'),
    ('test:1', 2.0, 'has 10 frames, --start_seconds=2 needs 17'),
    ('test:0', 1.0, 'recorded at 30 frames/s, this model films 8'),
  ],
)
def test_a_take_that_is_no_start_is_named(
  workdir, monkeypatch, take, seconds, complaint
):
  monkeypatch.setattr(starts.records, 'Takes', _takes)
  with pytest.raises(ValueError) as caught:
    _read(take, workdir, seconds, 'film')
  assert complaint in str(caught.value)


def _takes(directory, split):
  """Two of ten frames, of another rate and of the model's."""
  assert (directory, split) == ('film', 'test')
  frames = np.zeros((10, *_SIZE, 3), np.uint8)
  frames += np.arange(10, dtype=np.uint8)[:, None, None, None]
  return [
    types.SimpleNamespace(
      rate=rate,
      frame_count=len(frames),
      prompt='doom',
      frames=lambda start, stop: frames[start:stop],
    )
    for rate in (30.0, 8.0)
  ]
