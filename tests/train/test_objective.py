"""The loss is over what the paper says, and dropped words leave no trace."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import tiny
from tv2tv_jax import sharding
from tv2tv_jax.interleave import plan as plan_lib
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.train import dropout
from tv2tv_jax.train import exercise
from tv2tv_jax.train import objective

_QUIET = objective.ObjectiveConfig(drop_words=0.0, flip=0.0)


def _batch(*stories):
  row = tiny.row(*stories)
  return {**row._asdict(), 'latents': tiny.latents(0, len(stories))}


@functools.partial(jax.jit, static_argnames=('config', 'plan'))
def _loss(model, batch, config, plan=None):
  key = jax.random.key(0)
  return objective.objective(model, batch, key, config=config, plan=plan)


def _metrics(batch, config=_QUIET):
  value, metrics = _loss(tiny.model(), batch, config)
  return float(value), {k: float(v) for k, v in metrics.items()}


def test_the_loss_is_the_weighted_sum():
  config = dataclasses.replace(_QUIET, text_weight=0.3, video_weight=2.0)
  value, metrics = _metrics(_batch(tiny.STORY), config)
  assert value == pytest.approx(
    0.3 * metrics['text'] + 2 * metrics['video'], rel=1e-5
  )


def test_the_prompt_is_not_learned():
  row = tiny.row(tiny.STORY)
  said = exercise.prepared(_batch(tiny.STORY), jax.random.key(0), _QUIET).said
  expected = np.append(row.kind[0, 1:] > story_lib.Kind.PROMPT, False)
  np.testing.assert_array_equal(said[0], expected)


def test_dropped_words_are_as_if_never_written():
  model = tiny.model()
  clean, noisy = tiny.latents(0, 1), tiny.latents(1, 1)
  row = tiny.row(tiny.STORY)
  drop = jnp.zeros((1, 5), bool).at[0, 1].set(True)
  gone = dropout.dropped_words(row, drop)
  assert np.asarray(gone).sum() == 2
  found = tiny.run(
    model, *tiny.streams(dropout.without(row, gone), clean, noisy)
  )
  silent = tiny.STORY._replace(words=((), (), (), (11,)))
  expected = tiny.run(model, *tiny.streams(tiny.row(silent), clean, noisy))
  np.testing.assert_allclose(
    found.velocity[:, :4], expected.velocity[:, :4], atol=1e-5
  )
  kept = np.flatnonzero(~np.asarray(gone)[0])[:13]
  np.testing.assert_allclose(
    found.logits[:, kept], expected.logits[:, :13], atol=1e-5
  )


def test_a_flipped_chunk_is_noisy_and_says_so():
  latents, noise = tiny.latents(0, 1), tiny.latents(1, 1)
  t = jnp.full((1, 5), 0.25)
  flip = jnp.array([[True, False, True, False, False]])
  clean, told = dropout.flipped(latents, noise, t, flip)
  np.testing.assert_allclose(told, np.where(flip, 0.25, 1.0))
  np.testing.assert_allclose(clean[:, 1], latents[:, 1])
  np.testing.assert_allclose(
    clean[:, 0], 0.25 * latents[:, 0] + 0.75 * noise[:, 0], atol=1e-6
  )


def test_the_starting_frame_is_learned_only_where_asked():
  learn = _metrics(_batch(tiny.STORY))[1]['video']
  config = dataclasses.replace(_QUIET, film_start=False)
  given = _metrics(_batch(tiny.STORY), config)[1]['video']
  assert learn != pytest.approx(given, rel=1e-4)


def test_chances_are_used():
  base = _metrics(_batch(tiny.STORY))[0]
  for change in (dict(drop_words=1.0), dict(flip=1.0), dict(time_mean=2.0)):
    config = dataclasses.replace(_QUIET, **change)
    assert _metrics(_batch(tiny.STORY), config)[0] != pytest.approx(base)


_PAIR = [tiny.STORY, tiny.STORY._replace(prompt=(5,), words=((), (13,), ()))]


def test_room_between_words_changes_no_loss():
  """Each token's next one is found behind the padding of its slot."""
  losses = []
  for slots in (None, story_lib.Slots(3, 6)):
    row = tiny.row(_PAIR, text_length=60, chunks=8, slots=slots)
    batch = {**row._asdict(), 'latents': tiny.latents(0, 1, 8)}
    losses.append(_metrics(batch)[1])
  assert losses[0] == pytest.approx(losses[1], rel=1e-4, nan_ok=True)


