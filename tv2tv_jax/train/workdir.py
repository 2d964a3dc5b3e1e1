"""A workdir belongs to one configuration."""

import json
import os
import pathlib
from typing import Any, TypeVar

from tv2tv_jax import config as config_lib
from tv2tv_jax.train import leader

Schema = TypeVar('Schema')
_NAME = 'config.json'
# What changes no result, but for rounding: a run may go on with other values.
# The machine it goes on with decides over some of them.
FREE = frozenset(
  f'config.{name}'
  for name in (
    'train.accumulate',
    'train.log_every',
    'train.evaluate_every',
    'train.save_every',
    'train.show_every',
    'train.keep',
    'train.keep_every',
    'train.max_skipped',
    'train.watchdog_seconds',
    'model.towers.remat',
    'model.towers.unroll',
    'data.workers',
  )
)


def claim(workdir: pathlib.Path, config: Any) -> None:
  """Makes the workdir, or checks that it is of the same configuration.

  What changes no result may differ, and is what it is now from then on.

  Raises:
    ValueError: the workdir is of another configuration (names what differs), or
      cannot be written; on all processes.
  """
  leader.does(lambda: _claim(workdir, config))


def _claim(workdir: pathlib.Path, config: Any) -> None:
  if (workdir / _NAME).exists():
    found = read(workdir, type(config))
    lines = [
      line
      for line in config_lib.differences(config, found)
      if line.split()[0] not in FREE
    ]
    if lines:
      raise ValueError(
        f'{workdir} is of another configuration: {"; ".join(lines)}. '
        'Give its values, or another --workdir'
      )
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    write_whole(workdir / _NAME, config_lib.to_json(config))
  except OSError as error:
    raise ValueError(
      f'{workdir} cannot be written ({error.strerror}): make room there, or '
      'give another --workdir'
    ) from error


def read(workdir: pathlib.Path, schema: type[Schema]) -> Schema:
  """The configuration of a workdir.

  Raises:
    ValueError: no workdir, or not of this kind of configuration.
  """
  path = workdir / _NAME
  if not path.exists():
    raise ValueError(f'{workdir}: no {_NAME} there; is it a workdir?')
  try:
    values = json.loads(path.read_text())
  except json.JSONDecodeError as error:
    raise ValueError(f'{path}: no JSON: {error}') from error
  return config_lib.from_config_dict(schema, values, where=str(path))


def write_whole(path: pathlib.Path, content: str | bytes) -> None:
  """Writes a file under another name and renames it when it is whole."""
  content = content.encode() if isinstance(content, str) else content
  partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
  try:
    partial.write_bytes(content)
    partial.replace(path)
  finally:
    partial.unlink(missing_ok=True)
