"""A recording by Apache Beam, on its local runner, is that of one process."""

import pathlib

import pytest

from data_pipelines import records
from data_pipelines.prepare import beam
from data_pipelines.prepare import dataset
from data_pipelines.prepare import record
from tests.data_pipelines import tiny_source

_LOCAL = '--runner=FnApiRunner --direct_num_workers=1'


@pytest.fixture
def source(tmp_path):
  desk = tmp_path / 'desk'
  desk.mkdir()
  return tiny_source.Tiny(desk=str(desk))


@pytest.fixture
def whole(source, tmp_path):
  """What one process makes."""
  record.record(source, tmp_path / 'whole', processes=1)
  for log in pathlib.Path(source.desk).iterdir():
    log.unlink()
  return tmp_path / 'whole'


def _bytes(out):
  return {path.name: path.read_bytes() for path in out.iterdir()}


def test_workers_make_the_same_bytes(source, whole, tmp_path):
  seen = []
  options = f'{_LOCAL} --direct_running_mode=multi_processing'
  report = record.record(
    source,
    tmp_path / 'film',
    executor=beam.executor(options.replace('workers=1', 'workers=2')),
    progress=seen.append,
  )
  assert source.begun() == '1111111'
  assert _bytes(tmp_path / 'film') == _bytes(whole)
  assert (report.takes, report.dropped) == (6, {'still': 1})
  assert [now.done for now in seen] == list(range(8))


def test_an_error_is_its_own_line_and_a_rerun_goes_on(source, whole, tmp_path):
  out = tmp_path / 'film'
  bad = pathlib.Path(source.desk, 'bad-5')
  bad.touch()
  execute = beam.executor(_LOCAL)
  with pytest.raises(ValueError, match=r'^file 5, record 1: size is 0$'):
    record.record(source, out, executor=execute)
  assert not out.exists()
  assert dataset.partial(out).exists()
  bad.unlink()
  before = source.begun()
  record.record(source, out, processes=1)  # What Beam left, without Beam.
  after = source.begun()
  made = [int(b) < int(a) for b, a in zip(before, after, strict=True)]
  assert made[5] and not all(made)
  assert _bytes(out) == _bytes(whole)


def test_an_error_may_be_skipped(source, tmp_path):
  pathlib.Path(source.desk, 'bad-5').touch()
  out = tmp_path / 'film'
  report = record.record(
    source, out, on_error='skip', executor=beam.executor(_LOCAL)
  )
  assert report.dropped == {'still': 1, 'unreadable': 1}
  assert [take.take for take in records.Takes(out, 'train')][-1] == 'take-50'


def test_what_is_left_for_another_run_says_why(source, whole, tmp_path):
  out = tmp_path / 'film'
  silent = pathlib.Path(source.desk, 'silent-5')
  silent.touch()
  with pytest.raises(ValueError, match=r'^server: nothing came for file 5$'):
    record.record(source, out, on_error='skip', executor=beam.executor(_LOCAL))
  assert not out.exists()
  silent.unlink()
  record.record(source, out, processes=1)
  assert _bytes(out) == _bytes(whole)


def test_options_that_are_none_are_said():
  for options in ('--direct_num_workers=many', "--runner='"):
    with pytest.raises(ValueError, match=r'beam_options=.* are none of Apa'):
      beam.executor(options)
