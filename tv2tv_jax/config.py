"""Frozen dataclasses are the schema; a ConfigDict is their editable form.

A config file returns `to_config_dict(schema)`: every field exists, has a type,
and can be overridden by a flag. Programs turn it back with `from_config_dict`;
package code never sees a ConfigDict.
"""

from collections.abc import Mapping
import dataclasses
import json
import types
import typing
from typing import Any, TypeVar

from ml_collections import config_dict

Schema = TypeVar('Schema')


def to_config_dict(schema: Any) -> config_dict.ConfigDict:
  """A dataclass instance as a locked ConfigDict with the same fields."""
  out = config_dict.ConfigDict()
  hints = typing.get_type_hints(type(schema))
  for field in dataclasses.fields(schema):
    value = getattr(schema, field.name)
    if dataclasses.is_dataclass(value):
      out[field.name] = to_config_dict(value)
    elif value is None:
      out[field.name] = config_dict.placeholder(_some(hints[field.name]))
    else:
      out[field.name] = value
  return out.lock()


def from_config_dict(
  schema: type[Schema],
  values: config_dict.ConfigDict | Mapping[str, Any],
  where: str = 'config',
) -> Schema:
  """The dataclass that `values` describes.

  Args:
    schema: a frozen dataclass, possibly of dataclasses, or of unions of them.
    values: a ConfigDict, or the mapping that `to_json` wrote.
    where: the path of `values`, for errors.

  Raises:
    ValueError: a field that the schema lacks, or a value of another type.
  """
  hints = typing.get_type_hints(schema)
  names = [field.name for field in dataclasses.fields(schema)]
  for name in values:
    if name not in names:
      raise ValueError(f'{where}.{name} is no field; fields: {names}')
  kwargs = {}
  for name, value in values.items():
    path = f'{where}.{name}'
    kind = _chosen(hints[name], value, path)
    if dataclasses.is_dataclass(kind):
      kwargs[name] = from_config_dict(kind, value, path)
    else:
      kwargs[name] = _checked(value, kind, path)
  return schema(**kwargs)


def to_json(schema: Any) -> str:
  """The dataclass as indented JSON, as stored in a workdir."""
  return json.dumps(dataclasses.asdict(schema), indent=2) + '\n'


def differences(one: Any, other: Any, where: str = 'config') -> list[str]:
  """One line for every field whose value differs between two dataclasses."""
  lines = []
  for field in dataclasses.fields(one):
    a, b = getattr(one, field.name), getattr(other, field.name)
    path = f'{where}.{field.name}'
    if dataclasses.is_dataclass(a) and type(a) is type(b):
      lines += differences(a, b, path)
    elif a != b:
      lines.append(f'{path} is {a!r}, was {b!r}')
  return lines


def _chosen(kind: Any, value: Any, path: str) -> Any:
  """The dataclass that `value` is of, where `kind` is a union of several.

  They are told apart by their first field, a Literal that is its default.
  """
  choices = [a for a in typing.get_args(kind) if dataclasses.is_dataclass(a)]
  if not choices:
    return kind
  tag = dataclasses.fields(choices[0])[0].name
  names = {dataclasses.fields(choice)[0].default: choice for choice in choices}
  name = value.get(tag)
  if name not in names:
    raise ValueError(
      f'{path}.{tag} is {name!r}; choose one of {", ".join(map(repr, names))}'
    )
  return names[name]


def _some(kind: Any) -> Any:
  """The type that is not None in `X | None`."""
  return next(a for a in typing.get_args(kind) if a is not types.NoneType)


def _checked(value: Any, kind: Any, path: str) -> Any:
  """`value` if it is of type `kind`; lists become tuples, ints floats."""
  origin = typing.get_origin(kind)
  if origin in (types.UnionType, typing.Union):
    return None if value is None else _checked(value, _some(kind), path)
  if origin is typing.Literal:
    if value not in typing.get_args(kind):
      choices = ', '.join(map(repr, typing.get_args(kind)))
      raise ValueError(f'{path} is {value!r}; choose one of {choices}')
    return value
  if origin is tuple:
    if not isinstance(value, (list, tuple)):
      raise ValueError(f'{path} is {value!r}; expected a tuple')
    element = typing.get_args(kind)[0]
    return tuple(_checked(each, element, path) for each in value)
  if kind is float and isinstance(value, int) and not isinstance(value, bool):
    return float(value)
  if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
    raise ValueError(f'{path} is {value!r}; expected {kind.__name__}')
  return value
