"""Stories that outlive their window many times: memory, time, flicker."""

from collections.abc import Iterator
import contextlib
import pathlib
import time
from typing import NamedTuple

import jax
from jaxtyping import Float
import numpy as np

from launch import storyteller as storyteller_lib
from tv2tv_jax.evaluate import flicker
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import telling as telling_lib

_COMPILED = '/jax/core/compile/backend_compile_duration'
_MIB = 1 << 20


class Look(NamedTuple):
  """What a process holds.

  Attributes:
    seconds: of the stories so far.
    resident: bytes of memory.
    live: bytes of the arrays that are alive.
    programs: compiled so far.
  """

  seconds: float
  resident: int
  live: int
  programs: int


class Long(NamedTuple):
  """What came of long stories.

  Attributes:
    looks: at some times.
    chunks: seconds that each chunk took, of all stories together.
    changes: from frame to frame, of each story.
  """

  looks: list[Look]
  chunks: list[float]
  changes: list[Float[np.ndarray, 'S']]


@contextlib.contextmanager
def compilations() -> Iterator[list[float]]:
  """Seconds of each program that is compiled, or found compiled."""
  seconds = []

  def listen(event: str, duration: float, **_) -> None:
    if event == _COMPILED:
      seconds.append(duration)

  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    yield seconds
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)


class _Screen:
  """Forgets frames, but how much changed from each to the next."""

  def __init__(self, stories: int):
    self._last = [np.zeros((0, 1, 1, 3), np.uint8)] * stories
    self._changes: list[list[np.ndarray]] = [[] for _ in range(stories)]

  def __call__(self, event: telling_lib.Event) -> None:
    """Is told of what happens."""
    if isinstance(event, telling_lib.Filmed):
      frames = event.frames
      if len(self._last[event.story]):
        frames = np.concatenate([self._last[event.story], frames])
      self._changes[event.story].append(flicker.changes(frames))
      self._last[event.story] = frames[-1:].copy()

  @property
  def changes(self) -> list[np.ndarray]:
    """From frame to frame, of each story."""
    return [np.concatenate(each) for each in self._changes]


def told(
  storyteller: storyteller_lib.Storyteller,
  start: storyteller_lib.Start,
  seconds: float,
  seed: int,
) -> Long:
  """Tells as many stories as there are lanes; none of them ends before."""
  teller, lanes = storyteller.teller, storyteller.engine.lanes
  total, looks, times = storyteller.chunks_of(seconds), [], []
  due = [storyteller.chunks_of(seconds / 2**n) for n in range(3, -1, -1)]
  screen = _Screen(lanes)
  tellings = [
    storyteller.begin(start, start.prompt, seed + n) for n in range(lanes)
  ]
  with compilations() as compiled:
    for chunk in range(1, total):
      began = time.perf_counter()
      tellings = _advanced(teller, tellings, screen)
      times.append(time.perf_counter() - began)
      if chunk + 1 in due:
        teller.wait()
        looks.append(
          Look(
            storyteller.time_of(chunk + 1),
            _resident(),
            sum(array.nbytes for array in jax.live_arrays()),
            len(compiled),
          )
        )
  return Long(looks, times, screen.changes)


def _advanced(
  teller: telling_lib.Teller,
  tellings: list[telling_lib.Telling],
  screen: _Screen,
) -> list[telling_lib.Telling]:
  """Stories one chunk on; one that the model would end goes on in silence."""
  count = len(tellings[0].roll.latents)
  tellings = teller.advance(tellings, None, screen)
  over = [n for n, telling in enumerate(tellings) if telling.roll.ended]
  if over:
    again = [tellings[n].until(count) for n in over]

    def renamed(event: telling_lib.Event) -> None:
      screen(event._replace(story=over[event.story]))

    asks = [roll_lib.Ask(())] * len(over)
    for n, telling in zip(
      over, teller.advance(again, asks, renamed), strict=True
    ):
      tellings[n] = telling
  return tellings


def _resident() -> int:
  """Bytes of memory that this process holds."""
  lines = pathlib.Path('/proc/self/status').read_text().splitlines()
  line = next(line for line in lines if line.startswith('VmRSS'))
  return int(line.split()[1]) * 1024


def report(storyteller: storyteller_lib.Storyteller, long: Long) -> str:
  """Three small tables: memory, time, spectrum."""
  config = storyteller.config
  lines = [
    '| told | resident | live arrays | programs |',
    '|---|---|---|---|',
    *(
      f'| {look.seconds:.0f} s | {look.resident / _MIB:.0f} MiB '
      f'| {look.live / _MIB:.2f} MiB | {look.programs} |'
      for look in long.looks
    ),
  ]
  # Once a period a window is read again: what counts is a period's mean.
  period = config.window - config.kept
  whole = len(long.chunks) // period * period
  means = np.reshape(long.chunks[-whole:], (-1, period)).mean(axis=1)
  quarters = [
    f'{1e3 * np.median(part):.0f} ms' for part in np.array_split(means, 4)
  ]
  lines += ['', f'a chunk, by quarters of the story: {", ".join(quarters)}']
  return '\n'.join([*lines, '', *_spectrum(storyteller, long.changes)])


def _spectrum(
  storyteller: storyteller_lib.Storyteller, changes: list[np.ndarray]
) -> list[str]:
  """Whether the window's period is seen."""
  config, step = storyteller.config, storyteller.step
  period = step * (config.window - config.kept)
  first = step * (config.window - 1)  # Where a window opens anew at first.
  settled = [each[first:] for each in changes]
  periods = [period - step, period, period + step, period + 3 * step]
  lines = [
    '| period | lines above what is beside them, mean of the stories; each |',
    '|---|---|',
  ]
  for each in periods:
    found = [flicker.strength(part, each, step) for part in settled]
    note = ', the window' if each == period else ''
    lines.append(
      f'| {each} frames{note} | {np.mean(found):.2f}; '
      f'{", ".join(f"{ratio:.2f}" for ratio in found)} |'
    )
  jumps = [flicker.jump(part, period, step) for part in settled]
  phases = [
    np.mean([part[phase::period].mean() for part in settled])
    for phase in range(period)
  ]
  begins = [f'{level:.2f}' for level in phases[::step]]
  inside = [phase for n, phase in enumerate(phases) if n % step]
  return [
    *lines,
    '',
    f'change where chunks begin, the window anew at the first: '
    f'{", ".join(begins)}; within them {np.mean(inside):.2f}; the first beside '
    f'the others, in errors: {", ".join(f"{jump:+.1f}" for jump in jumps)}',
  ]
