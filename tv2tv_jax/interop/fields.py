"""The fields of a config.json, and what is said of those that do not fit."""

from collections.abc import Iterable, Iterator, Mapping
import pathlib
from typing import Any

from tv2tv_jax.interop import safetensors

NAME = 'config.json'


def of(folder: pathlib.Path) -> dict[str, Any]:
  """What the config.json of a folder holds.

  Raises:
    ValueError: no such folder, or no such mapping in it.
  """
  if not folder.is_dir():
    raise ValueError(f'{folder}: no such folder')
  return safetensors.mapping(folder / NAME)


def refuse(folder: pathlib.Path, lines: Iterable[str]) -> None:
  """Raises ValueError of all the lines that tell of a field, if any do."""
  wrong = list(lines)
  if wrong:
    raise ValueError(f'{folder / NAME}: {"; ".join(wrong)}')


def no_sizes(values: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
  """A line for each field that is no positive integer."""
  for name in names:
    if not is_size(values.get(name)):
      yield f'{name} is {values.get(name)!r}, not a positive integer'


def no_lists(values: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
  """A line for each field that is no list of positive integers."""
  for name in names:
    value = values.get(name)
    if not isinstance(value, list) or not all(map(is_size, value)):
      yield f'{name} is {value!r}, not a list of positive integers'


def is_size(value: Any) -> bool:
  """Whether it is a positive integer."""
  return type(value) is int and value > 0


def unsupported(
  values: Mapping[str, Any], only: Mapping[str, Any]
) -> Iterator[str]:
  """A line for each field that has not the only value that is supported."""
  for name, value in only.items():
    if values.get(name, value) != value:
      yield f'{name} is {values[name]!r}; supported is {value!r}'
