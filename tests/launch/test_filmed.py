"""A checkpoint films stories from held-out frames, and they are looked at."""

import json
import shutil

import pytest

from launch import story_folder
from launch.evaluation import filmed
from launch.evaluation import story_set
from tests.launch import fake_teller
from tests.launch import told


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
  """Recorded film."""
  return told.recorded(tmp_path_factory.mktemp('film') / 'walls')


@pytest.fixture
def filmer(dataset, tmp_path, monkeypatch):
  """Films with a storyteller that needs no model."""
  monkeypatch.setattr(filmed.jax, 'device_count', lambda: 1)
  monkeypatch.setattr(fake_teller, 'SIZE', told.SIZE)
  monkeypatch.setattr(
    filmed.storyteller_lib, 'Storyteller', lambda *_, **__: told.Teller()
  )
  filming = filmed.Filming(films=3, seconds=5.0)
  settings = story_set.Settings(records=dataset)
  return filmed.Filmer(tmp_path / 'run', tmp_path / 'out', filming, settings)


def test_every_instruction_is_told_beside_its_twin(filmer, tmp_path):
  figures = filmer(40, None)
  assert figures['told'] == 9 and figures['failed'] == 0
  assert figures['brightness, change a minute'] is not None
  stories = tmp_path / 'out' / '40' / 'stories'
  asks = {
    path.name: json.loads((path / story_folder.RECORD).read_bytes())['asks']
    for path in stories.iterdir()
    if path.is_dir()
  }
  # At 1 s and at 3 s, for a second of two chunks.
  assert asks['000-nothing'] == {}
  assert asks['000-forward'] == dict.fromkeys('3478', 'move forward')
  words = [list(dict.fromkeys(asks[f'00{n}-told'].values())) for n in range(3)]
  assert words == [
    ['turn left', 'turn right'],
    ['turn right', 'attack'],
    ['attack', 'move backward'],
  ]
  assert (tmp_path / 'out' / '40' / story_set.PAGE).exists()
  # Again: nothing is filmed, all is the same.
  report = tmp_path / 'out' / '40' / story_set.REPORT
  before = report.read_bytes()
  shutil.rmtree(stories / '001-told')
  assert filmer(40, None) == figures and report.read_bytes() == before


def test_stories_are_filmed_by_one_process(filmer, monkeypatch):
  monkeypatch.setattr(filmed.jax, 'process_count', lambda: 8)
  with pytest.raises(ValueError, match='by one process, here are 8'):
    filmed.Filmer(None, None, None, None)
