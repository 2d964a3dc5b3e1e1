"""A flag for every field of a source, explained as its docstring does."""

from collections.abc import Iterator, Sequence
import dataclasses
import inspect
import re
import typing
from typing import Any

from absl import app
from absl import flags

from data_pipelines.sources import catalog
from data_pipelines.sources import source as source_lib

_DEFINE = {
  int: flags.DEFINE_integer,
  float: flags.DEFINE_float,
  str: flags.DEFINE_string,
  bool: flags.DEFINE_bool,
  tuple[str, ...]: flags.DEFINE_list,
}


def define(argv: Sequence[str], values: flags.FlagValues = flags.FLAGS) -> None:
  """Defines the flags of the source that a command line names.

  Raises:
    ValueError: no such source, a package of it is missing, or it has not one
      of the flags that are given.
  """
  kind = catalog.find(_named(argv))
  types, texts = typing.get_type_hints(kind), explained(kind)
  for field in dataclasses.fields(kind):
    default = field.default
    if default is dataclasses.MISSING:
      default = None
    _DEFINE[types[field.name]](
      field.name,
      [*default] if isinstance(default, tuple) else default,
      texts[field.name],
      module_name=argv[0],  # Of the program: --help lists them.
      flag_values=values,
    )
  app.define_help_flags()
  for name in _given(argv, values):
    if name not in values and name.removeprefix('no') not in values:
      has = ', '.join(f'--{field.name}' for field in dataclasses.fields(kind))
      raise ValueError(f'source {kind.name} has no --{name}; it has {has}')


def made(
  name: str, values: flags.FlagValues = flags.FLAGS
) -> source_lib.Source:
  """The source of this name that the flags describe.

  Raises:
    ValueError: a flag that it needs is not given.
  """
  kind = catalog.find(name)
  settings: dict[str, Any] = {}
  for field in dataclasses.fields(kind):
    value = values[field.name].value
    if value is None:
      raise ValueError(f'source {name} needs --{field.name}')
    settings[field.name] = tuple(value) if isinstance(value, list) else value
  return kind(**settings)


def explained(kind: type) -> dict[str, str]:
  """What docstrings say of the fields of a dataclass and of those below it."""
  texts = {}
  for each in kind.__mro__:
    _, _, attributes = (inspect.getdoc(each) or '').partition('Attributes:\n')
    for name, text in re.findall(
      r'^  (\w+): (.*(?:\n    .*)*)', attributes, re.MULTILINE
    ):
      texts.setdefault(name, re.sub(r'\s+', ' ', text))
  return texts


def _named(argv: Sequence[str]) -> str:
  """The source that a command line names, or else the first one."""
  named = flags.FlagValues()
  first = next(iter(catalog.SOURCES))
  flags.DEFINE_string('source', first, '', flag_values=named)
  named(['', *argv[1:]], known_only=True)
  return named.source


def _given(argv: Sequence[str], values: flags.FlagValues) -> Iterator[str]:
  """The names of the flags of a command line."""
  words = iter(argv[1:])
  for word in words:
    if word == '--':
      return
    match = re.match(r'--?([a-z]\w*)(=|$)', word)
    if match:
      yield match[1]
      if not match[2] and match[1] in values and not values[match[1]].boolean:
        next(words, None)  # Its value, which may look like a flag.
