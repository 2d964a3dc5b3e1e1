"""What a comparison makes of trials: differences, a report, and its page."""

import json

import numpy as np
import pytest

from launch import verdicts
from launch.comparing import course as course_lib
from launch.comparing import pooled
from launch.comparing import result
from launch.comparing import tables
from launch.evaluation.told import real
from tests.launch import compared
from tv2tv_jax.evaluate import intervals


def _trials(shares, starts=10, each=4, seed=0):
  """Trials of some starts, obeyed as often as `shares` say of each."""
  rng = np.random.default_rng(seed)
  return [
    {
      'start': str(start),
      'obeyed': bool(rng.random() < shares[start % len(shares)]),
      'twin': {'obeyed': bool(rng.random() < 0.1)},
      'word': ('jump', 'attack')[number % 2],
    }
    for start in range(starts)
    for number in range(each)
  ]


def test_a_known_difference_lies_in_its_interval():
  hits = 0
  for seed in range(40):
    one = _trials((0.9, 0.7), starts=30, seed=seed)
    other = _trials((0.6, 0.4), starts=30, seed=1000 + seed)
    lead = pooled.difference(one, other)
    hits += lead.low <= 0.3 <= lead.high
    assert lead.low < lead.value < lead.high
  assert hits >= 34, hits
  assert pooled.difference(one, one).value == 0
  assert pooled.difference(one, other) == pooled.difference(one, other)


def test_starts_that_differ_widen_an_interval():
  """Sixty trials of three starts are no sixty starts."""
  few = pooled.difference(
    _trials((1.0, 0.0, 0.5), starts=3, each=20),
    _trials((0.0, 0.5, 1.0), starts=3, each=20),
  )
  many = pooled.difference(
    _trials((1.0, 0.0, 0.5), starts=60, each=1),
    _trials((0.0, 0.5, 1.0), starts=60, each=1),
  )
  assert few.high - few.low > 2 * (many.high - many.low)


def test_growth_is_the_difference_of_leads():
  short = _trials((0.8,)), _trials((0.6,))
  long = _trials((0.8,)), _trials((0.2,))
  grown = pooled.growth(long, short)
  leads = [pooled.difference(*each).value for each in (long, short)]
  assert grown.value == pytest.approx(leads[0] - leads[1])
  assert grown.low < grown.value < grown.high


def test_untold_twins_are_counted_where_there_are_some():
  trials = [
    {'obeyed': True, 'twin': None},
    {'obeyed': False, 'twin': {'obeyed': True}},
  ]
  assert pooled.count(trials) == (1, 2)
  assert pooled.untold(trials) == (1, 1)


def _evaluated(course, kind, model, share):
  """The report of a model's stories, as far as a comparison reads it."""
  trials = [
    {
      **trial,
      'seconds': 1.0 + 2.0 * (number % 2),
      'moved': None,
      'story': str(number),
    }
    for number, trial in enumerate(_trials((share,), starts=20))
  ]
  curves = {'curve': [1.0, 2.0], 'slope': 0.5}
  report = {
    'failed': [],
    'obedience': {
      'trials': trials,
      'unfilmed': {'jump': 2, 'attack': 1},
      'rows': [
        {
          'instruction': 'jump',
          'ceiling': verdicts.entry(intervals.Count(45, 50)),
          'ceiling_free': verdicts.entry(intervals.Count(2, 40)),
        },
        {'instruction': 'all'},
      ],
    },
    'frechet': {
      'real': {'eyes': {'distance': 3.5, 'times': [{'distance': 4.5}]}}
    },
    'flicker': {'undone': 0.25},
    'drift': {'seconds': [0.5, 1.5], 'statistics': {'contrast': curves}},
    'wording': {'words a second': 2.0},
    'reader': {'heads': {}},
  }
  place = course.evaluation(kind, model)
  (place / 'parts').mkdir(parents=True)
  (place / 'report.json').write_text(json.dumps(report))
  # The less a model obeys, the farther its films are from real film.
  rng = np.random.default_rng(model.seed)
  for story in range(12):
    features = rng.normal(1 - share, 1.0, (20, 4))
    np.savez(place / 'parts' / f'{story}.npz', **{'features/': features})
  takes = np.repeat(np.arange(24), 10)
  real.keep(place, real.Rows(rng.normal(0, 1, (240, 4)), takes))


def test_what_there_is_becomes_a_page(tmp_path):
  """Also when half of it is missing: a comparison takes hours."""
  course = course_lib.Course(compared.config(seeds=(0, 1)), tmp_path)
  kinds, shares = course.kinds(), {'tv2tv': 0.9, 'think2v': 0.5, 't2v': 0.1}
  assert 'Nothing has been evaluated yet' in result.write(course, {})
  for model in course.models()[:3]:
    _evaluated(course, kinds['short'], model, shares[model.layout])
  result.write(course, {'record': 60.0})
  report = json.loads((tmp_path / 'report.json').read_text())
  assert [*report['lengths']] == ['short'] and not report['growth']
  for model in course.models()[3:]:
    _evaluated(course, kinds['short'], model, shares[model.layout])
  for model in course.models():
    _evaluated(course, kinds['long'], model, shares[model.layout] / 2)
  text = result.write(course, {'record': 60.0})
  report = json.loads((tmp_path / 'report.json').read_text())
  short = report['lengths']['short']
  found = {name: each['obeyed'] for name, each in short['layouts'].items()}
  assert {
    name: each['trials'] for name, each in found.items()
  } == dict.fromkeys(shares, 160)
  for name, share in shares.items():
    assert found[name]['share'] == pytest.approx(share, abs=0.1)
  lead = short['leads']['think2v']
  assert lead['intervals_apart']
  # Four features whose means are 0.1 and 0.5 off: 4 x (0.01 - 0.25).
  assert lead['farther']['low'] < -0.96 < lead['farther']['high'] < 0
  assert 'nearer' in tables.lead(report, 'think2v', lead)
  assert '| not filmed: over before | 6 | 6 | 6 |  |' in text
  # As read, (0.9 + 0.95 - 1) / (0.9 + 0.95 - 1) would be all.
  jump = short['layouts']['tv2tv']['words']['jump']
  share = jump['obeyed']['share']
  expected = min(1.0, (share - 0.05) / 0.85)
  assert jump['corrected']['share'] == pytest.approx(expected)
  assert 'attack' in short['layouts']['tv2tv']['words']
  assert short['layouts']['tv2tv']['words']['attack']['corrected'] is None
  assert short['layouts']['t2v']['figures']['undone'] == [0.25, 0.25]
  grown = report['growth']['think2v']
  assert grown['value'] < 0, 'half the lead'
  # 4 x (0.75^2 - 0.55^2) less 4 x (0.5^2 - 0.1^2).
  assert grown['nearer']['low'] < 0.08 < grown['nearer']['high']
  assert 'From short to long, the lead over think2v changes by -' in text
  assert 'tv2tv over think2v: +' in text
  assert text.splitlines()[-1] == f'page: {tmp_path / "index.html"}'
  page = (tmp_path / 'index.html').read_text()
  assert page.count('<polyline') == 12
  assert result.write(course, {'record': 60.0}) == text
  assert (tmp_path / 'index.html').read_text() == page
