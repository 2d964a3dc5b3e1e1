"""Tables and curves show every figure of an evaluation."""

import json
import math

import numpy as np
import pytest

from launch import charts
from launch import sheet
from launch.evaluation import curves
from launch.evaluation import step_page
from launch.evaluation import tables


def _table(step: int, text: float = 2.0) -> dict:
  return {
    'step': step,
    'workdir': 'a run',
    'part': 'ema',
    'latents': 'some latents',
    'split': 'test',
    'rows': 6,
    'of_rows': 7,
    'losses': {'text': text, 'text/word': 3.0, 'video': 1.25},
    'counts': {'text': 12345, 'text/word': 67, 'video': 89},
    'perplexity': {'text': math.exp(text), 'text/word': math.exp(3.0)},
    'pictures': {
      'psnr': 21.5,
      'ssim': 0.625,
      'ms_ssim': 0.75,
      'vae/psnr': 27.25,
    },
    'curves': {
      'psnr': [24.5, 19.0, None],
      'ssim': [0.5, 0.25, None],
      'ms_ssim': [0.875, 0.375, None],
      'still/psnr': [23.0, 17.0, None],
    },
    'stories': {'told': 9, 'obeyed': 0.4375, 'slope': None},
    'seconds': {'restore': 1.0, 'losses': 2.5},
  }


def test_a_table_shows_every_figure():
  text = tables.markdown(_table(40))
  for cells in (
    '| text | 2.00000 | 7.389 | 12,345 |',
    '| video | 1.25000 | - | 89 |',
    '| filmed | 21.50 | 0.625 | 0.75 |',
    '| what the VAE gives back of film | 27.25 | - | - |',
    '| 2 | 19 | 0.25 | 0.375 | 17 |\n| 3 | - | - | - | - |',
    '| stories, see [their page](40/index.html) | |',
    '| obeyed | 0.4375 |\n| slope | - |',
    '6 of 7 rows of split `test` of some latents',
  ):
    assert cells in text
  assert 'the picture before' not in text


def test_the_page_of_a_checkpoint_shows_every_figure():
  page = step_page.render(_table(40), b'a picture')
  for text in (
    '<td>video</td><td>1.25</td><td>-</td><td>89</td>',
    '<td>filmed</td><td>21.5</td><td>0.625</td><td>0.75</td>',
    '<td>obeyed</td><td>0.4375</td>',
    'href="40/index.html"',
    'src="data:image/png;base64,YSBwaWN0dXJl"',
  ):
    assert text in page
  # Figures of two frames: nobody has filmed a third one.
  assert page.count('<polyline') == 4
  bare = step_page.render({**_table(40), 'curves': {}, 'stories': {}}, None)
  assert '<polyline' not in bare and '40/index.html' not in bare


def test_the_overview_grows_in_order(tmp_path):
  row = sheet.Row('', [sheet.Shot(np.zeros((4, 4, 3), np.uint8), 0.0, [])])
  for step in (100, 20):
    tables.write(tmp_path, _table(step), [row])
  steps = [each['step'] for each in tables.read(tmp_path)]
  assert steps == [20, 100]
  lines = (tmp_path / 'overview.md').read_text().splitlines()
  assert [line.split()[1] for line in lines[-2:]] == ['20', '100']
  assert lines[-1].startswith('| 100 | 2 | 7.389 | 20.09 | 1.25 | - |')
  assert lines[-1].endswith('| 21.5 | 0.625 | 0.75 | 0.4375 | - |')
  names = {path.name for path in tmp_path.iterdir()}
  assert names == {
    *(
      f'{step}.{kind}'
      for step in (20, 100)
      for kind in ('json', 'md', 'png', 'html')
    ),
    'overview.md',
    'curves.png',
  }


def test_a_file_that_is_no_table_is_named(tmp_path):
  for text in ('{', '[]', json.dumps({'step': 3})):
    (tmp_path / '3.json').write_text(text)
    with pytest.raises(ValueError, match=r'3\.json: .*remove it'):
      tables.read(tmp_path)


def test_a_loss_without_bound_is_a_number():
  assert math.isfinite(tables.perplexity(1e6))
  assert tables.perplexity(math.log(50)) == pytest.approx(50)


def test_every_curve_is_drawn():
  """Each in a colour of its own, where its chart stands."""
  lines = {name: [(1, y), (2, y + 1)] for y, name in enumerate('abc')}
  drawn = [charts.chart(title, 'step', lines) for title in 'xyz']
  empty = charts.chart('none', 'step', {})
  picture = np.asarray(curves.draw([drawn[0], empty, *drawn[1:]]))
  rows, columns = picture.shape[0] // 2, picture.shape[1] // 2
  for number in range(3):
    y, x = (number // 2) * rows, (number % 2) * columns
    panel = picture[y : y + rows, x : x + columns]
    for colour in ('2f5fd0', 'b26a00', '2c7d4f'):
      same = (panel == np.frombuffer(bytes.fromhex(colour), np.uint8)).all(-1)
      assert same.sum() > 200
  assert (picture[rows:, columns:] == 255).all()
