"""How stories are told: what is compiled in, and what each may choose."""

from collections.abc import Mapping
import dataclasses
import itertools
from typing import Literal, NamedTuple

import numpy as np

from tv2tv_jax import sharding
from tv2tv_jax.flow import solvers
from tv2tv_jax.flow import times as times_lib
from tv2tv_jax.sample import frames
from tv2tv_jax.sample import words

MOST_STEPS = 128  # of a chunk, what a compiled program has room for


class Settings(NamedTuple):
  """What a story may choose for itself; all of it open in the paper.

  Attributes:
    steps: of a chunk, from noise to data; 1 to 128.
    shift: above 1, steps are shorter near the noise; see `times.shifted`.
    guidance: scale of classifier-free guidance on words; 1: none.
    guidance_from: flow time from which a chunk is guided,
    guidance_to: and up to which it is.
    temperature: of the words; 0: always the likeliest.
    top_p: words are drawn from the likeliest of this probability together.
    times: the flow times of the steps, rising, the first 0, none of them 1, in
      place of `steps` and `shift`; (): these say.
  """

  steps: int = 20
  shift: float = 1.0
  guidance: float = 2.0
  guidance_from: float = 0.0
  guidance_to: float = 1.0
  temperature: float = 1.0
  top_p: float = 1.0
  times: tuple[float, ...] = ()

  def checked(self) -> 'Settings':
    """The same, if every value is in its range.

    Raises:
      ValueError: one is not; it is named.
    """
    for name, low, high in (
      ('steps', 1, MOST_STEPS),
      ('shift', 1e-3, 1e3),
      ('guidance', -100, 100),
      ('guidance_from', 0, 1),
      ('guidance_to', self.guidance_from, 1),
      ('temperature', 0, 100),
      ('top_p', 1e-6, 1),
    ):
      value = getattr(self, name)
      if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f'{name} is {value!r}: give a number')
      if not low <= value <= high:  # Nor NaN.
        raise ValueError(f'{name} is {value:g}: give {low:g} to {high:g}')
    if self.steps != int(self.steps):
      raise ValueError(f'steps is {self.steps:g}: give a whole number')
    self._check_times()
    return self

  def _check_times(self) -> None:
    """Whether the flow times rise from 0."""
    if not self.times:
      return
    ends = (*self.times, 1.0)
    rises = all(a < b for a, b in itertools.pairwise(ends))
    if self.times[0] != 0 or not rises or len(self.times) > MOST_STEPS:
      raise ValueError(
        f'times is {self.times}: give {MOST_STEPS} at most, rising, the first '
        '0, all below 1'
      )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleConfig:
  """How stories are told (all open in the paper).

  Attributes:
    steps: as in `Settings`, a story's own choice, like
    shift: this,
    guidance: this,
    guidance_from: this,
    guidance_to: this,
    temperature: this,
    top_p: and this.
    solver: how a step goes, see `flow.solvers`.
    untold: what a chunk is guided away from: the same past without the words
      before this chunk, which training drops too; or the same `story` without
      any words but its prompt, which needs a cache of its own.
    window: chunks that the model looks back on, itself included.
    kept: of these, how many stay when the window is full and starts anew.
    prompt_budget: tokens of a prompt at most.
    words_budget: tokens of a chunk's words at most.
    lanes: stories that are told side by side by one program.
  """

  steps: int = 20
  shift: float = 1.0
  guidance: float = 2.0
  guidance_from: float = 0.0
  guidance_to: float = 1.0
  temperature: float = 1.0
  top_p: float = 1.0
  solver: solvers.Solver = 'euler'
  untold: Literal['words', 'story'] = 'words'
  window: int = 16
  kept: int = 8
  prompt_budget: int = 32
  words_budget: int = 16
  lanes: int = 4

  @property
  def settings(self) -> Settings:
    """What a story has that does not choose."""
    own = set(Settings._fields) & {f.name for f in dataclasses.fields(self)}
    return Settings(**{name: getattr(self, name) for name in own})


def course(settings: Mapping[int, Settings], lanes: int) -> frames.Course:
  """The ways of the stories of some lanes; the others have none."""
  times = np.ones((MOST_STEPS + 1, lanes), np.float32)
  scale, begin, end = np.zeros((3, lanes), np.float32)
  most = 0
  for lane, each in settings.items():
    own = each.times or times_lib.shifted(each.steps, each.shift)[:-1]
    times[: len(own), lane] = own
    most = max(most, len(own))
    scale[lane] = each.guidance
    begin[lane], end[lane] = each.guidance_from, each.guidance_to
  return frames.Course(times, np.int32(most), scale, begin, end)


def taste(settings: Mapping[int, Settings], lanes: int) -> words.Taste:
  """How the stories of some lanes draw their words."""
  temperature, top_p = np.ones((2, lanes), np.float32)
  for lane, each in settings.items():
    temperature[lane], top_p[lane] = each.temperature, each.top_p
  return words.Taste(temperature, top_p)


def opening(chunks: int, config: SampleConfig) -> int:
  """The first chunk of the window in which the next chunk is filmed.

  A window that is full starts anew with the last chunks of it, so that a long
  story never leaves the places that training has seen.

  Args:
    chunks: of the story so far.
    config: its `window` and `kept`.
  """
  if chunks < config.window:
    return 0
  period = config.window - config.kept
  return period * (1 + (chunks - config.window) // period)


def check(config: SampleConfig) -> None:
  """Whether the compiled-in fields can be.

  Raises:
    ValueError: one cannot; it is named.
  """
  config.settings.checked()
  for name in ('window', 'words_budget', 'lanes'):
    if getattr(config, name) < 1:
      raise ValueError(
        f'config.sample.{name} is {getattr(config, name)}: give 1 or more'
      )
  if not 1 <= config.kept < max(2, config.window):
    raise ValueError(
      f'config.sample.kept is {config.kept}: give 1 or more, and less than '
      f'config.sample.window, {config.window}'
    )
  if config.prompt_budget < 0:
    raise ValueError(
      f'config.sample.prompt_budget is {config.prompt_budget}: give 0 or more'
    )


def shared_out(config: SampleConfig) -> SampleConfig:
  """With as many lanes as the mesh can share out: these, or a few more."""
  devices = sharding.devices_along('batch')
  lanes = -(-config.lanes // devices) * devices
  return dataclasses.replace(config, lanes=lanes)


def check_mesh(config: SampleConfig, key_heads: int) -> None:
  """ValueError unless the mesh that is set, if one is, fits stories.

  Args:
    config: how many lanes there are.
    key_heads: of the model.
  """
  if not sharding.has_mesh():
    return
  if sharding.splits('length'):
    raise ValueError(
      'the mesh splits `context`, the tokens of a long row: stories have none. '
      'Give these devices to `tensor`, or to `data`'
    )
  for name, count, axis, mesh in (
    ('config.sample.lanes', config.lanes, 'batch', 'data and fsdp'),
    ('config.model.towers.key_heads', key_heads, 'heads', 'tensor'),
  ):
    devices = sharding.devices_along(axis)
    if count % devices:
      raise ValueError(
        f'{name} = {count} cannot be shared out over the {devices} devices '
        f'along {mesh}: give another --mesh, or another number'
      )
