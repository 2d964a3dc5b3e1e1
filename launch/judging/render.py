"""The pages of this folder as text: one file each, which needs no other."""

from collections.abc import Mapping
import pathlib
from typing import Any

import jinja2

_HERE = pathlib.Path(__file__).parent / 'page'


def page(data: Mapping[str, Any]) -> str:
  """The page of a judge.

  Args:
    data: what it knows, as `blinded` makes it.
  """
  return _environment().get_template('judge.html').render(data=data)


def tally(report: Mapping[str, Any]) -> str:
  """The page of what the answers come to.

  Args:
    report: as in tally.json.
  """
  return _environment().get_template('tally.html').render(report=report)


def percent(share: float | None) -> str:
  """A share as `47 %`; a dash where there is none."""
  return '–' if share is None else f'{100 * share:.0f}\u202f%'


def points(share: float | None) -> str:
  """A difference of shares in points, with its sign."""
  if share is None:
    return '–'
  whole = round(100 * share)
  return f'{whole:+d}'.replace('-', '−') if whole else '0'


def chance(p: float | None) -> str:
  """A p value in two digits."""
  if p is None:
    return '–'
  return '< 0.0001' if p < 1e-4 else f'{p:.2g}'


def _environment() -> jinja2.Environment:
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters |= {
    'percent': percent,
    'points': points,
    'chance': chance,
  }
  return environment
