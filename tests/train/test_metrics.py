"""Numbers of a run are kept once, whatever sessions it had."""

import json

import pytest

from tv2tv_jax.train import metrics


def _lines(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_a_resumed_run_redoes_is_cut(tmp_path):
  path = tmp_path / metrics.NAME
  writer = metrics.Writer(path, 0)
  for step in (2, 4, 6):
    writer.write(step, {'loss': step / 2, 'seconds': step})
  with path.open('a') as file:
    file.write('{"step": 8, "lo')  # The process died here.
  again = metrics.Writer(path, 4)
  again.write(6, {'loss': 7.0})
  assert [(r['step'], r['loss']) for r in _lines(path)] == [
    (2, 1.0),
    (4, 2.0),
    (6, 7.0),
  ]
  assert again.first('seconds', 0.0) == 2 and again.last('seconds', 0.0) == 4
  assert again.last('else', 0.5) == 0.5
  assert [p.name for p in tmp_path.iterdir()] == [metrics.NAME]


def test_what_is_no_number_is_left_out(tmp_path):
  path = tmp_path / metrics.NAME
  told = []
  writer = metrics.Writer(path, 0, lambda *record: told.append(record))
  writer.write(1, {'a': float('nan'), 'b': float('inf'), 'c': 2})
  assert _lines(path) == [{'step': 1, 'c': 2.0}]
  assert told == [(1, {'c': 2.0})]


def test_a_line_that_is_none_is_named(tmp_path):
  path = tmp_path / metrics.NAME
  path.write_text('{"step": 1}\nnonsense\n')
  with pytest.raises(ValueError, match=r'metrics\.jsonl:2: no JSON record'):
    metrics.read(path)
  with pytest.raises(ValueError, match=r'metrics\.jsonl:2: no JSON record'):
    metrics.Writer(path, 1)


def test_only_the_leader_writes(tmp_path, monkeypatch):
  path = tmp_path / metrics.NAME
  monkeypatch.setattr(metrics.sharding, 'leads', lambda: False)
  metrics.Writer(path, 0).write(1, {'loss': 1.0})
  assert not path.exists()
