"""A recording is the same whoever works on it and however often it stops."""

import json
import multiprocessing
import os
import pathlib
import signal
import time

import pytest

from data_pipelines import records
from data_pipelines.prepare import dataset
from data_pipelines.prepare import record
from data_pipelines.prepare import report as report_lib
from data_pipelines.sources import source as source_lib
from tests.data_pipelines import tiny_source


@pytest.fixture
def source(tmp_path):
  desk = tmp_path / 'desk'
  desk.mkdir()
  return tiny_source.Tiny(desk=str(desk))


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """What one process makes without a stop."""
  folder = tmp_path_factory.mktemp('whole')
  source = tiny_source.Tiny(desk=str(folder))
  report = record.record(source, folder / 'film', processes=1)
  assert source.begun() == '1111111'
  assert (report.takes, report.frames, report.cut) == (6, 54, 8)
  assert report.dropped == {'still': 1}
  return folder / 'film'


def _bytes(out):
  return {path.name: path.read_bytes() for path in out.iterdir()}


def _takes(out, split='train'):
  return [take.take for take in records.Takes(out, split)]


def _bad(source, number, kind='bad'):
  """A file whose presence makes a unit fail."""
  path = pathlib.Path(source.desk, f'{kind}-{number}')
  path.touch()
  return path


def test_processes_and_their_order_change_no_byte(source, whole, tmp_path):
  def backwards(function, tasks):
    yield from (function(*task) for task in reversed(tasks))

  record.record(source, tmp_path / 'two', processes=2)
  record.record(source, tmp_path / 'back', executor=backwards)
  assert _bytes(tmp_path / 'two') == _bytes(whole) == _bytes(tmp_path / 'back')
  assert not dataset.partial(tmp_path / 'two').exists()
  assert _takes(whole) == ['take-10', 'take-40', 'take-50', 'take-51']
  assert _takes(whole, 'test') == ['take-20', 'take-21']


def test_a_split_without_a_take_is_absent(source, tmp_path):
  out = tmp_path / 'film'
  record.record(tiny_source.Tiny(desk=source.desk, count=2), out, processes=1)
  assert records.splits(out) == ('train',)
  with pytest.raises(ValueError, match="no split 'test'; it has train"):
    records.Takes(out, 'test')


def test_what_is_whole_is_not_made_again(source, whole, tmp_path):
  out, seen = tmp_path / 'film', []

  def stop(now):
    if now.done == 3:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    record.record(source, out, processes=1, progress=stop)
  assert not out.exists() and source.begun() == '1110000'
  record.record(source, out, processes=1, progress=seen.append)
  assert source.begun() == '1111111'
  assert [now.done for now in seen] == [3, 4, 5, 6, 7]
  assert seen[-1].takes == 3
  assert _bytes(out) == _bytes(whole)


def test_a_killed_run_goes_on(source, whole, tmp_path):
  out = tmp_path / 'film'
  deadly = _bad(source, 2, 'deadly')
  run = multiprocessing.get_context('spawn').Process(
    target=record.record, args=(source, out), kwargs={'processes': 1}
  )
  run.start()
  run.join()
  assert run.exitcode == -signal.SIGKILL
  assert not out.exists()
  deadly.unlink()
  record.record(source, out, processes=1)
  assert source.begun() == '1121111'
  assert _bytes(out) == _bytes(whole)


def _die(now):
  if now.done == 2:
    os.kill(os.getpid(), signal.SIGKILL)


def _runs(process):
  try:
    return (
      'State:\tZ' not in pathlib.Path(f'/proc/{process}/status').read_text()
    )
  except FileNotFoundError:
    return False


def test_no_process_outlives_a_killed_run(source, whole, tmp_path):
  out = tmp_path / 'film'
  run = multiprocessing.get_context('spawn').Process(
    target=record.record,
    args=(source, out),
    kwargs={'processes': 2, 'progress': _die},
  )
  run.start()
  run.join()
  assert run.exitcode == -signal.SIGKILL
  workers = [
    int(path.name.removeprefix('process-'))
    for path in pathlib.Path(source.desk).glob('process-*')
  ]
  assert workers and run.pid not in workers
  deadline = time.monotonic() + 60
  while any(map(_runs, workers)):
    assert time.monotonic() < deadline, 'a worker is left'
    time.sleep(0.02)
  record.record(source, out, processes=1)
  assert _bytes(out) == _bytes(whole)


