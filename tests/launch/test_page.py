"""The page stands alone and leaves no figure out."""

import base64
import html
import html.parser
import io
import json
import re

import av
import numpy as np
import pytest

from launch import charts
from launch import embed
from launch import figures
from launch import page
from launch import verdicts
from launch import witness
from tv2tv_jax.evaluate import controls
from tv2tv_jax.evaluate import obedience

_RATE = 17.5


def _frames(*lead: int) -> np.ndarray:
  return np.random.default_rng(0).integers(
    0, 256, (*lead, 48, 64, 3), dtype=np.uint8
  )


def _window(films: int = 5, seed: int = 0) -> obedience.Window:
  rng = np.random.default_rng(seed)
  beliefs = {}
  for head in controls.HEADS:
    odds = rng.random((films, 4, len(head.classes)))
    beliefs[head.name] = np.log(odds / odds.sum(-1, keepdims=True))
  return obedience.Window(beliefs, rng.normal(size=films))


def _report(tmp_path) -> dict:
  (tmp_path / 'metrics.jsonl').write_text(
    '{"step": 1, "loss": 2.5, "rate": 0.1}\n{"step": 9, "loss": 0.25}\n'
  )
  (tmp_path / 'stages.json').write_text('{"record": 21, "train": 417}')
  heads = {
    head.name: {
      'classes': list(head.classes),
      **{
        kind: {
          'accuracy': 0.9,
          'calibration_error': 0.02,
          'counts': np.eye(len(head.classes), dtype=int).tolist(),
        }
        for kind in ('real', 'copies')
      },
    }
    for head in controls.HEADS
  }
  table = verdicts.table(
    {w: _window() for w in (*obedience.INSTRUCTIONS, obedience.REFERENCE)},
    _window(seed=1),
    {
      word: witness.Real(2, _window(7, 2), _window(3, 3), _window(5, 4).beliefs)
      for word in obedience.INSTRUCTIONS
    },
  )
  return {
    'title': 'A title',
    'made': '2001-02-03 04:05',
    'obedience': {
      **table,
      'told_at': 0.914,
      'window_chunks': 4,
      'window_seconds': 0.914,
    },
    'inverse_dynamics': {'chunks': 736, 'heads': heads, 'wall_seconds': 41.5},
    'film': {
      'stories': 1,
      'story_seconds': 5.94,
      'story_wall_seconds': 14.2,
      'seeds': 5,
      'pairs_wall_seconds': 33.1,
      'chunk_seconds': 0.2286,
      'rate': _RATE,
    },
    'vae': {
      'psnr': 26.51,
      'psnr_per_frame': [27.5, 26.25, 26.0],
      'psnr_whole_takes': 26.4,
      'takes': 24,
      'latent_channels': 16,
    },
    'losses': {'model': figures.losses('TV2TV', tmp_path)},
    'stages': figures.stages(tmp_path / 'stages.json'),
    'total_seconds': 438.0,
    'peak_memory_bytes': figures.peak_memory(model=tmp_path),
    'machine': figures.machine(),
    'versions': figures.versions(),
    'released': {
      'title': 'An older film',
      'data': {'hours': 1.25},
      'model': {'seconds': 4567.0},
      'checkpoint': {'step': 7654},
    },
  }


def _story(title: str, told=()) -> page.Story:
  words = ['', 'turn left', 'turn left', 'attack']
  return page.Story(title, 'a note', _frames(13), words, told, _RATE)


@pytest.fixture(scope='module')
def report(tmp_path_factory):
  return _report(tmp_path_factory.mktemp('run'))


@pytest.fixture(scope='module')
def written(report):
  material = page.Material(
    stories=[_story('Story 1')],
    groups=[page.Group('Start 1', [_story('nothing'), _story('attack', [3])])],
    copies=page.Copies(_frames(1, 9), _frames(1, 9)),
    rate=_RATE,
    released=[_story('Story 1')],
  )
  return page.render(report, material)


def test_the_page_needs_no_other_file(written):
  links = r'(?:src|href|poster|data|srcset)="([^"]*)"'
  for address in re.findall(links, written):
    assert address.startswith('data:'), address[:80]
  assert not re.search(r'(?:https?:)?//[a-z0-9-]+\.[a-z]', written)
  assert 'url(' not in written and '@import' not in written


