"""Pictures of a run cost little time, and never its life."""

import itertools
import types

import jax
import numpy as np
from PIL import Image
import pytest

from launch import showing
from launch import storyteller
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
  """A workdir with three starts, on one device."""
  frames = np.zeros((3, 12, 16, 3), np.uint8)
  np.savez(
    tmp_path / storyteller.STARTS, frames=frames, prompts=['a', 'b', 'c']
  )
  monkeypatch.setattr(jax, 'device_count', lambda: 1)
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


def test_several_devices_leave_films_to_the_evaluation(tmp_path, capsys):
  assert jax.device_count() > 1
  assert showing.stories(tmp_path) is None
  assert 'launch.evaluate --watch' in capsys.readouterr().out


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
