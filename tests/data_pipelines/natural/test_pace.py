"""Whoever names the same file takes turns."""

import multiprocessing
import time

import pytest

from data_pipelines.natural import pace

APART = 0.1  # s


def _take_turns(path, ready, times, count):
  turns = pace.Pace(path, 60 / APART)
  ready.wait()
  times.put(time.time())
  for _ in range(count):
    turns.wait()
  times.put(time.time())


def test_processes_share_a_rate(tmp_path):
  context = multiprocessing.get_context('spawn')
  ready, times = context.Barrier(2), context.Queue()
  told = tmp_path / 'pace', ready, times, 4
  job = context.Process(target=_take_turns, args=told)
  job.start()
  _take_turns(*told)
  job.join()
  assert job.exitcode == 0
  stamps = [times.get(timeout=5) for _ in range(4)]
  assert max(stamps) - min(stamps) >= 7 * APART


@pytest.mark.parametrize('left', ['', 'x', '9e99', 'nan'])
def test_a_damaged_file_or_a_clock_set_back_stops_nobody(left, tmp_path):
  path = tmp_path / 'pace'
  path.write_text(left)
  began = time.monotonic()
  pace.Pace(path, 60 / APART).wait()
  assert time.monotonic() - began < 30
  assert abs(float(path.read_text()) - time.time()) < 30


def test_no_limit_is_no_file(tmp_path):
  turns = pace.Pace(tmp_path / 'pace', 0)
  for _ in range(3):
    turns.wait()
  assert not (tmp_path / 'pace').exists()


def test_servers_have_a_pace_each():
  assert pace.file_of('http://a/v1') != pace.file_of('http://b/v1')
