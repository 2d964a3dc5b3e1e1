"""Pictures of a run cost little time, and never its life."""

import itertools
import shutil
import types

import jax
import numpy as np
from PIL import Image
import pytest

from launch import showing
from launch import storyteller
from tests.launch import programs
from tests.launch import watched
from tv2tv_jax.sample import telling


class _Storyteller:
  """Stories of grey pictures, two a chunk; its own teller."""

  def __init__(self, workdir, *, model):
    assert model == 'the model'
    self.teller, self.engine = self, types.SimpleNamespace(lanes=4)

  def begin(self, start, prompt, seed):
    assert start.frames.shape == (1, 12, 16, 3)
    assert prompt == start.prompt == 'abc'[seed]
    return telling.Telling(types.SimpleNamespace(latents=(0,)))

  def chunks_of(self, seconds):
    return 5

  def advance(self, tellings, asks, emit):
    assert len(tellings) == 3 and asks is None
    out = []
    for story, each in enumerate(tellings):
      count = len(each.roll.latents) + 1
      for chunk in range(each.shown, count):
        emit(telling.Wrote(story, chunk, (), False))
        grey = np.full((2, 12, 16, 3), 128, np.uint8)
        emit(telling.Filmed(story, chunk, grey))
      roll = types.SimpleNamespace(latents=(0,) * count)
      out.append(telling.Telling(roll, count))
    return out

  def wait(self):
    pass

  def words(self, roll):
    return ['said'] * len(roll.latents)

  def time_of(self, number):
    return 0.5 * number


@pytest.fixture
def workdir(tmp_path, monkeypatch):
  """A workdir with three starts."""
  frames = np.zeros((3, 12, 16, 3), np.uint8)
  np.savez(
    tmp_path / storyteller.STARTS, frames=frames, prompts=['a', 'b', 'c']
  )
  monkeypatch.setattr(storyteller, 'Storyteller', _Storyteller)
  return tmp_path


def _width(workdir):
  """Of the only picture."""
  (path,) = (workdir / showing.FOLDER).iterdir()
  assert path.name == '00000020.webp'
  return Image.open(path).width


def test_short_stories_are_drawn(workdir):
  showing.stories(workdir)('the model', 20)
  assert _width(workdir) == 5 * 168 + 8


def test_filming_ends_when_it_takes_too_long(workdir, monkeypatch):
  ticks = itertools.count(0, 25)
  clock = types.SimpleNamespace(monotonic=lambda: next(ticks))
  monkeypatch.setattr(showing, 'time', clock)
  showing.stories(workdir)('the model', 20)
  assert _width(workdir) == 3 * 168 + 8


def test_what_cannot_be_filmed_is_said_and_training_goes_on(
  workdir, monkeypatch, capsys
):
  def refuse(workdir, *, model):
    raise ValueError('its plans cannot be filmed yet')

  monkeypatch.setattr(storyteller, 'Storyteller', refuse)
  showing.stories(workdir)('the model', 20)
  assert 'no pictures of step 20: its plans cannot' in capsys.readouterr().out
  assert not (workdir / showing.FOLDER).exists()


def test_without_room_training_goes_on(workdir, monkeypatch, capsys):
  said = 'RESOURCE_EXHAUSTED: Out of memory'

  def fill(workdir, *, model):
    raise jax.errors.JaxRuntimeError(said)

  monkeypatch.setattr(storyteller, 'Storyteller', fill)
  showing.stories(workdir)('the model', 20)
  assert 'no pictures of step 20: RESOURCE_EXHAUSTED' in capsys.readouterr().out
  said = 'INTERNAL: a defect'
  with pytest.raises(jax.errors.JaxRuntimeError, match='a defect'):
    showing.stories(workdir)('the model', 20)


@pytest.mark.slow
def test_devices_of_several_processes_film_as_one(tmp_path):
  (tmp_path / 'one').mkdir()
  watched.untrained(tmp_path / 'one')
  frames = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
  path = tmp_path / 'one' / storyteller.STARTS
  np.savez(path, frames=frames, prompts=['a film', '', 'turn'])
  shutil.copytree(tmp_path / 'one', tmp_path / 'two')
  for process in (
    *programs.pair('tests.launch.shown', tmp_path / 'two', 2),
    programs.run('tests.launch.shown', tmp_path / 'one', 4),
  ):
    assert process.returncode == 0, process.stderr
    assert 'no pictures' not in process.stdout
  one, two = (
    np.asarray(Image.open(path).convert('RGB'), np.int16)
    for name in ('one', 'two')
    for path in (tmp_path / name / showing.FOLDER).iterdir()
  )
  assert one.shape == two.shape
  # WebP is lossy: one bit of a picture is a few of its neighbours'.
  assert np.abs(one - two).mean() < 0.5
  assert one.std() > 20


def test_clips_are_drawn_above_their_copies(tmp_path, monkeypatch):
  clips = np.zeros((6, 5, 24, 32, 3), np.uint8)
  monkeypatch.setattr(
    showing.vae_report, 'copied', lambda vae, clips: clips[0] + np.uint8(255)
  )
  show = showing.copies(tmp_path, clips)
  show(types.SimpleNamespace(vae=None), 20)
  (path,) = (tmp_path / showing.FOLDER).iterdir()
  with Image.open(path) as picture:
    rows = np.asarray(picture.convert('L')).reshape(8, -1, picture.width)
  assert rows.shape[1:] == (8 * 24, 8 * 5 * 32)
  np.testing.assert_allclose(rows.mean((1, 2)), [0, 255] * 4, atol=8)
