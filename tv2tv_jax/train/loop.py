"""A run from its first step, or its last checkpoint, to its end."""

from collections.abc import Callable, Mapping
import contextlib
import dataclasses
import functools
import pathlib
import time
from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
import tqdm

from tv2tv_jax import sharding
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import feed as feed_lib
from tv2tv_jax.train import metrics as metrics_lib
from tv2tv_jax.train import optimizer as optimizer_lib
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.train import step as step_lib
from tv2tv_jax.typing import Metrics
from tv2tv_jax.typing import PrngKey

Begin = Callable[[nnx.Module], nnx.Module]
Evaluate = Callable[[nnx.Module], Mapping[str, float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
  """How long a run is, and what it leaves behind.

  Attributes:
    steps: at most this many.
    minutes: where set, the run also ends after that much training time; the
      learning rate follows whichever limit is nearer, so that a slow machine
      still gets a finished schedule.
    seed: of initial parameters and of all randomness in training.
    log_every: steps between records of metrics.
    evaluate_every: steps between evaluations; one more comes at the end.
    save_every: steps between checkpoints; one more comes at the end.
    keep: checkpoints that stay.
    ema: decay of the moving average of the parameters.
    optimizer: how parameters move.
  """

  steps: int = 1000
  minutes: float | None = None
  seed: int = 0
  log_every: int = 20
  evaluate_every: int = 1000
  save_every: int = 1000
  keep: int = 2
  ema: float = 0.995
  optimizer: optimizer_lib.OptimizerConfig = optimizer_lib.OptimizerConfig()


def train(
  init: Callable[[PrngKey], nnx.Module],
  loss: step_lib.Loss | step_lib.Lesson,
  batches: Any,
  config: TrainConfig,
  workdir: pathlib.Path,
  *,
  evaluate: Evaluate | None = None,
  begin: Begin | None = None,
) -> state_lib.TrainState:
  """Trains, or goes on training, what is in `workdir`.

  Args:
    init: makes the model from a key.
    loss: `(model, batch, key, progress) -> (loss, metrics)`, or a lesson that
      holds one.
    batches: an iterator of batches, or `feed.Data` that holds one; its position
      is part of each checkpoint. The step is compiled once for each of their
      shapes.
    config: how long, how fast, what is kept.
    workdir: gets `checkpoints/` and `metrics.jsonl`.
    evaluate: figures of the averaged model, for the metrics.
    begin: what to make of the model at birth; it may give up its argument.

  Returns:
    The state at the end; at once where the run was over before.

  Raises:
    FloatingPointError: a loss that is not finite.
    ValueError: the checkpoint in `workdir` is of another model or other data.
  """
  workdir.mkdir(parents=True, exist_ok=True)
  transformation = optimizer_lib.direction(config.optimizer)

  def state_of(model: nnx.Module) -> state_lib.TrainState:
    return state_lib.born(model, transformation)

  # Threefry would take the compiler five times as long to draw parameters.
  birth_key = jax.random.key(config.seed, impl='rbg')
  train_key = jax.random.key(config.seed)
  with checkpoint.Checkpoints(
    workdir, every=config.save_every, keep=config.keep
  ) as checkpoints:
    abstract = sharding.abstract(lambda key: state_of(init(key)), birth_key)
    feed = feed_lib.Feed(feed_lib.data(batches))
    state = checkpoints.restore(abstract, feed)
    if state is None:
      model = jax.jit(init)(birth_key)
      model = begin(model) if begin else model
      state = jax.jit(state_of, donate_argnums=0)(model)
      del model
    if float(state.progress) < 1.0:
      step = jax.jit(
        functools.partial(
          step_lib.train_step,
          loss=loss,
          optimizer=config.optimizer,
          ema=config.ema,
        ),
        donate_argnums=0,
        compiler_options=step_lib.lesson(loss).compiler_options,
      )
      advance = functools.partial(step, key=train_key)
      state = _advance(
        state, advance, feed, config, workdir, checkpoints, evaluate
      )
    return state


def _advance(
  state: state_lib.TrainState,
  advance: Callable[..., tuple[state_lib.TrainState, Metrics]],
  feed: feed_lib.Feed,
  config: TrainConfig,
  workdir: pathlib.Path,
  checkpoints: checkpoint.Checkpoints,
  evaluate: Evaluate | None,
) -> state_lib.TrainState:
  """Steps until the run is over."""
  step = int(state.step)
  writer = metrics_lib.Writer(workdir / 'metrics.jsonl', step)
  clock = _Clock(config, float(state.progress))
  bar = tqdm.tqdm(
    total=config.steps,
    initial=step,
    unit='step',
    desc=workdir.name,
    mininterval=1.0,
    dynamic_ncols=True,
  )
  with bar:
    progress, seen = float(state.progress), set()
    while progress < 1.0:
      batch = next(feed)
      step += 1
      progress = clock.progress(step)
      shapes = tuple(leaf.shape for leaf in jax.tree.leaves(batch))
      with contextlib.nullcontext() if shapes in seen else clock.paused():
        # The first step of a shape waits for the compiler: that is no training.
        state, metrics = advance(state, batch, progress=jnp.float32(progress))
      seen.add(shapes)
      bar.update()
      over = progress >= 1.0
      if not over:
        feed.fetch()  # While the step runs.
      if step % config.log_every == 0 or over:
        # Waits for the step: the clock then counts work done, not work sent.
        writer.write(step, {'seconds': clock.seconds(), **metrics})
        bar.set_postfix(_shown(metrics, clock, progress), refresh=False)
      if evaluate and (step % config.evaluate_every == 0 or over):
        with clock.paused():
          writer.write(step, evaluate(state.ema))
      checkpoints.save(state, feed, last=over)
  return state


def _shown(
  metrics: Mapping[str, jax.Array], clock: '_Clock', progress: float
) -> dict[str, str]:
  """What the progress line says."""
  left = clock.seconds() * (1 / progress - 1) if progress else 0
  return {'loss': f'{float(metrics["loss"]):.4f}', 'left': f'{left:.0f}s'}


class _Clock:
  """Training time of a run over all its sessions, evaluations left out."""

  def __init__(self, config: TrainConfig, progress: float):
    self._steps = config.steps
    self._limit = 60 * config.minutes if config.minutes else None
    self._past = progress * self._limit if self._limit else 0.0
    self._start = time.monotonic()

  def seconds(self) -> float:
    """Seconds of training so far; of this session where no limit is set."""
    return self._past + time.monotonic() - self._start

  def progress(self, step: int) -> float:
    """Share of the run over after `step` steps, in [0, 1]."""
    share = step / self._steps
    if self._limit:
      share = max(share, self.seconds() / self._limit)
    return min(1.0, share)

  def paused(self) -> '_Pause':
    """A context whose time does not count."""
    return _Pause(self)

  def forward(self, seconds: float) -> None:
    """Moves the start by a pause of so many seconds."""
    self._start += seconds


class _Pause:
  """See `_Clock.paused`."""

  def __init__(self, clock: _Clock):
    self._clock = clock

  def __enter__(self) -> None:
    self._begin = time.monotonic()

  def __exit__(self, *_: Any) -> None:
    self._clock.forward(time.monotonic() - self._begin)
