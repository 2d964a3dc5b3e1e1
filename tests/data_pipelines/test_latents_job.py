"""A job gives the same bytes, however it is stopped and shared out."""

import itertools
import multiprocessing
import shutil

import numpy as np
import pytest

from data_pipelines import latents
from data_pipelines.prepare import dataset
from data_pipelines.prepare import encoding
from tests.data_pipelines import tiny_latents

_SPAWN = multiprocessing.get_context('spawn')


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """A dataset that one host made without a stop."""
  out = tmp_path_factory.mktemp('whole') / 'latents'
  assert tiny_latents.work(out) == 7
  assert tiny_latents.job(out).join() == tiny_latents.COUNTS
  return out


def _bytes(out):
  return {path.name: path.read_bytes() for path in out.iterdir()}


def test_stops_change_no_byte(whole, tmp_path):
  out = tmp_path / 'latents'
  job = tiny_latents.job(out)
  job.begin()

  def stopped(clips):
    yield from itertools.islice(clips, 2)
    raise KeyboardInterrupt

  job.write(job.pieces[0], tiny_latents.clips_of(job.pieces[0]))
  with pytest.raises(KeyboardInterrupt):
    job.write(job.pieces[2], stopped(tiny_latents.clips_of(job.pieces[2])))
  assert len(job.missing()) == 6
  assert {path.suffix for path in dataset.partial(out).iterdir()} == {
    '',  # of the lock
    '.array_record',
    '.npy',  # its sizes
    '.json',
  }
  assert not out.exists()
  assert tiny_latents.work(out) == 6
  job.join()
  assert _bytes(out) == _bytes(whole)
  assert not dataset.partial(out).exists()


def test_sizes_beside_the_records_are_theirs(whole, tmp_path):
  beside = {
    split: latents.Clips(whole, split).sizes() for split in ('train', 'test')
  }
  copy = shutil.copytree(whole, tmp_path / 'copy')
  for file in copy.glob('*.npy'):
    file.unlink()
  for split, sizes in beside.items():
    read = latents.Clips(copy, split).sizes()
    for one, other in zip(sizes, read, strict=True):
      np.testing.assert_array_equal(one, other)
  assert len(list(whole.glob('*.npy'))) == 2


def test_a_piece_without_its_mark_is_made_again(whole, tmp_path):
  out = tmp_path / 'latents'
  tiny_latents.work(out)
  one, two = (tiny_latents.job(out).pieces[place] for place in (2, 4))
  one.mark.unlink()
  two.path.unlink()
  assert tiny_latents.job(out).missing() == [one, two]
  assert tiny_latents.work(out) == 2
  tiny_latents.job(out).join()
  assert _bytes(out) == _bytes(whole)


def test_hosts_change_no_byte(whole, tmp_path):
  out = tmp_path / 'latents'
  made = [tiny_latents.work(out, host, 3) for host in (2, 1, 0)]
  assert made == [2, 2, 3]
  assert tiny_latents.job(out).join() == tiny_latents.COUNTS
  assert _bytes(out) == _bytes(whole)
  with pytest.raises(ValueError, match='--host=3 of --hosts=3'):
    tiny_latents.work(out, 3, 3)


def test_one_of_many_joins(whole, tmp_path):
  out, log = tmp_path / 'latents', tmp_path / 'log'
  tiny_latents.work(out)
  ready = _SPAWN.Barrier(2)
  hosts = [
    _SPAWN.Process(target=tiny_latents.end, args=(out, log, ready))
    for _ in range(2)
  ]
  for host in hosts:
    host.start()
  for host in hosts:
    host.join()
    assert host.exitcode == 0
  assert len(log.read_text().splitlines()) == 1
  assert _bytes(out) == _bytes(whole)
  assert not dataset.partial(out).exists()


def test_another_joins_when_one_dies(whole, tmp_path):
  out = tmp_path / 'latents'
  tiny_latents.work(out)
  host = _SPAWN.Process(target=tiny_latents.die, args=(out,))
  host.start()
  host.join()
  assert host.exitcode == -9
  assert not out.exists()
  assert tiny_latents.work(out) == 0
  tiny_latents.job(out).join()
  assert _bytes(out) == _bytes(whole)


def test_what_is_finished_is_left_alone(whole):
  before = {path: path.stat().st_mtime_ns for path in whole.iterdir()}
  dataset.partial(whole).mkdir()  # Of whoever was killed after joining.
  assert tiny_latents.job(whole).is_finished()
  assert tiny_latents.work(whole) == 0
  assert tiny_latents.job(whole).join() == tiny_latents.COUNTS
  assert before == {path: path.stat().st_mtime_ns for path in whole.iterdir()}
  assert not dataset.partial(whole).exists()


def test_another_recipe_is_refused_by_name(whole, tmp_path):
  named = "was made with vae = 'vae-1', not 'vae-2'"
  with pytest.raises(ValueError, match=named):
    tiny_latents.job(whole, vae='vae-2').begin()
  out = tmp_path / 'latents'
  tiny_latents.job(out, chunks=2).begin()
  with pytest.raises(ValueError, match=r'partial: .* chunks = 2, not 3'):
    tiny_latents.job(out, chunks=3).begin()


def test_an_older_version_is_named_first(tmp_path):
  out = tmp_path / 'latents'
  dataset.begin(out, {'fingerprint': 'vae-1', 'version': '1.0.0'})
  with pytest.raises(ValueError, match=r"version = '1\.0\.0', not '2\.0\.0'"):
    tiny_latents.job(out).begin()


def test_a_damaged_piece_is_named(tmp_path):
  out = tmp_path / 'latents'
  tiny_latents.work(out)
  job = tiny_latents.job(out)
  path = job.pieces[3].path
  data = path.read_bytes()
  for damaged in (b'', data[: len(data) // 2]):
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=f'{path.name}: .*; delete it and run'):
      job.join()
  dataset.write_raw(path, [])
  with pytest.raises(ValueError, match=f'{path.name}: has 0 clips of 6'):
    job.join()
  assert not out.exists()
  path.unlink()
  assert tiny_latents.work(out) == 1
  assert job.join() == tiny_latents.COUNTS


def test_takes_that_are_all_short_are_an_error(tmp_path):
  job = encoding.Job(
    tmp_path / 'out', tiny_latents.METADATA, {}, {'test': 3}, 2
  )
  job.begin()
  for piece in job.pieces:
    job.write(piece, [])
  with pytest.raises(ValueError, match='no take is as long as a clip'):
    job.join()
  assert not (tmp_path / 'out').exists()


def test_a_dataset_is_named_by_its_content(whole, recording, tmp_path):
  name = encoding.fingerprint(whole)
  assert encoding.fingerprint(whole.rename(tmp_path / 'moved')) == name
  (tmp_path / 'moved').rename(whole)
  assert encoding.fingerprint(recording) != name
  assert len(latents.Clips(whole, 'test')) == 1
