"""What an evaluation leaves behind: a table a checkpoint, and all of them.

STEP.json and STEP.md hold the figures of one checkpoint, STEP.png shows some
clips and STEP.html all of it; overview.md has a line and curves.png a point for
each. STEP.json comes last: where it is, the checkpoint needs no second visit.
"""

from collections.abc import Iterator, Mapping, Sequence
import io
import json
import math
import pathlib
import re
from typing import Any

from launch import charts
from launch import sheet
from launch.evaluation import curves
from launch.evaluation import step_page
from tv2tv_jax.train import workdir as workdir_lib

Table = Mapping[str, Any]

# Columns of the overview, and where their figures stand in a table.
_COLUMNS = {
  'text': ('losses', 'text'),
  'perplexity': ('perplexity', 'text'),
  'of words': ('perplexity', 'text/word'),
  'video': ('losses', 'video'),
  't0': ('losses', 'video/t0'),
  't1': ('losses', 'video/t1'),
  't2': ('losses', 'video/t2'),
  't3': ('losses', 'video/t3'),
  'PSNR': ('pictures', 'psnr'),
  'SSIM': ('pictures', 'ssim'),
  'MS-SSIM': ('pictures', 'ms_ssim'),
  'obeyed': ('stories', 'obeyed'),
  'Fréchet': ('stories', 'Fréchet, inverse dynamics'),
}
# Charts: what lies in them, by table section and name.
_CHARTS = {
  'Text, nats a token': (
    'losses',
    ('text', 'text/word', 'text/bof', 'text/eof', 'text/eos'),
  ),
  'Video, squared error of velocity by flow time': (
    'losses',
    ('video', 'video/t0', 'video/t1', 'video/t2', 'video/t3'),
  ),
  'Perplexity': ('perplexity', ('text', 'text/word')),
  'Next chunks, PSNR in dB': ('pictures', ('psnr', 'still/psnr', 'vae/psnr')),
  'Stories: obeyed, share': ('stories', ('obeyed', 'told nothing')),
}


def done(folder: pathlib.Path, step: int) -> bool:
  """Whether a step has its table."""
  return _path(folder, step).exists()


def read(folder: pathlib.Path) -> list[Table]:
  """All tables of a folder, oldest first.

  Raises:
    ValueError: a file that is no table.
  """
  steps = [
    int(path.stem)
    for path in folder.glob('*.json')
    if re.fullmatch(r'\d+', path.stem)
  ]
  return [_read(_path(folder, step)) for step in sorted(steps)]


def write(
  folder: pathlib.Path, table: Table, rows: Sequence[sheet.Row]
) -> None:
  """Writes the table of a checkpoint, and the overview with it."""
  step = table['step']
  workdir_lib.write_whole(folder / f'{step}.md', markdown(table))
  picture = _png(sheet.draw(rows)) if rows else None
  if picture:
    workdir_lib.write_whole(folder / f'{step}.png', picture)
  shown = step_page.render(table, picture)
  workdir_lib.write_whole(folder / f'{step}.html', shown)
  text = json.dumps(table, indent=2) + '\n'
  workdir_lib.write_whole(_path(folder, step), text)
  tables = read(folder)
  workdir_lib.write_whole(folder / 'overview.md', overview(tables))
  drawn = curves.draw(list(_charts(tables)))
  workdir_lib.write_whole(folder / 'curves.png', _png(drawn))


def markdown(table: Table) -> str:
  """A table as a page."""
  lines = [
    f'# Step {table["step"]} of {table["workdir"]}: `{table["part"]}`',
    '',
    f'{table["rows"]} of {table["of_rows"]} rows of split `{table["split"]}` '
    f'of {table["latents"]}.',
    '',
    '| loss | mean | perplexity | over |',
    '|---|---|---|---|',
  ]
  for name, value in table['losses'].items():
    perplexity = table['perplexity'].get(name)
    lines.append(
      f'| {name} | {value:.5f} | {_number(perplexity)} | '
      f'{table["counts"][name]:,} |'
    )
  if pictures := table['pictures']:
    lines += [
      '',
      '| next chunks | PSNR, dB | SSIM | MS-SSIM |',
      '|---|---|---|---|',
    ]
    for name, prefix in (
      ('filmed', ''),
      ('the picture before, again', 'still/'),
      ('what the VAE gives back of film', 'vae/'),
    ):
      psnr, *others = (
        pictures.get(prefix + key) for key in ('psnr', 'ssim', 'ms_ssim')
      )
      if psnr is not None:
        cells = ' | '.join(map(_number, others))
        lines.append(f'| {name} | {psnr:.2f} | {cells} |')
  lines += _of_frames(table.get('curves', {}))
  lines += _of_stories(table)
  seconds = ', '.join(f'{k} {v:.1f}' for k, v in table['seconds'].items())
  return '\n'.join([*lines, '', f'Seconds: {seconds}.', ''])


