"""Runs in turn, A B A B, so that what the machine does otherwise meets all."""

import collections
from collections.abc import Callable, Mapping
import os
import time

import jax
import numpy as np
import torch

from launch import figures

Seconds = Mapping[str, list[float]]


def timed(rounds: int, each: int, **runs: Callable[[], object]) -> Seconds:
  """Seconds of every run, `each` at a time, after two that do not count.

  A run waits for its own result.
  """
  times = collections.defaultdict(list)
  for run in runs.values():
    run(), run()
  for _ in range(rounds):
    for name, run in runs.items():
      for _ in range(each):
        begin = time.perf_counter()
        run()
        times[name].append(time.perf_counter() - begin)
  return times


def lines(what: str, times: Seconds, beside: str = 'ours') -> str:
  """A line a run: minimum, median, and its ratios to the run `beside`."""
  own = times[beside]
  return '\n'.join(
    f'{what:8} {name:14} min {min(seconds):.3f} s  '
    f'median {np.median(seconds):.3f} s  ratio of minima '
    f'{min(seconds) / min(own):.2f}, of medians '
    f'{np.median(seconds) / np.median(own):.2f}'
    for name, seconds in times.items()
  )


def machine() -> str:
  """What ran: processor, accelerator, versions."""
  device = jax.devices()[0]
  where = '' if device.platform == 'cpu' else f'{device.device_kind}, '
  return (
    f'{where}{os.cpu_count()} cores of {figures.machine()["cpu"]}, '
    f'jax {jax.__version__}, torch {torch.__version__}'
  )
