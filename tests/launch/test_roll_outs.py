"""Films to be judged: twins share a past, and nothing is filmed twice."""

import types

import numpy as np
import pytest

from configs import doom
from configs import schema
from launch import clips
from launch import roll_outs
from tests.launch import fake_teller
from tv2tv_jax import config as config_lib
from tv2tv_jax.train import workdir as workdir_lib

_PLAN = roll_outs.Plan(stories=3, story_seconds=2.0, seeds=2, window=2)


@pytest.fixture
def made(monkeypatch):
  """How many lanes each storyteller had that was made."""
  lanes = []

  def teller(workdir, **changes):
    del workdir
    lanes.append(changes['lanes'])
    return fake_teller.Storyteller(**changes)

  def sample(records, split, *, count, length, batch):
    assert (records, split, length, batch) == ('records', 'test', 1, count)
    rng = np.random.default_rng(0)
    shape = (count, 1, *fake_teller.SIZE, 3)
    frames = rng.integers(0, 256, shape, dtype=np.uint8)
    yield clips.Clips(
      frames, (types.SimpleNamespace(prompt='doom'),) * count, ()
    )

  monkeypatch.setattr(roll_outs.storyteller_lib, 'Storyteller', teller)
  monkeypatch.setattr(roll_outs.clips, 'sample', sample)
  return lanes


@pytest.fixture
def workdir(tmp_path):
  """Of a run of the demo's model."""
  run = config_lib.from_config_dict(schema.StoryRun, doom.get_config())
  workdir_lib.claim(tmp_path / 'run', run)
  (tmp_path / 'run/metrics.jsonl').write_text('{"step": 1}\n')
  return tmp_path / 'run'


def _film(workdir, parts=roll_outs.PARTS):
  folder = workdir.parent / 'films'
  return roll_outs.film(workdir, 'records', folder, _PLAN, parts)


def test_twins_share_their_past_frame_by_frame(workdir, made):
  films = _film(workdir)
  assert made == [4]  # As many as other programs have.
  at = 1 + 4 * 2  # The third chunk begins nearest to 1 s.
  past = films[roll_outs.TWIN].frames[:, :at]
  for part in roll_outs.TOLD:
    frames, words = films[part].frames, films[part].words
    assert frames.shape == (2, at + 4 * 2, *fake_teller.SIZE, 3)
    np.testing.assert_array_equal(frames[:, :at], past)
    assert all(said[3:] == [part, part] for said in words)
    others = [p for p in roll_outs.PARTS[1:] if p != part]
    for other in others:
      assert (frames[:, at:] != films[other].frames[:, at:]).any()


def test_some_parts_alone_are_filmed_once(workdir, made):
  (free,) = _film(workdir, [roll_outs.FREE]).values()
  assert len(free.frames) == 3 and free.prompts == ['doom'] * 3
  again = _film(workdir, [roll_outs.FREE])
  np.testing.assert_array_equal(again[roll_outs.FREE].frames, free.frames)
  assert made == [4]
  (workdir / 'metrics.jsonl').write_text('{"step": 1}\n{"step": 2}\n')
  _film(workdir, [roll_outs.FREE])
  assert made == [4, 4]
