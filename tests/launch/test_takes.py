"""Real film is looked at once, whoever asks how often."""

import pathlib

import numpy as np
import pytest

from launch import witness
from launch.evaluation.told import films
from launch.evaluation.told import parts
from launch.evaluation.told import takes
from tests.launch import told


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
  """Recorded film."""
  return told.recorded(tmp_path_factory.mktemp('film') / 'walls')


@pytest.fixture(scope='module')
def eyes():
  """A reader of chance."""
  return parts.Eyes(told.reader_of(told.net()), None)


@pytest.fixture
def looks(monkeypatch):
  """How many films went through a file, or through a VAE."""
  counts = {'stored': 0, 'copied': 0}
  stored = films.as_stored

  def as_stored(some, rate):
    counts['stored'] += len(some)
    return stored(some, rate)

  def copied(_, frames):
    counts['copied'] += len(frames)
    return 255 - frames

  monkeypatch.setattr(films, 'as_stored', as_stored)
  monkeypatch.setattr(witness, 'copied', copied)
  return counts


def _same(one, other):
  for field in ('beliefs', 'copies'):
    ours, theirs = getattr(one, field), getattr(other, field)
    assert ours.keys() == theirs.keys()
    for name in ours:
      np.testing.assert_array_equal(ours[name], theirs[name])
  for field in ('shifts', 'answers'):
    np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
  assert (one.names, one.chunk_frames) == (other.names, other.chunk_frames)


def test_film_is_looked_at_once(dataset, eyes, looks, tmp_path):
  """By all processes that have the folder; without one, each time anew."""
  vae = takes.Copier(None, 'a VAE')
  film = takes.Takes(dataset, 'test', eyes, tmp_path)
  first = film.read(told.STEP, vae)
  assert looks == {'stored': len(film), 'copied': len(film)}
  chunks = first.answers.shape[1]
  assert first.shifts.shape == (len(film), told.STEP * chunks)
  again = takes.Takes(dataset, 'test', eyes, tmp_path).read(told.STEP, vae)
  _same(first, again)
  assert looks == {'stored': len(film), 'copied': len(film)}
  _same(first, takes.Takes(dataset, 'test', eyes).read(told.STEP, vae))
  assert looks == {'stored': 2 * len(film), 'copied': 2 * len(film)}


def test_it_is_as_its_frames_are(dataset, eyes):
  """What is pieced together is what the witnesses see of the film itself."""
  film = takes.Takes(dataset, 'test', eyes)
  found = film.read(told.STEP, None)
  shape = found.answers.shape[1] * told.STEP + 1
  frames = [film[n].frames(0, shape) for n in range(len(film))]
  footage = witness.Footage(
    np.stack([*films.as_stored(frames, film[0].rate)]),
    None,
    np.stack([film[n].controls[:shape] for n in range(len(film))]),
    film[0].control_names,
    ('',) * len(film),
    film[0].rate,
  )
  whole = witness.read(eyes.reader.model, footage)
  assert found.copies is whole.copies is None
  for name, beliefs in whole.beliefs.items():
    np.testing.assert_allclose(found.beliefs[name], beliefs, atol=1e-5)
  np.testing.assert_array_equal(found.shifts, whole.shifts)
  np.testing.assert_array_equal(found.answers, whole.answers)


def test_another_reader_or_vae_looks_again(dataset, eyes, looks, tmp_path):
  film = takes.Takes(dataset, 'test', eyes, tmp_path)
  count = len(film)
  film.read(told.STEP, takes.Copier(None, 'a VAE'))
  film.read(told.STEP, takes.Copier(None, 'another VAE'))
  assert looks == {'stored': count, 'copied': 2 * count}
  other = parts.Eyes(told.reader_of(told.net(1)), None)
  takes.Takes(dataset, 'test', other, tmp_path).read(told.STEP, None)
  assert looks == {'stored': 2 * count, 'copied': 2 * count}


def test_a_cut_file_is_made_again(dataset, eyes, looks, tmp_path):
  film = takes.Takes(dataset, 'test', eyes, tmp_path)
  film.read(told.STEP, None)
  kept = sorted(tmp_path.rglob('*.npz'))
  kept[0].write_bytes(kept[0].read_bytes()[:300])
  film.read(told.STEP, None)
  assert looks['stored'] == len(film) + 1


def test_a_folder_that_takes_nothing_costs_only_time(
  dataset, eyes, looks, tmp_path, caplog
):
  blocked = pathlib.Path(tmp_path / 'file')
  blocked.write_text('no folder')
  film = takes.Takes(dataset, 'test', eyes, blocked)
  for turn in (1, 2):
    assert len(film.looked_at([0], told.STEP)) == 1
    assert looks['stored'] == turn
  assert 'real film is not kept' in caplog.text
