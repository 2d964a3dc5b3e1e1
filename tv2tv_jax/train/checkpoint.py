"""A run is one bundle: state and data iterator; inference loads the model.

All of Orbax is behind this file, `bundle` and `weights`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
import contextlib
import functools
import pathlib
import time
from typing import Any, Literal

from etils import epath
from flax import nnx
import jax
from orbax.checkpoint import v1 as ocp

from tv2tv_jax import sharding
from tv2tv_jax.train import broken
from tv2tv_jax.train import bundle
from tv2tv_jax.train import feed as feed_lib
from tv2tv_jax.train import leader
from tv2tv_jax.train import state as state_lib
from tv2tv_jax.typing import PrngKey

FOLDER = 'checkpoints'


class NoCheckpointError(ValueError):
  """No checkpoint is there, or none that is whole."""


class Checkpoints:
  """The checkpoints of a workdir, saved in the background.

  Attributes:
    restore_seconds: how long `restore` took.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    *,
    every: int,
    keep: int,
    keep_every: int = 0,
    fingerprints: Mapping[str, str] | None = None,
  ):
    """Opens or makes them; what was left unfinished is removed, and said.

    Args:
      workdir: the folder of the run.
      every: steps between checkpoints.
      keep: how many of the newest stay.
      keep_every: steps between those that stay for ever; 0: none do.
      fingerprints: what else the run depends on, by name; it does not go on
        where one is another.
    """
    self.restore_seconds = 0.0
    self._workdir = workdir
    self._folder = workdir.absolute() / FOLDER
    self._every = every
    self._fingerprints = dict(fingerprints or {})
    policies = ocp.training.preservation_policies
    kept = [policies.LatestN(keep)]
    kept += [policies.EveryNSteps(keep_every)] if keep_every else []
    leader.does(functools.partial(broken.tell_unfinished, self._folder))
    with self._writing():
      self._orbax = ocp.training.Checkpointer(
        epath.Path(self._folder),
        context=bundle.context(),
        preservation_policy=policies.AnyPreservationPolicy(kept),
        cleanup_tmp_directories=True,
      )

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, *_: Any) -> None:
    with self._writing():
      self._orbax.close()

  def restore(
    self, abstract: state_lib.TrainState, feed: feed_lib.Feed
  ) -> state_lib.TrainState | None:
    """The newest state, with the feed set to where it was; None if new.

    A checkpoint that is damaged is said to be, and the one before it is used;
    then it is set aside, under the name `.broken-STEP-N`.

    Raises:
      ValueError: the checkpoint is of another state, other data or other
        fingerprints; names every difference.
      NoCheckpointError: all checkpoints are damaged; nothing is touched.
    """
    begin = time.monotonic()
    damaged = {}
    while (step := newest(self._workdir, damaged)) is not None:
      try:
        state = self._read(self._folder / str(step), abstract, feed)
      except bundle.DamagedError as error:
        damaged[step] = str(error)
        broken.say(f'{self._folder / str(step)}: DAMAGED, NOT USED: {error}')
        continue
      leader.does(lambda: broken.set_aside(self._folder, damaged, step))
      self._orbax.reload()
      self.restore_seconds = time.monotonic() - begin
      return state
    if damaged:
      raise _none_whole(self._workdir, damaged)
    return None

  def _read(
    self,
    folder: pathlib.Path,
    abstract: state_lib.TrainState,
    feed: feed_lib.Feed,
  ) -> state_lib.TrainState:
    """The state of a checkpoint, with the feed set to where it was."""
    contents = bundle.read_contents(folder)
    lines = feed_lib.differences(self._fingerprints, contents['fingerprints'])
    if lines:
      raise ValueError(
        f'{self._workdir}: its checkpoint was made with others: '
        f'{"; ".join(lines)}. Give what it was, or another --workdir'
      )
    parts = _split(abstract)
    wanted = {name: named(part) for name, part in parts.items()}
    bundle.check(self._workdir, wanted, contents)
    feed.restore(contents['data'], self._workdir)
    read = bundle.read(folder, wanted, contents)
    found = {name: unnamed(read[name], part) for name, part in parts.items()}
    return state_lib.TrainState(**found.pop('run'), **found)

  def save(
    self,
    state: state_lib.TrainState,
    feed: feed_lib.Feed,
    *,
    step: int,
    last: bool = False,
  ) -> float:
    """Saves when a checkpoint is due, or when it is the `last`, in any case.

    Args:
      state: what to save; it may be given up as soon as this returns.
      feed: where its data is.
      step: steps taken, which the caller knows without waiting for the state.
      last: also waits until the checkpoint is whole.

    Returns:
      Seconds that it held up the caller once the state was there.

    Raises:
      OSError: this checkpoint, or the one before, could not be written; names
        the folder.
    """
    if step % self._every and not last:
      return 0.0
    jax.block_until_ready(state)
    begin = time.monotonic()
    with self._writing():
      self._orbax.wait()
      latest = self._orbax.latest
      if latest is None or latest.step != step:
        parts = {name: named(part) for name, part in _split(state).items()}
        contents = bundle.contents(
          parts, data=feed.saved(), fingerprints=self._fingerprints
        )
        self._orbax.save_checkpointables_async(
          step, {**parts, bundle.CONTENTS: contents}, force=True
        )
      if last:
        self._orbax.wait()
    return time.monotonic() - begin

  @contextlib.contextmanager
  def _writing(self) -> Iterator[None]:
    """What Orbax raises, maybe of the checkpoint before, in one line."""
    try:
      yield
    except Exception as error:
      raise OSError(
        f'{self._folder}: a checkpoint could not be written, those before it '
        f'stay whole: {bundle.reason(error)}'
      ) from error