def test_stories_in_one_row_lose_what_they_lose_alone():
  """Token by token and chunk by chunk; no story predicts the next one."""
  together = _exercise(_PAIR)
  counted = sum(int(_exercise(story).said.sum()) for story in _PAIR)
  assert int(together.said.sum()) == counted
  expected = [False, True, True, True, False, True, True, False]
  np.testing.assert_array_equal(together.filmed[0], expected)


def _exercise(stories):
  """What is learned of one row, whose starting frames are given."""
  row = tiny.row(stories, text_length=40, chunks=8)
  batch = {**row._asdict(), 'latents': tiny.latents(0, 1, 8)}
  given = dataclasses.replace(_QUIET, film_start=False)
  return exercise.prepared(batch, jax.random.key(0), given)


def test_words_dropped_in_one_story_move_no_other():
  row = tiny.row(_PAIR, text_length=40, chunks=8)
  drop = jnp.zeros((1, 8), bool).at[0, 1].set(True)
  found = dropout.without(row, dropout.dropped_words(row, drop))
  silent = [tiny.STORY._replace(words=((), (), (), (11,))), _PAIR[1]]
  expected = tiny.row(silent, text_length=40, chunks=8)
  np.testing.assert_array_equal(found.chunk_index, expected.chunk_index)
  there = np.asarray(found.story[0]) >= 0
  count = int(there.sum())
  for field in ('tokens', 'index', 'story'):
    np.testing.assert_array_equal(
      getattr(found, field)[:, there], getattr(expected, field)[:, :count]
    )


def test_losses_are_told_by_kind_and_by_time():
  metrics = _metrics(_batch(tiny.STORY))[1]
  kinds = {f'text/{kind}' for kind in ('word', 'bof', 'eof', 'eos')}
  times = {f'video/t{i}' for i in range(4)}
  assert metrics.keys() == kinds | times | {'text', 'video'}
  assert all(np.isfinite(metrics[kind]) for kind in kinds)
  unended = _metrics(_batch(tiny.STORY._replace(ended=False)))[1]
  assert np.isnan(unended['text/eos'])


def test_a_key_is_used_once(monkeypatch):
  """Every draw has a key of its own, folded from the step's."""
  model, seen, fold_in = tiny.model(), [], jax.random.fold_in

  def noted(key, use):
    seen.append(int(use))
    return fold_in(key, use)

  monkeypatch.setattr(jax.random, 'fold_in', noted)
  monkeypatch.setattr(jax.random, 'split', None)
  loss = functools.partial(objective.objective, config=_QUIET)
  jax.eval_shape(loss, model, _batch(tiny.STORY), jax.random.key(0))
  assert sorted(seen) == list(range(6))


@pytest.mark.parametrize('shape', [(2, 2, 2), (1, 8, 1)])
def test_every_mesh_gives_the_same_loss(shape):
  """Of packed rows in slots, with words dropped and chunks flipped."""
  row = tiny.row(
    *[_PAIR] * 8, text_length=60, chunks=8, slots=story_lib.Slots(3, 6)
  )
  batch = {**row._asdict(), 'latents': tiny.latents(0, 8, 8)}
  config = objective.ObjectiveConfig(drop_words=0.5, flip=0.5)
  plan = plan_lib.in_slots(8, 3, 6)
  expected = _loss(tiny.model(), batch, config, plan)[0]
  with jax.set_mesh(sharding.make_mesh(shape)):
    placed = sharding.put_batch(batch)
    found = _loss(tiny.model(), placed, config, plan)[0]
  np.testing.assert_allclose(found, expected, rtol=1e-5)