def _of_frames(curves: Mapping[str, Sequence[float | None]]) -> list[str]:
  """Figures of next chunks at each frame of a clip."""
  if not curves:
    return []
  names = ('psnr', 'ssim', 'ms_ssim', 'still/psnr')
  lines = ['', '| frame | ' + ' | '.join(names) + ' |', '|---' * 5 + '|']
  for number, row in enumerate(zip(*(curves[n] for n in names), strict=True)):
    cells = ' | '.join(map(_number, row))
    lines.append(f'| {number + 1} | {cells} |')
  return lines


def _of_stories(table: Table) -> list[str]:
  """Figures of the stories that a checkpoint filmed."""
  stories = table.get('stories')
  if not stories:
    return []
  place = f'{table["step"]}/index.html'
  lines = ['', f'| stories, see [their page]({place}) | |', '|---|---|']
  return lines + [f'| {k} | {_number(v)} |' for k, v in stories.items()]


def overview(tables: Sequence[Table]) -> str:
  """A line for each checkpoint."""
  last = tables[-1]
  lines = [
    f'# {last["workdir"]}: `{last["part"]}` on split `{last["split"]}`',
    '',
    '| step | ' + ' | '.join(_COLUMNS) + ' |',
    '|---' * (1 + len(_COLUMNS)) + '|',
  ]
  for table in tables:
    cells = [_number(_figure(table, *place)) for place in _COLUMNS.values()]
    lines.append(f'| {table["step"]} | ' + ' | '.join(cells) + ' |')
  return '\n'.join([*lines, ''])


def line(table: Table) -> str:
  """The figures of a checkpoint that matter most, in a line."""
  cells = [
    f'{name} {_number(value)}'
    for name in ('text', 'perplexity', 'video', 'PSNR')
    if (value := _figure(table, *_COLUMNS[name])) is not None
  ]
  seconds = sum(table['seconds'].values())
  return f'step {table["step"]}: {", ".join(cells)} ({seconds:.1f} s)'


def _charts(tables: Sequence[Table]) -> Iterator[charts.Chart]:
  for title, (section, names) in _CHARTS.items():
    points = {
      name: [
        (table['step'], value)
        for table in tables
        if (value := _figure(table, section, name)) is not None
      ]
      for name in names
    }
    yield charts.chart(
      title, 'step', points, logarithmic=section == 'perplexity'
    )


def _figure(table: Table, section: str, name: str) -> float | None:
  """A figure of a table; None where it has none."""
  return table.get(section, {}).get(name)


def _number(value: float | None) -> str:
  """A figure in about four digits."""
  if value is None:
    return '-'
  return f'{value:.4g}' if abs(value) < 10_000 else f'{value:.3e}'


def perplexity(loss: float) -> float:
  """How many tokens it is as if the model chose among; of a loss in nats."""
  return math.exp(min(loss, 700.0))


def _path(folder: pathlib.Path, step: int) -> pathlib.Path:
  return folder / f'{step}.json'


def _read(path: pathlib.Path) -> Table:
  try:
    table = json.loads(path.read_text())
    missing = {'step', 'losses', 'perplexity', 'pictures'} - table.keys()
  except (json.JSONDecodeError, AttributeError) as error:
    raise ValueError(f'{path}: no table ({error}); remove it') from error
  if missing:
    raise ValueError(f'{path}: lacks {sorted(missing)}; remove it')
  return table


def _png(picture: Any) -> bytes:
  buffer = io.BytesIO()
  picture.save(buffer, 'png')
  return buffer.getvalue()
