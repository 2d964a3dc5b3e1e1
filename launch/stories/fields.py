"""JSON that a person wrote, or that came from elsewhere, field by field."""

from collections.abc import Mapping
import json
import math
import reprlib
from typing import Any, get_args

from tv2tv_jax.sample import settings as settings_lib

_NAMES = {
  str: 'a text',
  bool: 'true or false',
  object: 'anything',
  int: 'a whole number',
  float: 'a number',
  list: 'a list',
  dict: 'an object',
}
# The settings of a story, and the type of each.
SETTINGS = {
  name: {'steps': int, 'times': list}.get(name, float)
  for name in settings_lib.Settings._fields
}


def parsed(data: bytes, where: str) -> dict[str, Any]:
  """The JSON object that bytes are.

  Raises:
    ValueError: not UTF-8, no JSON, a number that is none, a field that is there
      twice, or no object.
  """
  try:
    values = json.loads(
      data.decode(), object_pairs_hook=_once, parse_constant=_no_number
    )
  except UnicodeDecodeError as error:
    raise ValueError(
      f'{where}: no UTF-8 (byte {data[error.start]:#04x} at {error.start})'
    ) from None
  except RecursionError:
    raise ValueError(f'{where}: no JSON: too many brackets') from None
  except ValueError as error:
    raise ValueError(f'{where}: no JSON: {error}') from None
  if not isinstance(values, dict):
    raise ValueError(f'{where}: is {shown(values)}; expected an object')
  return values


def checked(
  values: Any, kinds: Mapping[str, type], where: str
) -> dict[str, Any]:
  """The fields of an object, each of its type; whole numbers become floats.

  Args:
    values: the object.
    kinds: the type of each field that there may be.
    where: it is, for errors.

  Raises:
    ValueError: no object, or a field that is unknown or of another type; names
      it.
  """
  values = of_kind(values, dict, where)
  for name in values:
    if name not in kinds:
      raise ValueError(
        f'{where}: {shown(name)} is no field; fields: {", ".join(kinds)}'
      )
  return {
    name: of_kind(value, kinds[name], f'{where}: {name}')
    for name, value in values.items()
  }


def whole(values: Any, kinds: Mapping[str, type], where: str) -> dict[str, Any]:
  """As `checked`, with every field; ValueError names one that is missing."""
  for name in kinds:
    if name not in of_kind(values, dict, where):
      raise ValueError(f'{where}: {name} is missing')
  return checked(values, kinds, where)


def settings(
  start: settings_lib.Settings, values: Mapping[str, Any], where: str
) -> settings_lib.Settings:
  """Settings with those that an object names in place of their own.

  Raises:
    ValueError: an unknown one, or one of another type or out of its range.
  """
  values = checked(values, SETTINGS, where)
  times = [
    of_kind(time, float, f'{where}: times[{index}]')
    for index, time in enumerate(values.get('times', start.times))
  ]
  try:
    return start._replace(**{**values, 'times': tuple(times)}).checked()
  except ValueError as error:
    raise ValueError(f'{where}: {error}') from None


def of_kind(value: Any, kind: type, where: str) -> Any:
  """The value, which must be of a type of JSON; whole numbers become floats.

  Raises:
    ValueError: it is not, or it is no finite number, or no text of Unicode.
  """
  if kind is float and isinstance(value, int) and not isinstance(value, bool):
    # Integers of JSON have no bounds: what no float holds is infinite.
    value = float(value) if abs(value) < 2**53 else math.inf
  if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
    raise ValueError(f'{where} is {shown(value)}; expected {_NAMES[kind]}')
  if kind is float and not math.isfinite(value):
    raise ValueError(f'{where} is {value}; expected a number')
  if kind is str and any('\ud800' <= letter <= '\udfff' for letter in value):
    raise ValueError(f'{where} is {shown(value)}: half a letter is in it')
  return value


def between(value: float, low: float, high: float, where: str) -> float:
  """The value, which must lie in [low, high]; ValueError if it does not."""
  if not low <= value <= high:
    raise ValueError(
      f'{where} is {shown(value)}; expected {low:.10g} to {high:.10g}'
    )
  return value


def one_of(value: str, literal: Any, where: str) -> str:
  """The value, one of those of a Literal; ValueError if it is none."""
  choices = get_args(literal)
  if value not in choices:
    raise ValueError(
      f'{where} is {shown(value)}; choose one of {", ".join(choices)}'
    )
  return value


def shown(value: Any) -> str:
  """A value as a few letters of one line."""
  return ascii(value) if isinstance(value, float) else reprlib.repr(value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  values = dict(pairs)
  if len(values) < len(pairs):
    names = [name for name, _ in pairs]
    twice = next(name for name in names if names.count(name) > 1)
    raise ValueError(f'{shown(twice)} is there twice')
  return values


def _no_number(name: str) -> float:
  raise ValueError(f'{name} is no number')
