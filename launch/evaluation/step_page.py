"""The table of a checkpoint as a page, one file that needs no other."""

from collections.abc import Iterator, Mapping
import pathlib
from typing import Any

from launch import charts
from launch import embed
from launch import page as page_lib

_NEXT = {
  'filmed': '',
  'the picture before, again': 'still/',
  'what the VAE gives back of film': 'vae/',
}
_FIGURES = {'psnr': 'PSNR, dB', 'ssim': 'SSIM', 'ms_ssim': 'MS-SSIM'}


def render(table: Mapping[str, Any], picture: bytes | None) -> str:
  """The page as HTML.

  Args:
    table: of the checkpoint, as `tables.write` takes it.
    picture: a PNG of some clips; None: there is none.
  """
  found = table['pictures']
  rows = {
    name: [found.get(prefix + figure) for figure in _FIGURES]
    for name, prefix in _NEXT.items()
    if prefix + 'psnr' in found
  }
  sheet = None
  if picture:
    sheet = embed.uri('image/png', picture)
  environment = page_lib.environment(pathlib.Path(__file__).parent)
  environment.filters['figure'] = lambda value: (
    '-' if value is None else f'{value:.4g}'
  )
  return environment.get_template('step.html').render(
    table=table,
    rows=rows,
    names=list(_FIGURES.values()),
    sheet=sheet,
    charts=list(_charts(table.get('curves', {}))),
    size=(charts.WIDTH, charts.HEIGHT),
  )


def _charts(curves: Mapping[str, Any]) -> Iterator[charts.Chart]:
  """Each figure of next chunks at each frame of a clip."""
  for name, title in _FIGURES.items():
    lines = {
      what: [
        (frame, value)
        for frame, value in enumerate(curves.get(prefix + name, ()), 1)
        if value is not None
      ]
      for what, prefix in (('filmed', ''), ('the picture before', 'still/'))
    }
    if any(lines.values()):
      yield charts.chart(f'Next chunks, {title}', 'frame of a clip', lines)
