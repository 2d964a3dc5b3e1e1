"""Films against their copies, a frame at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from tv2tv_jax.evaluate import pictures

_COLUMNS = 6  # frames of a sheet
_WIDE = 320  # pixels that a frame on a sheet is about as wide as
_GAIN = 4  # of differences on a sheet, around grey


class Comparison:
  """A film and its copy: figures of every frame, and some of the frames."""

  def __init__(self):
    self.psnr: list[float] = []
    self.ssim: list[float] = []
    self._kept: list[tuple[np.ndarray, np.ndarray]] = []
    self._step = 1

  def add(self, original: np.ndarray, copy: np.ndarray) -> None:
    """The next frame and its copy, uint8 [Y, X, 3]."""
    if len(self.psnr) % self._step == 0:
      self._kept.append((original.copy(), copy))
    self.psnr += pictures.psnr(copy[None], original[None]).tolist()
    self.ssim += pictures.ssim(copy[None], original[None]).tolist()
    if len(self._kept) == 2 * _COLUMNS:  # The film is longer than was thought.
      self._kept, self._step = self._kept[::2], 2 * self._step

  def sheet(self) -> Image.Image:
    """Frames from all over the film above their copies and differences.

    The frames are let go of: there is one sheet.
    """
    count = min(_COLUMNS, len(self._kept))
    chosen = np.linspace(0, len(self._kept) - 1, count).round().astype(int)
    kept, self._kept, columns = self._kept, [], []
    for original, copy in (kept[index] for index in chosen):
      difference = copy.astype(int) - original
      shown = np.clip(128 + _GAIN * difference, 0, 255).astype(np.uint8)
      columns.append(np.concatenate([original, copy, shown]))
    sheet = Image.fromarray(np.concatenate(columns, axis=1))
    width = kept[0][0].shape[1]
    if width > _WIDE:
      return sheet.reduce(round(width / _WIDE))
    times = round(_WIDE / width)
    return sheet.resize((sheet.width * times, sheet.height * times), 0)


def figures(compared: Sequence[Comparison]) -> dict[str, Any]:
  """PSNR in dB and SSIM over all frames of some films, and by frame index.

  At an index they are means over the films that are long enough.
  """
  found: dict[str, Any] = {'frames': sum(len(each.psnr) for each in compared)}
  for name in ('psnr', 'ssim'):
    films = [np.array(getattr(each, name)) for each in compared]
    later = np.concatenate([film[1:] for film in films])
    longest = max(map(len, films))
    found[name] = float(np.concatenate(films).mean())
    found[f'{name}_first'] = float(np.mean([film[0] for film in films]))
    found[f'{name}_later'] = float(later.mean()) if later.size else None
    found[f'{name}_per_frame'] = [
      float(np.mean([film[at] for film in films if at < len(film)]))
      for at in range(longest)
    ]
  return found


def table(report: dict[str, Any]) -> str:
  """A line for each film of a report of `launch.reconstruct`, one for all."""
  rows = [('film', 'size', 'frames', 'PSNR', 'first', 'later', 'SSIM')]
  rows[0] += ('encode/s', 'decode/s', 'tiles')
  for each in [*report['films'], {'name': 'all', **report['total']}]:
    rate = [
      f'{each[way]["frames_per_second"]:.1f}' if way in each else ''
      for way in ('encode', 'decode')
    ]
    decibels = [
      '-' if each[name] is None else f'{each[name]:.2f}'
      for name in ('psnr', 'psnr_first', 'psnr_later')
    ]
    rows.append(
      (
        each['name'],
        'x'.join(map(str, each.get('size', ()))),
        str(each['frames']),
        *decibels,
        f'{each["ssim"]:.4f}',
        *rate,
        'x'.join(map(str, each['decode']['tiles'])) if 'decode' in each else '',
      )
    )
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = (
    [each.rjust(width) for each, width in zip(row[1:], widths[1:], strict=True)]
    for row in rows
  )
  names = (row[0].ljust(widths[0]) for row in rows)
  return '\n'.join(
    '  '.join([name, *line]).rstrip()
    for name, line in zip(names, lines, strict=True)
  )