def test_every_figure_of_the_report_is_on_the_page(report, written):
  text = html.unescape(re.sub(r'<[^>]+>', ' ', written))
  for name, value in page.flattened(json.loads(json.dumps(report))):
    assert name in text, name
    assert value in text, (name, value)


def test_every_element_is_closed(written):
  """An open tag would swallow the rest of the page."""
  void = {'meta', 'img', 'br', 'line', 'circle', 'polyline', 'path'}
  stack = []

  class Parser(html.parser.HTMLParser):
    def handle_starttag(self, tag, attrs):
      if tag not in void:
        stack.append(tag)

    def handle_endtag(self, tag):
      if tag not in void:
        assert stack.pop() == tag

  Parser().feed(written)
  assert not stack


def test_words_stand_at_their_times_and_instructions_stand_out(written):
  told = re.findall(r'<div class="cell told">.*?</div>', written, re.S)
  assert told and all('attack' in cell for cell in told)
  free = written.split('<h2>')[1]
  cells = re.findall(r'class="word (\w+)( held)?">([\w ]+)<', free)
  story = [cell for cell in cells if cell[2] in ('turn left', 'attack')][-3:]
  assert story == [
    ('blue', '', 'turn left'),
    ('blue', ' held', 'turn left'),
    ('red', '', 'attack'),
  ]
  assert re.findall(r'class="time">([^<]+)<', free) == [
    'start',
    '0.1 s',
    '0.3 s',
    '0.5 s',
  ]


def test_the_released_model_tells_beside_that_of_the_run(report, written):
  (section,) = (
    s for s in written.split('<h2>') if s.startswith('From the rel')
  )
  for said in ('An older film', '1.2 hours', '7,654 steps, in 76 min'):
    assert said in section
  assert section.count('<video') == 2
  assert 'Story 1, by the released model' in section
  assert 'Story 1, by the model of this run' in section


def test_without_a_released_model_the_page_tells_of_none(report):
  bare = {name: part for name, part in report.items() if name != 'released'}
  copies = page.Copies(_frames(1, 9), _frames(1, 9))
  material = page.Material([_story('Story 1')], [], copies, _RATE)
  assert 'released' not in page.render(bare, material)


def test_the_table_names_every_count(report):
  lines = page.table(report).splitlines()
  assert [line.split('  ')[0] for line in lines[1:]] == [
    *obedience.INSTRUCTIONS,
    'both turns',
  ]
  first = report['obedience']['rows'][0]['obeyed']
  assert f'{first["hits"]}/5 [' in lines[1]


def test_a_video_plays_for_as_long_as_its_frames():
  data = embed.video(_frames(15), _RATE, scale=2)
  content = base64.b64decode(data.removeprefix('data:video/mp4;base64,'))
  with av.open(io.BytesIO(content)) as container:
    frames = list(container.decode(video=0))
  assert len(frames) == 15
  assert (frames[0].width, frames[0].height) == (128, 96)
  assert frames[-1].time == pytest.approx(14 / _RATE, abs=0.01)


def test_a_chart_keeps_its_lines_inside():
  one = charts.chart(
    'x',
    'step',
    {'a': [(0, 100.0), (50, 0.1)], 'b': [], 'c': [(3, 7.0)]},
    logarithmic=True,
  )
  assert [line.name for line in one.lines] == ['a', 'c']
  for line in one.lines:
    for point in line.points.split():
      x, y = map(float, point.split(','))
      assert 0 <= x <= charts.WIDTH and 0 <= y <= charts.HEIGHT
  assert {tick.label for tick in one.y_ticks} >= {'1', '10'}
  assert charts.chart('x', 'y', {'a': []}).lines == []


def test_stages_of_another_form_are_named(tmp_path):
  path = tmp_path / 'stages.json'
  assert figures.stages(path) == []
  path.write_text('[{"stage": "a", "seconds": 2}]')
  assert figures.stages(path) == [{'stage': 'a', 'seconds': 2.0}]
  path.write_text('[1, 2]')
  with pytest.raises(ValueError, match=r'stages[.]json'):
    figures.stages(path)
