"""A run from its first step, or its last checkpoint, to its end."""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import functools
import pathlib
import time
from typing import Any, NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp

from tv2tv_jax.train import birth
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import feed as feed_lib
from tv2tv_jax.train import flops
from tv2tv_jax.train import journal as journal_lib
from tv2tv_jax.train import optimizer as optimizer_lib
from tv2tv_jax.train import preemption
from tv2tv_jax.train import profile as profile_lib
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.train import step as step_lib
from tv2tv_jax.train import watchdog as watchdog_lib
from tv2tv_jax.typing import Metrics
from tv2tv_jax.typing import PrngKey

Evaluate = Callable[[nnx.Module], Mapping[str, float]]
Show = Callable[[nnx.Module, int], None]
Program = Callable[..., tuple[state_lib.TrainState, Metrics]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
  """How long a run is, and what it leaves behind.

  Attributes:
    steps: at most this many.
    minutes: where set, the run also ends after that much training time; the
      learning rate follows whichever limit is nearer, so that a slow machine
      still gets a finished schedule.
    seed: of initial parameters and of all randomness in training.
    accumulate: parts that a batch is taken in, one after another, for the same
      result in less memory.
    log_every: steps between records of metrics.
    evaluate_every: steps between evaluations; one more comes at the end.
    show_every: steps between pictures of what the model does; 0: none.
    save_every: steps between checkpoints; one more comes at the end.
    keep: checkpoints that stay.
    keep_every: steps between those that stay for ever; 0: none do.
    max_skipped: the run ends when so many steps in a row were not finite.
    watchdog_seconds: the process ends when no step is completed for so long,
      or nothing else for four times as long; 0: it waits for ever.
    ema: decay of the moving average of the parameters.
    optimizer: how parameters move.
  """

  steps: int = 1000
  minutes: float | None = None
  seed: int = 0
  accumulate: int = 1
  log_every: int = 20
  evaluate_every: int = 1000
  show_every: int = 0
  save_every: int = 1000
  keep: int = 2
  keep_every: int = 0
  max_skipped: int = 10
  watchdog_seconds: float = 900.0
  ema: float = 0.995
  optimizer: optimizer_lib.OptimizerConfig = optimizer_lib.OptimizerConfig()

  def __post_init__(self):
    may_be_0 = ('seed', 'show_every', 'keep_every', 'watchdog_seconds')
    for name, value in dataclasses.asdict(self).items():
      least = 0 if name in may_be_0 else 1
      if name not in ('minutes', 'ema', 'optimizer') and value < least:
        raise ValueError(f'train.{name} is {value}: give {least} or more')


class Extras(NamedTuple):
  """What a run may have beside what it learns, and from what.

  Attributes:
    evaluate: figures of the averaged model, for the metrics.
    show: draws what the averaged model does after a step.
    begin: what to make of the model at birth; it may give up its argument.
    fingerprints: what else the run depends on, by name; it does not go on
      where one is another.
    cost: what a step takes, for its pace.
    profile: steps to trace.
    board: opens what is told the metrics, too.
  """

  evaluate: Evaluate | None = None
  show: Show | None = None
  begin: birth.Begin | None = None
  fingerprints: Mapping[str, str] | None = None
  cost: flops.Cost | None = None
  profile: profile_lib.Steps | None = None
  board: journal_lib.Board | None = None


def train(
  init: Callable[[PrngKey], nnx.Module],
  loss: step_lib.Loss | step_lib.Lesson,
  batches: Any,
  config: TrainConfig,
  workdir: pathlib.Path,
  **extras: Any,
) -> state_lib.TrainState:
  """Trains, or goes on training, what is in `workdir`.

  Args:
    init: makes the model from a key.
    loss: `(model, batch, key, progress) -> (loss, metrics)`, or a lesson that
      holds one.
    batches: an iterator of batches, or `feed.Data` that holds one; its position
      is part of each checkpoint. Each of their shapes is compiled once.
    config: how long, how fast, what is kept.
    workdir: gets `checkpoints/`, `metrics.jsonl`.
    **extras: fields of `Extras`.

  Returns:
    The state at the end; at once where the run was over before.

  Raises:
    FloatingPointError: too many steps in a row that were not finite.
    ValueError: the checkpoint in `workdir` is of another model or other data.
    preemption.Preempted: the run was told to stop, and is saved.
    KeyboardInterrupt: likewise, by a person.
  """
  began = time.monotonic()
  extra = Extras(**extras)
  told = step_lib.lesson(loss)._replace(accumulate=config.accumulate)
  workdir.mkdir(parents=True, exist_ok=True)
  with (
    watchdog_lib.Watchdog(config.watchdog_seconds, workdir) as watchdog,
    preemption.Notice() as notice,
    checkpoint.Checkpoints(
      workdir,
      every=config.save_every,
      keep=config.keep,
      keep_every=config.keep_every,
      fingerprints=extra.fingerprints,
    ) as checkpoints,
  ):
    feed = feed_lib.Feed(feed_lib.data(batches))
    state = birth.begun(
      init, told, config.optimizer, config.seed, extra.begin, feed, checkpoints
    )
    if float(state.progress) < 1.0:
      with (
        journal_lib.Journal(
          workdir,
          state,
          began,
          steps=config.steps,
          minutes=config.minutes,
          cost=extra.cost,
          board=extra.board,
        ) as journal,
        profile_lib.Profile(workdir, extra.profile) as profile,
      ):
        journal.note(restore=checkpoints.restore_seconds)
        session = _Session(
          config, extra, feed, checkpoints, watchdog, notice, journal, profile
        )
        state = session.run(state, program(told, config))
    watchdog.rest()
  return state


def program(told: step_lib.Lesson, config: TrainConfig) -> Program:
  """The step of a run, compiled when it is first called; gives up the state."""
  return jax.jit(
    functools.partial(
      step_lib.train_step,
      loss=told,
      optimizer=config.optimizer,
      ema=config.ema,
    ),
    donate_argnums=0,
    compiler_options=told.compiler_options,
  )


class _Sent(NamedTuple):
  """A step that was sent to the devices, and may still run there."""

  step: int
  progress: float
  metrics: Metrics


class _Session(NamedTuple):
  """The steps from where a run stands to its end, or until it is told to stop.

  What a step gives is looked at while the next one runs, and no more are sent.
  """

  config: TrainConfig
  extra: Extras
  feed: feed_lib.Feed
  checkpoints: checkpoint.Checkpoints
  watchdog: watchdog_lib.Watchdog
  notice: preemption.Notice
  journal: journal_lib.Journal
  profile: profile_lib.Profile

  def run(
    self, state: state_lib.TrainState, program: Program
  ) -> state_lib.TrainState:
    """A batch, a step, a look at the step before; now and then more."""
    clock, pace = self.journal.clock, self.journal.pace
    step, progress, sent = int(state.step), float(state.progress), None
    key = jax.random.key(self.config.seed)
    while progress < 1.0:
      batch = next(self.feed)
      step += 1
      progress = clock.progress(step)
      self.profile.before(step)
      with self._compiling(batch):
        state, metrics = program(state, batch, key, jnp.float32(progress))
      over = progress >= 1.0
      if not over:
        with pace.waiting(metrics['loss'].is_ready):
          self.feed.fetch()
      self._landed(sent)
      sent = _Sent(step, progress, metrics)
      stop = self.notice.reached(step)
      if over or stop or self._is_due(step):
        self._landed(sent)
        sent = None
        self._look_at(state.ema, step, over)
        with self.watchdog.patient():
          save = functools.partial(self.checkpoints.save, state, self.feed)
          pace.stalled(save(step=step, last=over or stop))
      if stop and not over:
        self.notice.stop(step)
    return state

  @contextlib.contextmanager
  def _aside(self) -> Iterator[None]:
    """What is no training, and may take longer than a step."""
    with self.watchdog.patient(), self.journal.clock.paused():
      yield

  @contextlib.contextmanager
  def _compiling(self, batch: Any) -> Iterator[None]:
    """The first step of a shape waits for the compiler: that is no training."""
    if not self.journal.is_new(batch):
      yield
      return
    begin = time.monotonic()
    with self._aside():
      yield
    self.journal.note(compile=time.monotonic() - begin)

  def _landed(self, sent: _Sent | None) -> None:
    """Waits until a step is over, and tells of it.

    Raises:
      FloatingPointError: too many steps in a row that were not finite.
    """
    if sent is None:
      return
    step, progress, metrics = sent
    skipped = int(metrics['skipped'])  # Waits.
    self.watchdog.moved()
    self.profile.after(step)
    self.journal.stepped(step)
    if step % self.config.log_every == 0 or progress >= 1.0 or skipped:
      self.journal.tell(step, progress, metrics)
    if skipped >= self.config.max_skipped:
      raise FloatingPointError(
        f'{skipped} steps in a row, the last one {step}, were skipped, for '
        'their loss or its gradient was not finite: lower config.train.'
        'optimizer.rate, or look at their data; checkpoints hold the model as '
        'it was before them'
      )

  def _is_due(self, step: int) -> bool:
    """Whether there is more to do after a step than to go on."""
    config = self.config
    every = (config.evaluate_every, config.show_every, config.save_every)
    return any(n and step % n == 0 for n in every)

  def _look_at(self, model: nnx.Module, step: int, over: bool) -> None:
    """Evaluates and draws, where that is due."""
    evaluate, show = self.extra.evaluate, self.extra.show
    if evaluate and (step % self.config.evaluate_every == 0 or over):
      with self._aside():
        self.journal.evaluated(step, evaluate(model))
    every = self.config.show_every
    if show and every and (step % every == 0 or over):
      with self._aside():
        show(model, step)