def restore_model(
  workdir: pathlib.Path,
  init: Callable[[PrngKey], nnx.Module],
  *,
  part: Literal['model', 'ema'] = 'ema',
  step: int | None = None,
) -> nnx.Module:
  """The model of the newest checkpoint of a workdir that is whole.

  Nothing there is changed: the run may go on meanwhile, and remove what is
  being read. Then the next newest is.

  Args:
    workdir: the folder of a run.
    init: makes a model of the same shape from a key; it is never run.
    part: the averaged one, or the one that is trained.
    step: of this checkpoint, and no other.

  Raises:
    NoCheckpointError: no checkpoint there that is whole.
    ValueError: it is of another model; names every difference.
  """
  abstract = sharding.abstract(init, jax.random.key(0))
  wanted = {part: named(abstract)}
  damaged = {}
  while (found := newest(workdir, damaged, step)) is not None:
    folder = workdir.absolute() / FOLDER / str(found)
    try:
      contents = bundle.read_contents(folder)
      bundle.check(workdir, wanted, contents)
      parts = bundle.read(folder, wanted, contents)
    except bundle.DamagedError as error:
      damaged[found] = str(error) if folder.exists() else 'removed meanwhile'
      broken.say(f'{folder}: not used: {damaged[found]}')
      continue
    return unnamed(parts[part], abstract)
  if damaged:
    raise _none_whole(workdir, damaged)
  which = '' if step is None else f' of step {step}'
  raise NoCheckpointError(f'{workdir}: no checkpoint{which} there; train first')


def finished(workdir: pathlib.Path) -> list[int]:
  """The steps of finished checkpoints, oldest first, as this process sees them.

  They may be damaged all the same: that shows when they are read.
  """
  folder = workdir.absolute() / FOLDER
  if not folder.is_dir():
    return []
  names = ocp.path.step.standard_name_format()
  return sorted(found.step for found in names.find_all(folder))


def begun(workdir: pathlib.Path) -> bool:
  """Whether a run in `workdir` would go on from a checkpoint."""
  return newest(workdir) is not None


def newest(
  workdir: pathlib.Path, but: Collection[int] = (), only: int | None = None
) -> int | None:
  """The step of the newest checkpoint that the leader sees; None if none is.

  Steps of `but` do not count, and where `only` is set no other does.
  """
  steps = finished(workdir) if sharding.leads() else []
  steps = [s for s in steps if s not in but and only in (None, s)]
  step = int(leader.decides(steps[-1] if steps else -1))
  return None if step < 0 else step


def _none_whole(
  workdir: pathlib.Path, damaged: Mapping[int, str]
) -> NoCheckpointError:
  """Says of each checkpoint why it cannot be used."""
  lines = [f'{step}: {reason}' for step, reason in damaged.items()]
  return NoCheckpointError(
    f'{workdir / FOLDER}: no checkpoint there is whole: {"; ".join(lines)}. '
    'Bring one back, or begin anew in another --workdir'
  )


def _split(state: state_lib.TrainState) -> dict[str, Any]:
  """The state in the parts that can be loaded one by one."""
  run = state._asdict()
  parts = {name: run.pop(name) for name in ('model', 'ema', 'optimizer')}
  return {**parts, 'run': run}


def named(tree: Any) -> dict[str, Any]:
  """A tree as a flat mapping from `a.b.0.kernel` to arrays.

  What is on disk then depends on the names in our modules alone, not on how
  the library that holds them nests them.
  """
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {_name(path): leaf for path, leaf in leaves}


def unnamed(arrays: Mapping[str, Any], like: Any) -> Any:
  """The inverse of `named`, in the structure of `like`."""
  leaves, structure = jax.tree_util.tree_flatten_with_path(like)
  return jax.tree.unflatten(structure, [arrays[_name(p)] for p, _ in leaves])


def _name(path: Any) -> str:
  """`a.b.0.kernel` of a path of keys."""
  name = jax.tree_util.keystr(path, simple=True, separator='.')
  return name.removesuffix('.value')
