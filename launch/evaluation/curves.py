"""Charts as a picture, for those who look at no page."""

from collections.abc import Sequence

from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

from launch import charts

_SCALE = 2  # pixels of a unit of a chart
_TITLE, _LEGEND = 26, 22  # units above and below a chart
_COLUMNS = 2
_COLOURS = ('#2f5fd0', '#b26a00', '#2c7d4f', '#7a46b8', '#c23b35')
_GRID, _TEXT = '#e5e1d8', '#6b675f'


def draw(drawn: Sequence[charts.Chart]) -> Image.Image:
  """Charts side by side, those without lines left out."""
  drawn = [chart for chart in drawn if chart.lines]
  width = _SCALE * charts.WIDTH
  height = _SCALE * (_TITLE + charts.HEIGHT + _LEGEND)
  rows = -(-len(drawn) // _COLUMNS)
  columns = min(_COLUMNS, max(1, len(drawn)))
  picture = Image.new('RGB', (columns * width, max(1, rows) * height), 'white')
  for number, chart in enumerate(drawn):
    row, column = divmod(number, _COLUMNS)
    picture.paste(
      _panel(chart, (width, height)), (column * width, row * height)
    )
  return picture


def _panel(chart: charts.Chart, size: tuple[int, int]) -> Image.Image:
  """A chart under its title and above the names of its lines."""
  panel = Image.new('RGB', size, 'white')
  pen = ImageDraw.Draw(panel)
  font = ImageFont.load_default(12 * _SCALE)

  def at(x: float, y: float) -> tuple[float, float]:
    return _SCALE * x, _SCALE * (y + _TITLE)

  def write(x: float, y: float, text: str, colour: str, anchor: str) -> None:
    pen.text(at(x, y), text, colour, font, anchor)

  logarithmic = ', logarithmic' if chart.logarithmic else ''
  write(12, 8 - _TITLE, chart.title + logarithmic, 'black', 'lt')
  right = charts.WIDTH - 12
  for tick in chart.y_ticks:
    pen.line([at(48, tick.at), at(right, tick.at)], _GRID, _SCALE)
    write(42, tick.at, tick.label, _TEXT, 'rm')
  for tick in chart.x_ticks:
    write(tick.at, charts.HEIGHT - 10, tick.label, _TEXT, 'ms')
  write(right, charts.HEIGHT + 6, chart.x_label, _TEXT, 'rt')
  left = 12.0
  for number, line in enumerate(chart.lines):
    colour = _COLOURS[number % len(_COLOURS)]
    points = [point.split(',') for point in line.points.split()]
    placed = [at(float(x), float(y)) for x, y in points]
    pen.line(placed, colour, 2 * _SCALE, 'curve')
    pen.circle(placed[-1], 3 * _SCALE, colour)
    text = f'{line.name} {line.value}'
    write(left, charts.HEIGHT + 6, text, colour, 'lt')
    left += pen.textlength(text, font) / _SCALE + 14
  return panel
