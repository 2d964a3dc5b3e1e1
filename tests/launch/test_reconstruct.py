"""Films of any kind go through a VAE, and what they lost is said."""

import json
from unittest import mock

import av
import numpy as np
from PIL import Image
import pytest

from data_pipelines import records
from data_pipelines.prepare import encode_video
from launch import comparison
from launch import films
from tests.launch import programs
from tests.vae import small
from tv2tv_jax.evaluate import pictures
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import weights
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.vae import program
from tv2tv_jax.vae import stream as stream_lib


def _noise(frames, height, width):
  """A slow drift of blurred noise: what codecs keep."""
  rng = np.random.default_rng(0)
  picture = rng.integers(0, 256, (8, 8, 3), np.uint8)
  whole = Image.fromarray(picture).resize((2 * width, height), Image.BICUBIC)
  return np.stack(
    [np.asarray(whole)[:, at % width :][:, :width] for at in range(frames)]
  )


def _write(path, frames):
  with films.written(path, 12.5, *frames.shape[2:0:-1]) as write:
    for frame in frames:
      write(frame)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A VAE, and two films of one name."""
  folder = tmp_path_factory.mktemp('films')
  vae, run = small.new(small.FOLDS), train_vae.VaeRun(vae=small.FOLDS)
  workdir_lib.claim(folder / 'vae', run)
  numbers = {k: np.asarray(v) for k, v in checkpoint.named(vae).items()}
  weights.write_parts(folder / 'vae' / 'weights', iter([numbers]))
  for name, size in (('a', (24, 50, 64)), ('b', (9, 48, 64))):
    (folder / name).mkdir()
    _write(folder / name / 'film.mp4', _noise(*size))
  return folder


def _reconstruct(folder, *arguments):
  return programs.run(
    'launch.reconstruct',
    f'--vae={folder}/vae',
    f'--out={folder}/out',
    *arguments,
  )


def test_films_go_through_and_are_judged(folder):
  paths = [folder / name / 'film.mp4' for name in 'ab']
  done = _reconstruct(
    folder, f'--videos={paths[0]},{paths[1]}', '--piece=2', '--memory=1'
  )
  assert done.returncode == 0, done.stderr
  assert '64x50, of which the middle is seen as 64x48' in done.stdout
  report = json.loads((folder / 'out' / 'report.json').read_text())
  first, second = report['films']
  assert [each['name'] for each in (first, second)] == ['film', 'film_2']
  assert [each['frames'] for each in (first, second)] == [21, 9]
  assert report['total']['frames'] == 30
  assert len(report['total']['psnr_per_frame']) == 21
  for way in ('encode', 'decode'):
    assert first[way]['frames_per_second'] > 0
    assert first[way]['compile_seconds'] > 0
    assert second[way]['compile_seconds'] == 0  # It has the same size.
    assert 0 < first[way]['device_bytes'] < 2**30
    assert (first[way]['tiles'], first[way]['tile_size']) == ([1, 1], [64, 48])
  assert report['peak_memory_bytes'] > first[way]['device_bytes']

  originals = np.stack(list(films.video(paths[0]).frames()))[:21, 1:49]
  stream = stream_lib.Stream(vae_folder.restored(folder / 'vae'), piece=2)
  again = program.to_uint8(stream.frames(stream.means(originals[None]))[0])
  decibels = pictures.psnr(again, originals)
  np.testing.assert_allclose(first['psnr_per_frame'], decibels, atol=1e-3)
  np.testing.assert_allclose(first['psnr'], decibels.mean(), atol=1e-3)
  np.testing.assert_allclose(first['psnr_first'], decibels[0], atol=1e-3)
  np.testing.assert_allclose(first['psnr_later'], decibels[1:].mean(), 1e-3)
  with av.open(str(folder / 'out' / 'film.mp4')) as container:
    shown = [f.to_ndarray(format='rgb24') for f in container.decode(video=0)]
  assert np.shape(shown) == (21, 48, 128, 3)
  assert pictures.psnr(shown[9][None, :, :64], originals[9:10]) > 20
  with Image.open(folder / 'out' / 'film.png') as sheet:
    assert sheet.size == (5 * 6 * 64, 5 * 3 * 48)
  lines = done.stdout.splitlines()
  assert [line.split()[0] for line in lines[-5:-1]] == [
    'film', 'film', 'film_2', 'all'
  ]  # fmt: skip


def test_what_cannot_go_through_is_one_line(folder):
  film = f'--videos={folder}/b/film.mp4'
  for arguments, complaint in (
    ((film, '--frames=13'), 'film.mp4: has 9 frames, 13 are needed'),
    ((film, '--size=60x48'), "--size '60x48': give WIDTHxHEIGHT, multiples"),
    ((f'--videos={folder}/vae/config.json',), 'config.json: not a video'),
    ((film, f'--vae={folder}/a'), 'is it a workdir?'),
  ):
    done = _reconstruct(folder, f'--out={folder}/refused', *arguments)
    assert complaint in programs.error(done)
  assert not (folder / 'refused').exists()


def test_no_file_is_no_video(folder):
  with pytest.raises(ValueError, match=r'none\.mp4: no such file'):
    films.video(folder / 'none.mp4')
  cut = folder / 'cut.mp4'
  cut.write_bytes((folder / 'a' / 'film.mp4').read_bytes()[:-900])
  with pytest.raises(ValueError, match=r'cut\.mp4: '):
    list(films.video(cut).frames())


def test_what_is_seen_is_the_middle():
  film = films.Film('a', 'a', 100, 50, 25.0, 0, lambda: iter(()))
  assert films.cropped(film, 16, 8) == (2, 1, 98, 49, 96, 48)
  assert films.scaled(film, 32, 32) == (25, 0, 75, 50, 32, 32)
  with pytest.raises(ValueError, match=r'100 x 50 .* needs 8 x 64 at least'):
    films.cropped(film, 64, 8)
  frame = _noise(1, 50, 100)[0]
  seen = films.cropped(film, 16, 8).seen(frame)
  np.testing.assert_array_equal(seen, frame[1:49, 2:98])
  seen = films.scaled(film, 32, 32).seen(frame)
  want = Image.fromarray(frame[:, 25:75]).resize((32, 32), Image.LANCZOS)
  np.testing.assert_allclose(seen, np.asarray(want), atol=4)


def test_takes_are_films():
  frames = _noise(70, 48, 64)
  take = records.Take(
    where='test record 0', take='', source='', origin='', start=0.0, license='',
    rate=12.5, frame_count=70, height=48, width=64, ended=False,
    segments=[], controls=np.zeros((70, 0), np.uint8), control_names=(),
    states=np.zeros((70, 0), 'f4'), state_names=(), details={},
    video=encode_video.encode_video(frames, 12.5),
  )  # fmt: skip
  with mock.patch.object(films.records, 'Takes', lambda *_: [take]):
    (film,) = films.takes('film', 'test')
  assert (film.name, film.count, film.rate) == ('test_0000', 70, 12.5)
  np.testing.assert_array_equal(list(film.frames()), take.frames())


def test_a_sheet_spans_a_film_of_unknown_length():
  compared = comparison.Comparison()
  for level in range(40):
    frame = np.full((16, 16, 3), level, np.uint8)
    compared.add(frame, frame + np.uint8(1))
  sheet = np.asarray(compared.sheet())
  tops = sheet[0, :: sheet.shape[1] // 6, 0]
  np.testing.assert_array_equal(tops, [0, 8, 16, 20, 28, 36])
  middle = sheet[[sheet.shape[0] // 2, -1], 0, 0]
  np.testing.assert_array_equal(middle, [1, 132])
  figures = comparison.figures([compared])
  assert figures['frames'] == 40
  assert figures['psnr'] == pytest.approx(48.13, abs=0.01)
