"""Finished stories are laid out as VBench reads them, and it is run on them."""

import json
import shutil
import sys

import numpy as np
import pytest

from launch import story_folder
from launch import storyteller as storyteller_lib
from launch.evaluation import vbench
from launch.stories import filming
from tests.launch import fake_teller
from tv2tv_jax.sample import settings as settings_lib

# What the programs of VBench 0.1.5 do with films, without looking at them.
_PROGRAM = """
import argparse, json, os, sys
parser = argparse.ArgumentParser()
for name in ('output_path', 'videos_path', 'prompt_file', 'mode'):
  parser.add_argument('--' + name)
parser.add_argument('--dimension', nargs='+', required=True)
args = parser.parse_args()
films = os.listdir(args.videos_path)
seen = {'argv': vars(args), 'films': sorted(films)}
if args.mode == 'custom_input':
  with open(args.prompt_file) as file:
    seen['prompts'] = json.load(file)
  assert set(seen['prompts']) == set(films)
if os.environ.get('FAKE_FAILS'):
  sys.exit(3)
os.makedirs(args.output_path, exist_ok=True)
if not os.environ.get('FAKE_SILENT'):
  table = {each: [0.25 + i, []] for i, each in enumerate(args.dimension)}
  name = os.path.join(args.output_path, 'results_now_eval_results.json')
  with open(name, 'w') as file:
    json.dump(table, file)
  with open(os.path.join(args.output_path, 'seen'), 'w') as file:
    json.dump(seen, file)
"""


def _tell(folder, name, prompt, chunks=3):
  """A finished story."""
  script = story_folder.Script(
    prompt=prompt,
    seed=3,
    settings=settings_lib.Settings(),
    layout='tv2tv',
    chunks=chunks,
    asks={},
  )
  start = storyteller_lib.Start(
    np.zeros((1, *fake_teller.SIZE, 3), np.uint8), ''
  )
  teller = fake_teller.Storyteller()
  job = filming.Job('', script, lambda: start)
  ((_, finished),) = filming.films(teller, [job])
  story_folder.save(folder / name, finished, teller)


def _rename(folder, prompt):
  """Gives a story another prompt."""
  path = folder / story_folder.RECORD
  record = json.loads(path.read_bytes())
  path.write_text(json.dumps({**record, 'prompt': prompt}))


@pytest.fixture(scope='module')
def told(tmp_path_factory):
  """Stories, one of which is long; some are missing or damaged."""
  folder = tmp_path_factory.mktemp('told') / 'stories'
  _tell(folder, '2', 'doom hall')
  _tell(folder, '10', 'doom hall', chunks=11)
  _tell(folder, 'a', 'go left')
  _tell(folder, 'broken', 'go')
  film = folder / 'broken' / story_folder.FILM
  film.write_bytes(film.read_bytes()[:-400])
  error = json.dumps({'id': 'never', 'error': 'no memory'})
  (folder / '.never.failed.json').write_text(error)
  lines = [json.dumps({'id': name}) for name in ('2', '10', 'a', 'gone')]
  (folder / 'stories.jsonl').write_text('\n'.join(lines))
  return folder


@pytest.fixture
def stories(told, tmp_path):
  return shutil.copytree(told, tmp_path / 'stories')


@pytest.fixture
def installed(tmp_path, monkeypatch):
  """A VBench that writes down what it is called with."""
  package = tmp_path / 'site' / 'vbench'
  (package / 'launch').mkdir(parents=True)
  (package / '__init__.py').touch()
  (package / 'launch' / '__init__.py').touch()
  (package / 'launch' / 'evaluate.py').write_text(_PROGRAM)
  monkeypatch.syspath_prepend(package.parent)
  monkeypatch.setenv('PYTHONPATH', str(package.parent))


def _films(out):
  return sorted(path.name for path in (out / 'videos').iterdir())


def test_films_have_the_names_of_their_stories_and_prompts_beside(
  stories, tmp_path
):
  out = tmp_path / 'a room' / 'out'
  exported = vbench.export(stories, out)
  assert _films(out) == ['10.mp4', '2.mp4', 'a.mp4']
  film = (stories / '10' / story_folder.FILM).read_bytes()
  assert (out / 'videos' / '10.mp4').read_bytes() == film
  prompts = json.loads((out / 'prompts.json').read_bytes())
  assert prompts == {
    '2.mp4': 'doom hall',
    '10.mp4': 'doom hall',
    'a.mp4': 'go left',
  }
  assert (exported.count, exported.long) == (3, 1)


def test_stories_without_a_film_are_named(stories, tmp_path):
  exported = vbench.export(stories, tmp_path / 'out')
  assert exported.left_out.keys() == {'broken', 'gone', 'never'}
  assert exported.left_out['never'] == 'was not told: no memory'
  assert 'broken/story.mp4' in exported.left_out['broken']
  for name, why in exported.left_out.items():
    assert f'without {name}: {why}' in str(exported)
  record = json.loads((tmp_path / 'out' / 'vbench.json').read_bytes())
  assert record['left_out'] == exported.left_out


def test_films_are_counted_under_their_prompts(stories, tmp_path):
  exported = vbench.export(stories, tmp_path / 'out', 'prompts')
  assert exported.count == 3
  assert _films(tmp_path / 'out') == [
    'doom hall-0.mp4',
    'doom hall-1.mp4',
    'go left-0.mp4',
  ]
  first = (tmp_path / 'out' / 'videos' / 'doom hall-0.mp4').read_bytes()
  assert first == (stories / '2' / story_folder.FILM).read_bytes()