def test_a_killed_process_is_named(source, whole, tmp_path):
  out = tmp_path / 'film'
  deadly = _bad(source, 5, 'deadly')
  with pytest.raises(OSError, match=r'process was killed at .*u5'):
    record.record(source, out, processes=2)
  assert not out.exists()
  deadly.unlink()
  record.record(source, out, processes=1)
  assert _bytes(out) == _bytes(whole)


def test_an_error_stops_the_run_and_a_rerun_goes_on(source, whole, tmp_path):
  out = tmp_path / 'film'
  bad = _bad(source, 2)
  with pytest.raises(ValueError, match='file 2, record 1: size is 0'):
    record.record(source, out, processes=1)
  assert not out.exists()
  assert len(list(dataset.partial(out).glob('*.array_record'))) == 2
  bad.unlink()
  record.record(source, out, processes=1)
  assert source.begun() == '1121111'
  assert _bytes(out) == _bytes(whole)


def test_an_error_is_skipped_after_the_takes_before_it(source, tmp_path):
  out = tmp_path / 'film'
  _bad(source, 2)
  report = record.record(source, out, processes=1, on_error='skip')
  assert report.dropped == {'still': 1, 'unreadable': 1}
  assert 'dropped 2: 1 still, 1 unreadable' in report.text()
  assert _takes(out, 'test') == ['take-20']
  lines = (out / report_lib.DROPPED).read_text().splitlines()
  assert json.loads(lines[1]) == {
    'unit': 'u2',
    'name': 'u2',
    'reason': 'unreadable',
    'detail': 'file 2, record 1: size is 0',
  }


def test_nothing_kept_is_an_error_that_says_why(source, tmp_path):
  short = {'frames': tiny_source.film(0).frames[:4], 'segments': []}
  source = tiny_source.Tiny(desk=source.desk, fields=short)
  said = (
    r'not one take was kept of 7 units; dropped were 1 still, 6 short, the '
    r'first: u0-still: motion is 0\.0'
  )
  with pytest.raises(ValueError, match=said):
    record.record(source, tmp_path / 'film', processes=1)
  assert not (tmp_path / 'film').exists()


def test_names_are_of_one_unit_and_of_one_take(source, tmp_path):
  twice = tiny_source.Tiny(desk=source.desk, fields={'name': 'same'})
  with pytest.raises(ValueError, match=r"unit u2: two takes have .* 'same'"):
    record.record(twice, tmp_path / 'film', processes=1)

  class Twins(tiny_source.Tiny):
    def units(self):
      return [source_lib.Unit('u1', False, n) for n in range(2)]

  with pytest.raises(ValueError, match="two units have the name 'u1'"):
    record.record(Twins(desk=source.desk), tmp_path / 'other')


def test_a_foreign_directory_is_not_touched(source, tmp_path):
  with pytest.raises(ValueError, match='no dataset of this project'):
    record.record(source, tmp_path)
  assert os.listdir(source.desk) == []
  with pytest.raises(ValueError, match=r"on_error is 'go'; .* stop, skip"):
    record.record(source, tmp_path / 'film', on_error='go')


def test_a_file_that_cannot_be_written_is_an_os_error(tmp_path):
  path = tmp_path / 'none' / 'x.array_record'
  with pytest.raises(OSError, match=r'x\.array_record: cannot be written'):
    dataset.write_raw(path, [b'word'])
  with pytest.raises(OSError, match='x'):
    dataset.write_text(path, 'word')


@pytest.mark.parametrize('on_error', record.ON_ERROR)
def test_what_a_server_left_unanswered_is_made_by_another_run(
  source, whole, tmp_path, on_error
):
  out = tmp_path / 'film'
  silent = _bad(source, 2, 'silent')
  with pytest.raises(ValueError, match=r'server: nothing came for file 2'):
    record.record(source, out, processes=1, on_error=on_error)
  assert not out.exists()
  made = len(list(dataset.partial(out).glob('*.array_record')))
  assert made == (6 if on_error == 'skip' else 2)
  silent.unlink()
  report = record.record(source, out, processes=1, on_error=on_error)
  assert source.begun() == '1121111'
  assert report.dropped == {'still': 1}
  assert _bytes(out) == _bytes(whole)
