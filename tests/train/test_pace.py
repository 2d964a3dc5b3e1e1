"""What a run was good for is time that its steps took, and nothing else."""

import types

import jax
import pytest

from tv2tv_jax.train import chips
from tv2tv_jax.train import clock as clock_lib
from tv2tv_jax.train import flops
from tv2tv_jax.train import pace as pace_lib


class _Time:
  """A clock that moves when it is told to."""

  def __init__(self, monkeypatch):
    self.now = 1000.0
    told = types.SimpleNamespace(
      monotonic=lambda: self.now, time=lambda: self.now
    )
    for module in (pace_lib, clock_lib):
      monkeypatch.setattr(module, 'time', told)


def _pace(cost=None):
  clock = clock_lib.Clock(steps=100, minutes=None)
  return clock, pace_lib.Pace(clock, cost, began=900.0, useful=50.0)


def test_goodput_counts_waits_saves_and_the_time_between_sessions(monkeypatch):
  time = _Time(monkeypatch)
  clock, pace = _pace()
  with pace.waiting(lambda: True):  # Nothing runs meanwhile.
    time.now += 2
  with pace.waiting(lambda: False):  # A step hides it.
    time.now += 4
  time.now += 10
  pace.stalled(3.0)
  with clock.paused():
    time.now += 20
  for _ in range(4):
    pace.stepped()
  figures = pace.figures()
  assert figures['pace/step_seconds'] == pytest.approx(16 / 4)
  assert figures['pace/data_wait_seconds'] == pytest.approx(2 / 4)
  assert figures['pace/save_stall_seconds'] == 3
  assert figures[pace_lib.USEFUL] == pytest.approx(50 + 16 - 2 - 3)
  assert figures['pace/goodput'] == pytest.approx(61 / (1036 - 900))
  time.now += 5
  pace.stepped()
  figures = pace.figures()
  assert figures['pace/step_seconds'] == pytest.approx(5)
  assert figures['pace/data_wait_seconds'] == 0
  assert figures[pace_lib.USEFUL] == pytest.approx(66)


def test_utilisation_is_a_share_of_the_peak_of_all_devices(monkeypatch):
  time = _Time(monkeypatch)
  chip = chips.of('NVIDIA H200')
  monkeypatch.setattr(pace_lib.chips, 'of', lambda kind: chip)
  _, pace = _pace(flops.Cost(chip.flops * jax.device_count(), 640))
  time.now += 8
  for _ in range(4):
    pace.stepped()
  figures = pace.figures()
  assert figures['pace/mfu'] == pytest.approx(0.5)
  assert figures['pace/tokens_per_second'] == pytest.approx(320)