@pytest.mark.parametrize(
  ('prompt', 'why'),
  [
    ('a/b', "its prompt 'a/b' is no name of a file"),
    (' ', "its prompt ' ' is no name of a file"),
    ('é' * 125, 'its prompt makes the name of a file of 256 bytes'),
    ('Doom hall', "its prompt 'Doom hall' may be the file of 'doom hall'"),
  ],
)
def test_a_prompt_that_names_no_file_leaves_its_story_out(
  stories, tmp_path, prompt, why
):
  _rename(stories / 'a', prompt)
  exported = vbench.export(stories, tmp_path / 'out', 'prompts')
  assert exported.left_out['a'] == why
  assert exported.count == 2
  # The name of the story always is one.
  assert vbench.export(stories, tmp_path / 'out').count == 3


def test_no_more_films_of_a_prompt_than_are_looked_at(stories, tmp_path):
  for number in range(4):
    shutil.copytree(stories / '2', stories / f'b{number}')
  exported = vbench.export(stories, tmp_path / 'out', 'prompts')
  assert exported.left_out['b3'] == (
    'VBench looks at 5 films of a prompt, and has them'
  )
  assert exported.count == 6


def test_a_second_export_replaces_the_first(stories, tmp_path):
  out = tmp_path / 'out'
  vbench.export(stories, out, 'prompts')
  (out / 'results').mkdir()
  shutil.rmtree(stories / 'a')
  vbench.export(stories, out)
  assert _films(out) == ['10.mp4', '2.mp4']
  assert sorted(path.name for path in out.iterdir()) == [
    'prompts.json',
    'results',
    'vbench.json',
    'videos',
  ]


def test_a_place_that_is_taken_is_refused(stories, tmp_path):
  (tmp_path / 'full').mkdir()
  (tmp_path / 'full' / 'thesis').touch()
  with pytest.raises(ValueError, match='full: there is something else'):
    vbench.export(stories, tmp_path / 'full')
  with pytest.raises(ValueError, match='in the folder of the stories'):
    vbench.export(stories, stories / 'out')
  with pytest.raises(ValueError, match='none: no stories'):
    vbench.export(tmp_path / 'none', tmp_path / 'out')


def test_where_no_film_is_whole_nothing_is_written(stories, tmp_path):
  for name in ('2', '10', 'a'):
    (stories / name / story_folder.FILM).unlink()
  with pytest.raises(ValueError, match=r'no film for VBench: 2: .*missing'):
    vbench.export(stories, tmp_path / 'out')
  assert not list((tmp_path / 'out').iterdir())


def test_vbench_is_told_where_films_and_prompts_are(
  stories, tmp_path, installed, capfd
):
  out = tmp_path / 'a room' / 'out'
  vbench.export(stories, out)
  scores = vbench.run(out, ['motion_smoothness', 'imaging_quality'])
  assert scores == {'motion_smoothness': 0.25, 'imaging_quality': 1.25}
  seen = json.loads((out / 'results' / 'seen').read_bytes())
  assert seen['argv'] == {
    'mode': 'custom_input',
    'videos_path': str(out / 'videos'),
    'prompt_file': str(out / 'prompts.json'),
    'output_path': str(out / 'results'),
    'dimension': ['motion_smoothness', 'imaging_quality'],
  }
  assert seen['films'] == ['10.mp4', '2.mp4', 'a.mp4']
  assert list(vbench.run(out)) == list(vbench.DIMENSIONS)


def test_its_own_prompts_have_all_dimensions(stories, tmp_path, installed):
  out = tmp_path / 'out'
  vbench.export(stories, out, 'prompts')
  assert len(vbench.run(out)) == 16
  seen = json.loads((out / 'results' / 'seen').read_bytes())
  assert seen['argv']['mode'] == 'vbench_standard'
  assert seen['argv']['prompt_file'] is None


@pytest.mark.parametrize(
  ('how', 'message'),
  [
    ('FAKE_FAILS', 'VBench failed with status 3: python -m vbench.launch'),
    ('FAKE_SILENT', 'VBench wrote no results: python -m vbench.launch'),
  ],
)
def test_that_it_failed_is_said(
  stories, tmp_path, installed, monkeypatch, how, message
):
  vbench.export(stories, tmp_path / 'out')
  monkeypatch.setenv(how, '1')
  with pytest.raises(ValueError, match=message):
    vbench.run(tmp_path / 'out')


def test_where_it_is_not_installed_the_command_is_printed(
  stories, tmp_path, monkeypatch, capsys
):
  monkeypatch.setitem(sys.modules, 'vbench', None)
  monkeypatch.chdir(tmp_path)
  out = (tmp_path / 'a room').relative_to(tmp_path)
  vbench.export(stories, out)
  assert vbench.run(out, ['dynamic_degree']) is None
  assert capsys.readouterr().out == (
    'VBench is not installed here; where it is: python -m '
    "vbench.launch.evaluate --mode custom_input --videos_path 'a room/videos' "
    "--prompt_file 'a room/prompts.json' --output_path 'a room/results' "
    '--dimension dynamic_degree\n'
  )


def test_what_vbench_does_not_measure_is_refused(stories, tmp_path):
  with pytest.raises(ValueError, match='nothing was laid out there'):
    vbench.run(tmp_path)
  vbench.export(stories, tmp_path / 'out')
  with pytest.raises(ValueError, match="dimension 'scene': for films laid out"):
    vbench.run(tmp_path / 'out', ['scene'])
