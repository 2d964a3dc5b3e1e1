"""A comparison: its stages, what it asks, and what it makes of the answers."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from configs import comparison
from configs import doom_compare
from data_pipelines.prepare import record
from launch import witness
from launch.comparing import course as course_lib
from launch.comparing import pooled
from launch.comparing import result
from launch.comparing import scripts
from launch.comparing import stages as stages_lib
from launch.comparing import tables
from launch.evaluation.told import real
from tests.data_pipelines import tiny_source
from tv2tv_jax import config as config_lib
from tv2tv_jax.evaluate import intervals


def _config(**changes):
  values = doom_compare.get_config('minutes')
  config = config_lib.from_config_dict(comparison.Comparison, values)
  return dataclasses.replace(config, **changes)


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


def test_every_layout_learns_alike_and_is_asked_alike(tmp_path):
  course = course_lib.Course(_config(seeds=(0, 1)), tmp_path)
  every = course.stages()
  assert len({stage.name for stage in every}) == len(every)
  for kind in ('train', 'film short', 'film long', 'evaluate short'):
    some = [stage for stage in every if stage.kind == kind]
    assert len(some) >= 6
    commands = set()
    for stage in some:
      line, name = stage.line, stage.name.rsplit('/', 1)[-1]
      if '--guidance' in line:
        continue
      layout, seed = name.split('-')
      line = line.replace(name, 'MODEL').replace(f'layout={layout}', 'LAYOUT')
      commands.add(line.replace(f'train.seed={seed}', 'SEED'))
    assert len(commands) == 1, 'only the name, layout and seed differ'
  names = [stage.kind for stage in every]
  assert names.index('record') < names.index('encode') < names.index('train')
  variants = [stage for stage in every if '--guidance=1' in stage.command]
  assert len(variants) == 3, 'the first seed of each layout'


def test_other_stories_have_another_folder(tmp_path):
  one, two = (
    course_lib.Course(_config(short=films), tmp_path).kinds()['short'].name
    for films in (
      comparison.Films(starts=2, seconds=3.0, told_at=('1',)),
      comparison.Films(starts=2, seconds=3.0, told_at=('2',)),
    )
  )
  assert one != two
  none = _config(long=comparison.Films(starts=0, seconds=6.0, told_at=()))
  assert list(course_lib.Course(none, tmp_path).kinds()) == ['short']


def test_stories_are_asked_with_their_twins(tmp_path):
  records, desk = tmp_path / 'records', tmp_path / 'desk'
  desk.mkdir()
  record.record(tiny_source.Tiny(desk=str(desk)), records, processes=1)
  films = comparison.Films(starts=1, seconds=6.0, told_at=('1', '1,3,5'))
  config = _config(instructions=('turn left', 'jump'), holds=(1.0, 0.5))
  lines = scripts.lines(config, films, str(records))
  told = {line['id']: line.get('says') for line in lines}
  assert told == {
    'start00-nothing': None,
    'start00-turn-left-at-1': [(1.0, 'turn left', 1.0)],
    'start00-jump-at-1': [(1.0, 'jump', 0.5)],
    'start00-in-turn-at-1-3-5': [
      (1.0, 'turn left', 1.0),
      (3.0, 'jump', 0.5),
      (5.0, 'turn left', 1.0),
    ],
  }
  (turns,) = list(scripts.of_start(config, films, 1).values())[-1:]
  assert [word for _, word, _ in turns] == ['jump', 'turn left', 'jump']
  shared = {(line['start'], line['seed'], line['prompt']) for line in lines}
  assert len(shared) == 1
  with pytest.raises(ValueError, match='1000 starts are asked for'):
    many = dataclasses.replace(films, starts=1000)
    scripts.lines(config, many, str(records))
  with pytest.raises(ValueError, match="told_at has 'soon'"):
    late = dataclasses.replace(films, told_at=('soon',))
    scripts.lines(config, late, str(records))
  with pytest.raises(ValueError, match='2 instructions, 1 holds'):
    scripts.lines(
      dataclasses.replace(config, holds=(1.0,)), films, str(records)
    )


def _stage(folder, name='train/a', module='sheet', proof='.'):
  """A module of `launch` that does nothing when it is run."""
  return stages_lib.Stage(name, (module,), folder / proof)


def test_a_stage_is_run_once(tmp_path, capfd):
  stages, stage = stages_lib.Stages(tmp_path), _stage(tmp_path)
  with stages.held():
    assert stages.run(stage, [stage])
    assert not stages.run(stage, [stage])
    assert '[1/1] train/a: done' in capfd.readouterr().out
    assert list(stages.seconds()) == ['train/a']
    # Another command, or what it made gone: again.
    other = stage._replace(command=('sheet', '--x'))
    assert stages.run(other, [other])
    gone = stage._replace(proof=tmp_path / 'gone')
    with pytest.raises(stages_lib.StoppedError):
      stages.run(gone, [gone])
    assert not stages.is_done(gone)


def test_a_stage_that_fails_says_so(tmp_path, capfd):
  stages = stages_lib.Stages(tmp_path)
  stage = stages_lib.Stage('film/a', ('no_such_program',), tmp_path)
  with stages.held(), pytest.raises(stages_lib.StoppedError) as error:
    stages.run(stage, [stage])
  assert error.value.status == 1
  assert 'no_such_program' in capfd.readouterr().err


def test_a_folder_has_one_comparison_at_a_time(tmp_path):
  other = stages_lib.Stages(tmp_path).held()
  with (
    stages_lib.Stages(tmp_path).held(),
    pytest.raises(ValueError, match='another comparison is at work'),
    other,
  ):
    pass


def test_a_stage_is_asked_to_end_as_this_one_is(tmp_path, monkeypatch):
  """SIGTERM reaches the program, which ends in its own way: not done."""
  program = tmp_path / 'launch' / 'slow.py'
  program.parent.mkdir()
  (program.parent / '__init__.py').touch()
  program.write_text(
    'import signal, sys, time\n'
    'signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n'
    'open("began", "w").close()\n'
    'time.sleep(60)\n'
  )
  monkeypatch.chdir(tmp_path)
  stages, stage = stages_lib.Stages(tmp_path), _stage(tmp_path, module='slow')

  def end():
    while not (tmp_path / 'began').exists():
      time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)

  threading.Thread(target=end).start()
  with stages.held(), pytest.raises(stages_lib.StoppedError) as error:
    stages.run(stage, [stage])
  assert error.value.status == 0
  assert not stages.is_done(stage)


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
      'rows': [
        {
          'instruction': 'jump',
          'ceiling': witness.entry(intervals.Count(45, 50)),
          'ceiling_free': witness.entry(intervals.Count(2, 40)),
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
  course = course_lib.Course(_config(seeds=(0, 1)), tmp_path)
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
  # As read, (0.9 + 0.95 - 1) / (0.9 + 0.95 - 1) would be all.
  jump = short['layouts']['tv2tv']['words']['jump']
  share = jump['obeyed']['share']
  expected = min(1.0, (share - 0.05) / 0.85)
  assert jump['corrected']['share'] == pytest.approx(expected)
  assert 'attack' in short['layouts']['tv2tv']['words']
  assert short['layouts']['tv2tv']['words']['attack']['corrected'] is None
  assert short['layouts']['t2v']['figures']['undone'] == [0.25, 0.25]
  assert report['growth']['think2v']['value'] < 0, 'half the lead'
  assert 'tv2tv over think2v: +' in text
  assert text.splitlines()[-1] == f'page: {tmp_path / "index.html"}'
  page = (tmp_path / 'index.html').read_text()
  assert page.count('<polyline') == 12
  assert result.write(course, {'record': 60.0}) == text
  assert (tmp_path / 'index.html').read_text() == page


def test_the_program_names_its_commands(tmp_path):
  command = [
    sys.executable, '-m', 'launch.compare', '--dry', f'--workdir={tmp_path}',
    '--config=configs/doom_compare.py:minutes', "--config.layouts=('t2v',)",
  ]  # fmt: skip
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  lines = done.stdout.splitlines()
  assert lines[0].startswith('python -m launch.record --source=vizdoom')
  assert sum('launch.train ' in line for line in lines) == 1
  assert not list(tmp_path.iterdir())
