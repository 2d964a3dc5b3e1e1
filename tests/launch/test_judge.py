"""Evaluations are means over all words and all chunks, whatever the batches."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from configs import doom
from configs import schema
from launch import train
from tests import tiny
from tv2tv_jax import config as config_lib
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.train import objective

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


def _batches(size: int):
  """The rows, side by side in batches that are filled up with padding."""
  rows = _ROWS + (-len(_ROWS) % size) * [[]]
  return [
    {
      **tiny.row(*rows[i : i + size])._asdict(),
      'latents': tiny.latents(0, size),
    }
    for i in range(0, len(rows), size)
  ]


def _loss(model, batch, key, *, config):
  """Means over what counts, of numbers that only their places decide."""
  story = batch['chunk_story']
  again = jnp.concatenate([story[:, :1] - 9, story[:, :-1]], axis=1) == story
  learned = (story >= 0) & (again | config.film_start)
  parts = {
    'text': (batch['tokens'], batch['kind'] > story_lib.Kind.PROMPT),
    'video': (batch['chunk_index'], learned),
  }
  return 0.0, {
    name: jnp.sum(values * counted) / jnp.maximum(1, jnp.sum(counted))
    for name, (values, counted) in parts.items()
  }


@pytest.mark.parametrize('film_start', [False, True])
def test_batches_change_no_figure(film_start):
  run = _run(film_start=film_start)
  figures = [train._judge(run, _loss, _batches(n))(None) for n in (1, 2, 5, 8)]
  for one in figures:
    assert one == pytest.approx(figures[2])
  row = tiny.row(*_ROWS)
  chunks = row.chunk_story >= 0
  if not film_start:
    for place in [(0, 0), (1, 0), (1, 3), (2, 0), (3, 0)]:  # begin stories
      chunks = chunks.at[place].set(False)
  wanted = {
    'held_out/text': float(row.tokens[row.kind > story_lib.Kind.PROMPT].mean()),
    'held_out/video': float(row.chunk_index[chunks].mean()),
  }
  assert figures[0] == pytest.approx(wanted)


def test_padding_changes_no_loss():
  """A row of nothing weighs nothing and poisons nothing."""
  model, run = tiny.model(), _run()
  rows = [[tiny.STORY], [_OTHER]]
  told = tiny.latents(0, 2)
  one, two = (
    train._judge(run, objective.objective, [batch])(model)
    for batch in (
      {
        **tiny.row(*rows, *rows)._asdict(),
        'latents': jnp.concatenate([told, told]),
      },
      {
        **tiny.row(*rows, [], [])._asdict(),
        'latents': jnp.concatenate([told, 0 * told]),
      },
    )
  )
  assert one['held_out/text'] == pytest.approx(two['held_out/text'], rel=1e-5)
  assert np.isfinite(two['held_out/video'])
