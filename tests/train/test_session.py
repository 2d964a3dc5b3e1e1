"""What a session of a run does beside its steps disturbs none of them."""

import dataclasses
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.train import stoppable
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import clock as clock_lib
from tv2tv_jax.train import flops
from tv2tv_jax.train import journal as journal_lib
from tv2tv_jax.train import loop
from tv2tv_jax.train import metrics as metrics_lib
from tv2tv_jax.train import optimizer as optimizer_lib
from tv2tv_jax.train import profile

_CONFIG = loop.TrainConfig(
  steps=12,
  log_every=1,
  save_every=5,
  show_every=5,
  evaluate_every=6,
  max_skipped=3,
  optimizer=optimizer_lib.OptimizerConfig(rate=0.05, warmup=2),
)


def _train(workdir, config=_CONFIG, loss=stoppable.loss, **extras):
  announce = extras.pop('announce', lambda number: None)
  batches = stoppable.Batches(announce)
  return loop.train(stoppable.init, loss, batches, config, workdir, **extras)


def _records(workdir, name):
  """Step and value of all records that have a number."""
  records = metrics_lib.read(workdir / 'metrics.jsonl')
  return [(r['step'], r[name]) for r in records if name in r]


def _spoilt(begin, end):
  """A loss that is not finite while some share of the run is over."""

  def loss(model, batch, key, progress):
    value, metrics = stoppable.loss(model, batch, key, progress)
    bad = (progress >= begin) & (progress < end)
    return jnp.where(bad, jnp.nan, value), metrics

  return loss


def test_pictures_and_evaluations_change_no_bit(tmp_path):
  """Whatever randomness they use."""
  shown, paused = [], []

  def look(model, step=0):
    key = jax.random.key(step)
    shown.append((step, float(model.kernel.sum() + jax.random.normal(key))))
    return {'figure': shown[-1][1]}

  def board(workdir, step):
    return lambda step, numbers: paused.append((step, set(numbers)))

  plain = _train(tmp_path / 'plain')
  seen = _train(tmp_path / 'seen', evaluate=look, show=look, board=board)
  for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(seen), strict=True):
    np.testing.assert_array_equal(a, b)
  assert _records(tmp_path / 'seen', 'loss') == _records(
    tmp_path / 'plain', 'loss'
  )
  assert [step for step, _ in shown if step] == [5, 10, 12]
  assert [step for step, names in paused if 'figure' in names] == [6, 12]


def test_a_step_is_looked_at_while_the_next_one_runs(tmp_path, monkeypatch):
  """So that devices wait for nobody, and two steps at most are on their way."""
  over, known = [], []
  stepped = journal_lib.Journal.stepped

  def noted(journal, step):
    over.append(step)
    stepped(journal, step)

  monkeypatch.setattr(journal_lib.Journal, 'stepped', noted)
  config = dataclasses.replace(
    _CONFIG, save_every=100, evaluate_every=100, show_every=0
  )
  _train(tmp_path, config, announce=lambda number: known.append(len(over)))
  # The batch of step 4 is fetched when step 3 is sent and step 1 known.
  assert known == [0, 0, 0, *range(1, 10)]
  assert over == list(range(1, 13))


def test_steps_that_are_not_finite_are_counted_over_all_sessions(tmp_path):
  def die(model):
    raise InterruptedError

  loss = _spoilt(0.2, 0.3)  # Step 4, after a quarter.
  with pytest.raises(InterruptedError):
    _train(tmp_path, loss=loss, evaluate=die)
  state = _train(tmp_path, loss=loss)
  assert int(state.step) == 12 and np.isfinite(state.model.kernel[...]).all()
  assert dict(_records(tmp_path, 'skipped'))[4] == 1
  assert _records(tmp_path, 'steps_skipped')[-1] == (12, 1)
  began = [step for step, _ in _records(tmp_path, metrics_lib.BEGAN)]
  assert began == [0, 5]
  firsts = _records(tmp_path, 'session/first_step_seconds')
  assert [step for step, _ in firsts] == [1, 6]


def test_too_many_in_a_row_end_the_run(tmp_path):
  """Its model is in the last checkpoint; the metrics stay JSON."""
  with pytest.raises(
    FloatingPointError, match='3 steps in a row, the last one 9'
  ):
    _train(tmp_path, loss=_spoilt(0.5, 2.0))
  assert checkpoint.finished(tmp_path) == [5]

  def refuse(name):
    raise AssertionError(name)

  lines = (tmp_path / 'metrics.jsonl').read_text().splitlines()
  records = [json.loads(line, parse_constant=refuse) for line in lines]
  assert records[-1]['steps_skipped'] == 3 and 'loss' not in records[-1]


def test_some_steps_are_traced(tmp_path):
  _train(tmp_path, profile=profile.Steps(3, 4))
  (trace,) = (tmp_path / profile.FOLDER).rglob('*.xplane.pb')
  assert trace.stat().st_size


def test_tokens_are_counted(tmp_path):
  """What share of a chip's peak that is, is said where the chip is known."""
  _train(tmp_path, cost=flops.Cost(1e9, 64))
  (_, rate), *_ = _records(tmp_path, 'pace/tokens_per_second')
  (_, step), *_ = _records(tmp_path, 'pace/step_seconds')
  assert rate == pytest.approx(64 / step)
  assert not _records(tmp_path, 'pace/mfu')


def test_time_goes_on_where_it_was(tmp_path):
  """Of a run without a time limit, too."""

  def die(model):
    raise InterruptedError

  with pytest.raises(InterruptedError):
    _train(tmp_path, evaluate=die)
  path = tmp_path / 'metrics.jsonl'
  lines = [json.loads(line) for line in path.read_text().splitlines()]
  for line in lines:
    if 'seconds' in line:
      line['seconds'] += 1000
  path.write_text(''.join(json.dumps(line) + '\n' for line in lines))
  _train(tmp_path)
  seconds = [value for _, value in _records(tmp_path, 'seconds')]
  assert seconds == sorted(seconds) and 1000 < seconds[0] < seconds[-1] < 1100


def test_processes_take_the_leaders_time(monkeypatch):
  """Where there is a time limit; steps need no word between them."""
  asked = []

  def decides(share):
    asked.append(share)
    return 0.75

  monkeypatch.setattr(clock_lib.leader, 'decides', decides)
  clock = clock_lib.Clock(steps=10, minutes=1.0, progress=0.5)
  assert clock.seconds() == pytest.approx(30, abs=5)
  assert clock.progress(3) == 0.75 and asked[0] == pytest.approx(0.5, abs=0.1)
  assert clock_lib.Clock(steps=10, minutes=None).progress(3) == 0.3
  assert len(asked) == 1


def test_what_is_paused_does_not_count(monkeypatch):
  ticks = itertools.count()
  monkeypatch.setattr(clock_lib.time, 'monotonic', lambda: float(next(ticks)))
  clock = clock_lib.Clock(steps=10, minutes=None)
  with clock.paused():
    for _ in range(10):
      next(ticks)
  assert clock.seconds() == 2


@pytest.mark.parametrize(
  'name,value', [('steps', 0), ('keep', 0), ('max_skipped', 0), ('seed', -1)]
)
def test_numbers_that_make_no_run_are_named(name, value):
  with pytest.raises(ValueError, match=rf'train\.{name} is {value}: give'):
    loop.TrainConfig(**{name: value})
