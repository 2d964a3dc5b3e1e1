"""Held-out losses are means over all words and chunks, whatever the batches."""

import dataclasses

import jax
import numpy as np
import pytest

from configs import doom
from configs import schema
from launch.evaluation import judge as judge_lib
from tests import tiny
from tv2tv_jax import config as config_lib
from tv2tv_jax import sharding
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.train import accumulate
from tv2tv_jax.train import objective
from tv2tv_jax.train import step as step_lib

_OTHER = story_lib.Story((5,), ((), (6, 7, 8), ()), False)
_ROWS = [
  [tiny.STORY],
  [_OTHER, _OTHER._replace(words=((),))],
  [_OTHER],
  [tiny.STORY._replace(prompt=())],
  [],
]


def _run(**changes) -> schema.StoryRun:
  """A run with another objective."""
  run = config_lib.from_config_dict(schema.StoryRun, doom.get_config())
  settings = objective.ObjectiveConfig(**changes)
  return dataclasses.replace(run, objective=settings)


def _batches(size: int, chunks: int = 5):
  """The rows, side by side in batches that are filled up with padding."""
  rows = _ROWS + (-len(_ROWS) % size) * [[]]
  latents = np.zeros((len(rows), chunks, 4, 4, 3), np.float32)
  latents[: len(_ROWS)] = tiny.latents(0, len(_ROWS), chunks)
  return [
    {
      **_arrays(tiny.row(*rows[i : i + size], chunks=chunks)),
      'latents': latents[i : i + size],
    }
    for i in range(0, len(rows), size)
  ]


def _arrays(row: story_lib.Row) -> dict[str, np.ndarray]:
  """The fields of a row as a pipeline gives them."""
  return {name: np.asarray(value) for name, value in row._asdict().items()}


def _places(model, exercise, key, progress):
  """Means over what counts, of numbers that only their places decide."""
  parts = {
    'text': (exercise.following, exercise.said),
    'video': (exercise.noisy.index, exercise.filmed),
  }
  return 0.0, {
    name: accumulate.Mean((values * counted).sum(), counted.sum())
    for name, (values, counted) in parts.items()
  }


@pytest.mark.parametrize('film_start', [False, True])
def test_what_counts_is_counted_once(film_start):
  run, lesson = _run(film_start=film_start), step_lib.Lesson(_places)
  row = tiny.row(*_ROWS)
  chunks = row.chunk_story >= 0
  if not film_start:
    for place in [(0, 0), (1, 0), (1, 3), (2, 0), (3, 0)]:  # begin stories
      chunks = chunks.at[place].set(False)
  wanted = {
    'held_out/text': float(row.tokens[row.kind > story_lib.Kind.PROMPT].mean()),
    'held_out/video': float(row.chunk_index[chunks].mean()),
  }
  for size in (2, 5):
    figures = judge_lib.judge(run, lesson, _batches(size))(None)
    assert figures == pytest.approx(wanted)


def test_batches_change_no_figure():
  """Rows have their own noise, and a row of nothing weighs nothing."""
  model, run = tiny.model(depth=1), _run()
  lesson = objective.lesson(run.objective)
  one, other = (
    judge_lib.judge(run, lesson, _batches(size))(model) for size in (2, 8)
  )
  assert all(map(np.isfinite, one.values()))
  assert {'held_out/text/eos', 'held_out/video/t3'} <= one.keys()
  assert other == pytest.approx(one, rel=1e-6)


def test_devices_that_share_rows_change_no_figure():
  """Rows are dealt out to them, their noise with them."""
  run, lesson = _run(), objective.lesson(_run().objective)
  model, batches = tiny.model(depth=1), _batches(2, chunks=8)
  alone = judge_lib.judge(run, lesson, batches)(model)
  with jax.set_mesh(sharding.make_mesh((1, 2, 1, 4))):
    shared = judge_lib.judge(run, lesson, batches)(tiny.model(depth=1))
  assert shared == pytest.approx(alone, rel=1e-5)


def test_where_nothing_counts_there_is_no_number():
  lesson = step_lib.Lesson(_places)
  nothing = [{**_arrays(tiny.row([])), 'latents': np.zeros((1, 5, 4, 4, 3))}]
  figures = judge_lib.judge(_run(), lesson, nothing)(None)
  assert np.isnan(figures['held_out/text'])
