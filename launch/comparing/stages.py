"""Programs run one after another, each once, however often one begins."""

from collections.abc import Iterator, Sequence
import contextlib
import fcntl
import json
import pathlib
import shlex
import signal
import subprocess
import sys
import time
from typing import NamedTuple

from launch import figures
from launch import page
from tv2tv_jax.train import workdir as workdir_lib

SECONDS = 'stages.json'
_MARKS = '.stages'


class Stage(NamedTuple):
  """A program that is run once.

  Attributes:
    name: of the stage; what stands before a slash is its kind.
    command: the program of `launch` and its flags.
    proof: what is there when it has ended well.
  """

  name: str
  command: tuple[str, ...]
  proof: pathlib.Path

  @property
  def kind(self) -> str:
    """What it does; stages of a kind take about as long."""
    return self.name.partition('/')[0]

  @property
  def line(self) -> str:
    """As it is written on a command line."""
    return f'python -m launch.{shlex.join(self.command)}'


class StoppedError(Exception):
  """A stage did not end well; its own words have been said.

  Attributes:
    status: with which it ended; 0: it was asked to.
  """

  def __init__(self, status: int):
    super().__init__(f'exit status {status}')
    self.status = status


class Stages:
  """The stages of a folder: which of them are done, and how long they took."""

  def __init__(self, folder: pathlib.Path):
    self._folder = folder
    self._marks = folder / _MARKS

  @contextlib.contextmanager
  def held(self) -> Iterator[None]:
    """Keeps the folder to this process.

    Raises:
      ValueError: another one is at work there.
    """
    self._marks.mkdir(parents=True, exist_ok=True)
    with (self._marks / 'lock').open('a') as file:
      try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
      except BlockingIOError:
        raise ValueError(
          f'{self._folder}: another comparison is at work there; wait, or give '
          'another --workdir'
        ) from None
      yield

  def seconds(self) -> dict[str, float]:
    """Wall seconds of each stage so far, over all the runs that worked on it.

    Raises:
      ValueError: the file that keeps them is damaged.
    """
    path = self._folder / SECONDS
    return {each['stage']: each['seconds'] for each in figures.stages(path)}

  def is_done(self, stage: Stage) -> bool:
    """Whether it ended well, with this very command."""
    try:
      mark = self._mark(stage).read_text(encoding='utf-8')
    except FileNotFoundError:
      return False
    return mark == stage.line and stage.proof.exists()

  def run(self, stage: Stage, every: Sequence[Stage]) -> bool:
    """Runs a stage unless it is done; whether it was run.

    Args:
      stage: which one.
      every: all stages, to say where among them this one is.

    Raises:
      StoppedError: it did not end well, or was asked to end.
    """
    place = f'[{1 + every.index(stage)}/{len(every)}] {stage.name}'
    if self.is_done(stage):
      print(f'== {place}: done', flush=True)
      return False
    print(f'== {place}{self._left(every)}\n   {stage.line}', flush=True)
    began = time.monotonic()
    try:
      status, asked = _status(stage.command)
    finally:
      spent = self.seconds()
      spent[stage.name] = spent.get(stage.name, 0) + time.monotonic() - began
      text = json.dumps({k: round(v, 1) for k, v in spent.items()}, indent=1)
      workdir_lib.write_whole(self._folder / SECONDS, text + '\n')
    if status or asked or not stage.proof.exists():
      raise StoppedError(status)
    self._mark(stage).parent.mkdir(parents=True, exist_ok=True)
    workdir_lib.write_whole(self._mark(stage), stage.line)
    return True

  def _mark(self, stage: Stage) -> pathlib.Path:
    """Where it stands with which command the stage was done."""
    return self._marks / f'{stage.name}.done'

  def _left(self, every: Sequence[Stage]) -> str:
    """About how long the stages that are not done will take, in words.

    A kind of which none has been done yet is not counted.
    """
    spent = self.seconds()
    done = {each for each in every if self.is_done(each)}
    seconds, unknown = 0.0, set()
    for stage in every:
      known = [spent[s.name] for s in done if s.kind == stage.kind]
      if stage not in done and known:
        seconds += sum(known) / len(known)
      elif stage not in done:
        unknown.add(stage.kind)
    if not seconds:
      return ''
    beside = f' and {", ".join(sorted(unknown))}' if unknown else ''
    return f'; about {page.duration(seconds)} left{beside}'


def _status(command: Sequence[str]) -> tuple[int, bool]:
  """The exit status of a program, and whether this one was asked to end.

  SIGTERM is passed on: a program that trains saves first. Ctrl-C reaches both,
  and the program ends as it does alone.
  """
  program, *flags = command
  asked = []
  with subprocess.Popen(
    [sys.executable, '-m', f'launch.{program}', *flags]
  ) as child:

    def pass_on(number: int, _) -> None:
      asked.append(number)
      child.send_signal(number)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
      while True:
        with contextlib.suppress(KeyboardInterrupt):
          return child.wait(), bool(asked)
    finally:
      signal.signal(signal.SIGTERM, before)
