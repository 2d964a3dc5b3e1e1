"""From a game to a story, by the programs a user runs."""

import json

import av
import numpy as np
from PIL import Image
import pytest

from data_pipelines.prepare import record
from data_pipelines.sources import vizdoom
from tests.launch import programs

_TINY = (
  '--config=configs/doom.py',
  '--config.train.steps=3',
  '--config.train.log_every=1',
  '--config.held_out=8',
  '--config.model.towers.width=32',
  '--config.model.towers.hidden=32',
  '--config.model.towers.head_width=8',
  '--config.model.towers.depth=1',
  '--config.model.towers.unroll=1',
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A folder with a recording and all that is trained on it."""
  folder = tmp_path_factory.mktemp('story')
  film = folder / 'film'
  source = vizdoom.Vizdoom(minutes=0.1, seed=1, maps=('duel',))
  record.record(source, film, processes=1)
  for arguments in (
    ('tokenize', f'--records={film}', f'--out={folder}/words.model'),
    (
      'train_vae',
      *programs.TINY_VAE,
      f'--workdir={folder}/vae',
      f'--config.data.records={film}',
    ),
    (
      'encode',
      f'--vae={folder}/vae',
      f'--tokenizer={folder}/words.model',
      f'--records={film}',
      f'--out={folder}/latents',
    ),
  ):
    done = programs.run(f'launch.{arguments[0]}', *arguments[1:])
    assert done.returncode == 0, done.stderr
  return folder


def _train(folder, *changes):
  return programs.run(
    'launch.train',
    *_TINY,
    f'--workdir={folder}/model',
    f'--config.sources.latents={folder}/latents',
    f'--config.sources.vae={folder}/vae',
    f'--config.sources.tokenizer={folder}/words.model',
    *changes,
  )


def _generate(folder, out, *changes):
  return programs.run(
    'launch.generate',
    f'--workdir={folder}/model',
    f'--out={out}',
    '--seconds=1.2',
    '--steps=2',
    *changes,
  )


def test_a_story_is_trained_and_filmed(folder, tmp_path):
  done = _train(folder)
  assert done.returncode == 0, done.stderr
  lines = (folder / 'model' / 'metrics.jsonl').read_text().splitlines()
  losses = [json.loads(line) for line in lines]
  assert [each['step'] for each in losses if 'loss' in each] == [1, 2, 3]
  assert any('held_out/video' in each for each in losses)
  other = _train(folder, '--config.model.towers.depth=2')
  assert 'config.model.towers.depth is 2, was 1' in programs.error(other)

  out = tmp_path / 'one'
  say = ('--say=0.5: turn left', '--seed=3')
  done = _generate(folder, out, *say)
  assert done.returncode == 0, done.stderr
  story = json.loads((out / 'story.json').read_text())
  told = {'chunk': 3, 'seconds': 0.514, 'text': 'turn left', 'told': True}
  assert told in story['words']
  with av.open(str(out / 'story.mp4')) as film:
    frames = [each.to_ndarray(format='rgb24') for each in film.decode(video=0)]
  assert len(frames) == story['frames'] == 21
  assert (out / 'story.png').exists()

  done = programs.run(
    'launch.generate', f'--workdir={folder}/model', f'--replay={out}'
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines()[-1] == f'{out}: the same, bit for bit'

  film = f'--records={folder}/film'
  start = ('--start=test:0', '--start_seconds=0.5')
  done = _generate(folder, tmp_path / 'film', film, *start)
  assert done.returncode == 0, done.stderr
  story = json.loads((tmp_path / 'film' / 'story.json').read_text())
  assert story['prompt'] == 'doom duel' and story['start']['frames'] == 9
  _refusals(folder, tmp_path)


def _refusals(folder, tmp_path):
  """What cannot be filmed is said in a line, and nothing is left behind."""
  picture = tmp_path / 'large.png'
  Image.fromarray(np.zeros((50, 70, 3), np.uint8)).save(picture)
  for change, complaint in (
    (f'--start={picture}', 'starting frame of 70x50: this model films 64x48'),
    ('--prompt=' + 'zyx' * 20, 'over the budget of 16'),
  ):
    done = _generate(folder, tmp_path / 'refused', change)
    assert complaint in programs.error(done)
  assert not (tmp_path / 'refused').exists()
  assert not list(tmp_path.glob('.*partial'))


@pytest.mark.parametrize(
  'change,complaint',
  [
    ('--config.train.stepz=3', 'stepz'),
    ('--config.model.towers.depth=two', 'depth'),
    ('--nonsense=1', 'nonsense'),
    ('--config.model.vocabulary=10', 'config.model.vocabulary = 10'),
    ('--config.data.text_length=10', 'raise data.text_length'),
    ('--config.sources.vae=nowhere', 'config.sources.vae'),
  ],
)
def test_what_does_not_fit_is_named(folder, tmp_path, change, complaint):
  workdir = f'--workdir={tmp_path}/model'
  assert complaint in programs.error(_train(folder, workdir, change))
