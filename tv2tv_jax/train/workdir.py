"""A workdir belongs to one configuration."""

import json
import os
import pathlib
from typing import Any, TypeVar

from tv2tv_jax import config as config_lib

Schema = TypeVar('Schema')
_NAME = 'config.json'


def claim(workdir: pathlib.Path, config: Any) -> None:
  """Makes the workdir, or checks that it is of the same configuration.

  Raises:
    ValueError: the workdir is of another configuration; names what differs.
  """
  workdir.mkdir(parents=True, exist_ok=True)
  path = workdir / _NAME
  if path.exists():
    lines = config_lib.differences(config, read(workdir, type(config)))
    if lines:
      raise ValueError(
        f'{workdir} is of another configuration: {"; ".join(lines)}. '
        'Give its values, or another --workdir'
      )
    return
  write_whole(path, config_lib.to_json(config))


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
