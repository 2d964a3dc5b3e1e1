"""A process answers for its own memory, not for its parent's."""

import subprocess
import sys

import numpy as np

from tests import memory

_CHILD = 'from tests import memory; print(memory.peak())'


def test_a_peak_is_of_the_process_alone():
  large = np.ones(400 * 10**6, np.uint8)
  assert memory.held() > large.size
  child = int(subprocess.check_output([sys.executable, '-c', _CHILD]))
  assert 10**6 < child < large.size // 4


def test_a_peak_outlives_what_was_held_until_it_is_forgotten():
  memory.forget()
  before = memory.peak()
  large = np.ones(64 * 10**6, np.uint8)
  size = large.size
  del large
  assert memory.peak() >= before + 0.9 * size
  memory.forget()
  assert memory.peak() < before + size // 2
