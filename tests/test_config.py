"""A schema and its editable form say the same; what does not fit is named."""

import dataclasses
import json
from typing import Literal

import pytest

from tv2tv_jax import config


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
  """Fields of every kind."""

  width: int = 4
  rate: float = 0.5
  name: Literal['one', 'two'] = 'one'
  limit: float | None = None
  sizes: tuple[int, ...] = (1, 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
  """A schema of schemas."""

  inner: Inner = Inner()
  on: bool = True


def test_there_and_back():
  outer = Outer(inner=Inner(width=7, limit=2.0))
  assert config.from_config_dict(Outer, config.to_config_dict(outer)) == outer
  stored = json.loads(config.to_json(outer))
  assert config.from_config_dict(Outer, stored) == outer


def test_overrides_keep_their_types():
  values = config.to_config_dict(Outer())
  values.inner.limit = 3
  values.inner.rate = 2
  outer = config.from_config_dict(Outer, values)
  assert outer.inner.limit == 3.0
  assert isinstance(outer.inner.rate, float)


def test_a_typo_fails_by_name():
  with pytest.raises(AttributeError, match='widht'):
    config.to_config_dict(Outer()).inner.widht = 3


@pytest.mark.parametrize(
  'values,complaint',
  [
    ({'inner': {'depth': 1}}, r'config\.inner\.depth is no field'),
    ({'inner': {'width': 'x'}}, r"config\.inner\.width is 'x'; expected int"),
    ({'inner': {'width': True}}, r'config\.inner\.width is True'),
    ({'inner': {'name': 'six'}}, r"is 'six'; choose one of 'one', 'two'"),
    ({'inner': {'sizes': 3}}, r'config\.inner\.sizes is 3; expected a tuple'),
    ({'on': 1}, r'config\.on is 1; expected bool'),
  ],
)
def test_what_does_not_fit_is_named(values, complaint):
  with pytest.raises(ValueError, match=complaint):
    config.from_config_dict(Outer, values)


def test_differences_are_named():
  lines = config.differences(Outer(inner=Inner(width=5)), Outer())
  assert lines == ['config.inner.width is 5, was 4']
