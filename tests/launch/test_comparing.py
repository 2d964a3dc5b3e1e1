"""A comparison: its stages, and what it asks."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from configs import comparison
from data_pipelines.prepare import record
from launch.comparing import course as course_lib
from launch.comparing import scripts
from launch.comparing import stages as stages_lib
from tests.data_pipelines import tiny_source
from tests.launch import compared


def test_every_layout_learns_alike_and_is_asked_alike(tmp_path):
  course = course_lib.Course(compared.config(seeds=(0, 1)), tmp_path)
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
  def names(**changes):
    course = course_lib.Course(compared.config(**changes), tmp_path)
    return [kind.name for kind in course.kinds().values()]

  one, two = (
    names(short=comparison.Films(starts=2, seconds=3.0, told_at=(at,)))[0]
    for at in '12'
  )
  assert one != two
  assert one != names(holds=(0.5,) * 5)[0]
  none = comparison.Films(starts=0, seconds=6.0, told_at=())
  assert len(names(long=none)) == 1


def test_stories_are_asked_with_their_twins(tmp_path):
  records, desk = tmp_path / 'records', tmp_path / 'desk'
  desk.mkdir()
  record.record(tiny_source.Tiny(desk=str(desk)), records, processes=1)
  films = comparison.Films(starts=1, seconds=6.0, told_at=('1', '1,3,5'))
  config = compared.config(instructions=('turn left', 'jump'), holds=(1.0, 0.5))
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
