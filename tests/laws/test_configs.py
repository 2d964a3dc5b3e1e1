"""Every config builds from a schema and back; every field is read by code."""

import ast
import dataclasses
import importlib

import pytest

from tests.laws import tree
from tv2tv_jax import config as config_lib


def _functions(name):
  body = tree.syntax(name).body
  return [node.name for node in body if isinstance(node, ast.FunctionDef)]


_CONFIGS = [
  name[: -len('.py')].replace('/', '.')
  for name in tree.sources('configs')
  if 'get_config' in _functions(name)
]


def _schema_classes():
  """(file, class) of each frozen, keyword-only dataclass of the code."""
  for name in tree.sources():
    for node in ast.walk(tree.syntax(name)):
      if isinstance(node, ast.ClassDef) and any(
        'frozen=True' in (text := ast.unparse(decorator))
        and 'kw_only=True' in text
        for decorator in node.decorator_list
      ):
        yield name, node


def _fields(node):
  return [
    statement.target.id
    for statement in node.body
    if isinstance(statement, ast.AnnAssign)
    and isinstance(statement.target, ast.Name)
  ]


def _schema_of(values):
  """The schema that has exactly the config's fields."""
  for file, node in _schema_classes():
    if set(_fields(node)) == set(values):
      module = importlib.import_module(file[: -len('.py')].replace('/', '.'))
      yield getattr(module, node.name)


@pytest.mark.parametrize('name', _CONFIGS)
def test_a_config_builds_and_comes_back(name):
  values = importlib.import_module(name).get_config()
  schemas = list(_schema_of(values))
  assert schemas, f'{name}: no schema dataclass has the fields {list(values)}'
  schema = config_lib.from_config_dict(schemas[0], values)
  assert dataclasses.is_dataclass(schema)
  assert config_lib.to_config_dict(schema) == values


@pytest.mark.parametrize('name', _CONFIGS)
def test_a_config_states_its_command(name):
  """Its docstring says how to run it."""
  text = importlib.import_module(name).__doc__ or ''
  assert f'--config {name.replace(".", "/")}.py' in text


def test_every_schema_field_is_read():
  read = {
    node.attr
    for name in tree.sources()
    for node in ast.walk(tree.syntax(name))
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
  }
  unread = [
    f'{file}: {node.name}.{field}'
    for file, node in _schema_classes()
    for field in _fields(node)
    if field not in read
  ]
  assert not unread, f'fields that nothing reads: {unread}'
