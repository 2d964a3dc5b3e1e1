"""Lines of a chart in the coordinates of its drawing."""

from collections.abc import Mapping, Sequence
import math
from typing import NamedTuple

WIDTH, HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 28


class Tick(NamedTuple):
  """A mark of an axis."""

  at: float
  label: str


class Line(NamedTuple):
  """A curve as the `points` of an SVG polyline."""

  name: str
  points: str
  last: tuple[float, float]
  value: str  # at its end


class Chart(NamedTuple):
  """A chart, ready to draw."""

  title: str
  x_label: str
  x_ticks: list[Tick]
  y_ticks: list[Tick]
  lines: list[Line]
  logarithmic: bool


def chart(
  title: str,
  x_label: str,
  curves: Mapping[str, Sequence[tuple[float, float]]],
  *,
  logarithmic: bool = False,
) -> Chart:
  """A chart of named curves of (x, y); curves without points are left out."""
  curves = {name: list(points) for name, points in curves.items() if points}
  if not curves:
    return Chart(title, x_label, [], [], [], logarithmic)
  scale = math.log10 if logarithmic else float
  every = [point for points in curves.values() for point in points]
  x_low, x_high = _spread([x for x, _ in every])
  y_low, y_high = _spread([scale(y) for _, y in every])
  margin = 0.06 * (y_high - y_low)
  y_low, y_high = y_low - margin, y_high + margin

  def across(x):
    share = (x - x_low) / (x_high - x_low)
    return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

  def down(y):
    share = (scale(y) - y_low) / (y_high - y_low)
    return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)

  lines = []
  for name, points in curves.items():
    placed = [(across(x), down(y)) for x, y in points]
    text = ' '.join(f'{x},{y}' for x, y in placed)
    lines.append(Line(name, text, placed[-1], brief(points[-1][1])))
  y_marks = _marks(y_low, y_high)
  if logarithmic:
    y_marks = _decades(y_low, y_high)
  return Chart(
    title,
    x_label,
    [Tick(across(x), brief(x)) for x in _marks(x_low, x_high)],
    [Tick(down(y), brief(y)) for y in y_marks],
    lines,
    logarithmic,
  )


def brief(value: float) -> str:
  """A number in about three digits: 12,300, 123, 1.23, 0.012."""
  if value == 0 or not math.isfinite(value):
    return f'{value:g}'
  if abs(value) >= 1000:
    return f'{value:,.0f}'
  return f'{value:.3g}'


def _spread(values: Sequence[float]) -> tuple[float, float]:
  """Least and largest; a little apart where they are one."""
  low, high = min(values), max(values)
  return (low, high) if high > low else (low - 0.5, high + 0.5)


def _decades(low: float, high: float) -> list[float]:
  """1, 2, 5, 10, ... between powers of ten; 1, 10, ... where they are many."""
  powers = range(math.floor(low), math.ceil(high) + 1)
  factors = (1, 2, 5) if high - low < 2 else (1,)
  values = [factor * 10.0**power for power in powers for factor in factors]
  return [value for value in values if low <= math.log10(value) <= high]


def _marks(low: float, high: float, about: int = 4) -> list[float]:
  """Round numbers between two, some `about` of them."""
  rough = (high - low) / about
  power = 10 ** math.floor(math.log10(rough))
  step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
  first = math.ceil(low / step)
  count = math.floor(high / step) - first + 1
  return [round((first + i) * step, 10) for i in range(count)]
