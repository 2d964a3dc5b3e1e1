"""A damaged file of Counter-Strike is named, and so is what is wrong in it."""

import multiprocessing
import shutil

import h5py
import numpy as np
import pytest

from data_pipelines.sources import csgo
from data_pipelines.sources import source
from tests.data_pipelines import csgo_files

DAMAGED = 400  # files


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """A file of 24 frames."""
  path = tmp_path_factory.mktemp('csgo') / 'whole.hdf5'
  csgo_files.write(path, csgo_files.random_frames(0, 24))
  return path


def _films(folder):
  """The takes of 17 frames of the only file."""
  corpus = csgo.Csgo(input=str(folder), seconds=1.0)
  return corpus.takes(corpus.units()[0])


def _without(file, key):
  del file[key]


def _replaced(values):
  def replace(file, key):
    del file[key]
    file[key] = values

  return replace


def _linked(file, key):
  del file[key]
  file[key] = h5py.ExternalLink('other.hdf5', key)


def _outside(file, key):
  shape = file[key].shape
  del file[key]
  file.create_dataset(
    key, shape, np.uint8, external=[('other.raw', 0, h5py.h5f.UNLIMITED)]
  )


@pytest.mark.parametrize(
  ('key', 'change', 'named'),
  [
    ('frame_20_x', _without, r'is missing; \(150, 280, 3\) is wanted'),
    ('frame_20_y', _without, r'is missing; \(51,\) is wanted'),
    ('frame_20_xaux', _without, 'is missing'),
    ('frame_20_helperarr', _without, 'is missing'),
    ('frame_20_x', _linked, 'is no dataset of this file'),
    ('frame_20_x', _outside, 'is no dataset of this file'),
    ('frame_20_x', _replaced(np.zeros((9, 9, 3), np.uint8)), r'\(9, 9, 3\)'),
    ('frame_20_x', _replaced(np.zeros((150, 280, 3))), 'is float64'),
    ('frame_20_y', _replaced(np.zeros(50)), r'is float64 \(50,\)'),
    ('frame_20_y', _replaced(np.zeros(51)), 'mouse x is not set'),
    ('frame_20_y', _replaced(np.ones(51)), 'mouse x is turn left 1000, turn'),
    ('frame_20_y', _replaced(np.full(51, np.nan)), r'\(move forward\) is nan'),
    ('frame_20_xaux', _replaced(np.full(54, np.inf)), 'column 0 is inf'),
    ('frame_20_helperarr', _replaced([0.0, 3.0]), 'column 1 is 3.0, 0 or 1'),
    ('frame_20_helperarr', _replaced(['no', 'yes']), 'numbers'),
  ],
)
def test_a_bad_frame_is_named_after_the_takes_before_it(
  whole, tmp_path, key, change, named
):
  path = tmp_path / 'bad.hdf5'
  shutil.copy(whole, path)
  with h5py.File(path, 'a') as file:
    change(file, key)
  films = _films(tmp_path)
  assert len(next(films).frames) == 17
  with pytest.raises(ValueError, match=named) as error:
    next(films)
  assert str(error.value).startswith(f'{path}: {key}')


@pytest.mark.parametrize('data', [b'', b'frames', bytes(4096)])
def test_what_is_no_hdf5_file_is_named(tmp_path, data):
  path = tmp_path / 'bad.hdf5'
  path.write_bytes(data)
  with pytest.raises(ValueError, match=f'^{path}: no whole HDF5 file'):
    next(_films(tmp_path))


def test_a_file_without_frames_is_named(tmp_path):
  path = tmp_path / 'bad.hdf5'
  with h5py.File(path, 'w') as file:
    file['picture'] = np.zeros(3)
  with pytest.raises(ValueError, match=f'^{path}: holds no frame'):
    next(_films(tmp_path))


def _read_damaged(whole, path, connection):
  """Sends what each damaged file gives, in a process that may die of it."""
  corpus = csgo.Csgo(input=str(path.parent))
  unit = source.Unit(path.name, False, path.name)
  for seed in range(DAMAGED):
    path.write_bytes(csgo_files.damaged(whole, seed))
    try:
      connection.send([len(film.frames) for film in corpus.takes(unit)])
    except ValueError as error:
      connection.send(str(error))


def test_a_damaged_file_gives_takes_or_an_error_that_names_it(tmp_path):
  whole, path = tmp_path / 'whole.hdf5', tmp_path / 'damaged.hdf5'
  csgo_files.write(whole, csgo_files.random_frames(2, 5))
  context = multiprocessing.get_context('spawn')
  receiver, sender = context.Pipe(duplex=False)
  process = context.Process(target=_read_damaged, args=(whole, path, sender))
  process.start()
  sender.close()  # Then the end of the process is the end of the pipe.
  results = []
  try:
    while len(results) < DAMAGED:
      assert receiver.poll(60), f'file {len(results)}: no end'
      results.append(receiver.recv())
  except EOFError:
    pytest.fail(f'file {len(results)}: the process died')
  finally:
    process.kill()
    process.join()
  errors = [result for result in results if isinstance(result, str)]
  assert all(error.startswith(f'{path}: ') for error in errors)
  assert all(sum(result) <= 5 for result in results if result not in errors)
  assert DAMAGED / 4 < len(errors) < DAMAGED
