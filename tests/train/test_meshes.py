"""A step is the same step on any mesh, in parts, and whatever it keeps."""

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
from tv2tv_jax.train import objective
from tv2tv_jax.train import optimizer as optimizer_lib
from tv2tv_jax.train import step as step_lib
from tv2tv_jax.train import towers

# Packed rows in slots, with words dropped and chunks flipped.
_STORIES = [tiny.STORY, tiny.STORY._replace(prompt=(5,), words=((), (13,), ()))]
_CONFIG = objective.ObjectiveConfig(drop_words=0.5, flip=0.5)
_ALIKE = towers.TowerRates()
_PLAN = plan_lib.in_slots(8, 3, 6)
_ADAM = optimizer_lib.OptimizerConfig(rate=1e-3, warmup=0)


def _batch():
  row = tiny.row(
    *[_STORIES] * 8, text_length=60, chunks=8, slots=story_lib.Slots(3, 6)
  )
  return {**row._asdict(), 'latents': tiny.latents(0, 8, 8)}


def _lesson(rates=_ALIKE, accumulate=1):
  told = objective.lesson(_CONFIG, rates, plan=_PLAN)
  return told._replace(accumulate=accumulate)


def _step(lesson, model):
  """The metrics of a first step, and its gradients as Adam remembers them."""

  @jax.jit
  def step(model, batch):
    state = step_lib.born(model, lesson, _ADAM)
    state, metrics = step_lib.train_step(
      state,
      batch,
      jax.random.key(0),
      jnp.float32(0.5),
      loss=lesson,
      optimizer=_ADAM,
      ema=0.9,
    )
    return metrics, jax.tree.leaves(state.optimizer[1].mu)

  return step(model, sharding.put_batch(_batch()))


def _model(**changes):
  """With the linear coder, which takes half as long to compile as a U-Net."""
  frames = dataclasses.replace(tiny.config().frames, coder='linear')
  return tiny.model(frames=frames, **changes)


@functools.cache
def _plain():
  return _step(_lesson(), _model())


@functools.cache
def _plain_unet():
  return _step(_lesson(), tiny.model())


def _agree(found, expected):
  for name, value in expected[0].items():
    np.testing.assert_allclose(found[0][name], value, rtol=1e-5, err_msg=name)
  for a, b in zip(found[1], expected[1], strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
  'mesh',
  [
    (8, 1, 1),
    (1, 8, 1),
    (2, 2, 2),
    (1, 4, 2),
    (1, 1, 1, 4),
    (2, 2, 1, 2),
    (1, 2, 2, 2),
  ],
)
def test_every_mesh_takes_the_same_step(mesh):
  """Also where tokens of a row are on several devices."""
  expected = _plain_unet()
  devices = jax.devices()[: np.prod(mesh)]
  with jax.set_mesh(sharding.make_mesh(mesh, devices=devices)):
    _agree(_step(_lesson(), tiny.model()), expected)


@pytest.mark.parametrize('mesh', [(1, 1, 1), (1, 2, 1, 2)])
def test_four_parts_of_two_rows_are_a_batch_of_eight(mesh):
  expected = _plain()
  devices = jax.devices()[: np.prod(mesh)]
  parts = {1: 4, 4: 2}[len(devices)]
  with jax.set_mesh(sharding.make_mesh(mesh, devices=devices)):
    _agree(_step(_lesson(accumulate=parts), _model()), expected)


@pytest.mark.parametrize('remat', ['layer', 'projections', 'dots', 'offload'])
def test_what_is_computed_again_is_the_same(remat):
  _agree(_step(_lesson(), _model(remat=remat)), _plain())


@pytest.mark.parametrize('mesh', [(1, 1, 1), (1, 2, 2, 2)])
def test_the_engine_for_long_rows_takes_the_same_step(mesh):
  devices = jax.devices()[: np.prod(mesh)]
  with jax.set_mesh(sharding.make_mesh(mesh, devices=devices)):
    _agree(_step(_lesson(), _model(attention='flash')), _plain())


def test_the_linear_coder_takes_the_same_step_on_a_mesh():
  expected = _plain()
  with jax.set_mesh(sharding.make_mesh((1, 2, 2, 2))):
    _agree(_step(_lesson(), _model()), expected)


def test_a_batch_that_does_not_fall_into_parts_is_named():
  with pytest.raises(ValueError, match=r'8 rows does not fall into 3 parts'):
    _step(_lesson(accumulate=3), _model())


def test_norms_of_parts_make_the_norm_of_all():
  metrics, _ = _plain()
  for name in ('gradient_norm', 'update_norm'):
    parts = [metrics[f'{name}/{part}'] for part in ('text', 'video', 'frames')]
    assert min(parts) > 0
    np.testing.assert_allclose(np.linalg.norm(parts), metrics[name], rtol=1e-5)


def test_a_frozen_tower_stays_and_has_no_moments():
  """The others go on as if it moved: their gradients are the same."""
  lesson = _lesson(towers.TowerRates(text=0.0, video=0.5))

  @jax.jit
  def step(model):
    state = step_lib.born(model, lesson, _ADAM)
    before = state.model
    state, metrics = step_lib.train_step(
      state,
      _batch(),
      jax.random.key(0),
      jnp.float32(0.5),
      loss=lesson,
      optimizer=_ADAM,
      ema=0.9,
    )
    return before, state, metrics

  before, after, metrics = step(_model())
  names = jax.tree.leaves(towers.parts(before))
  moved = [
    bool((a != b).any())
    for a, b in zip(
      jax.tree.leaves(before), jax.tree.leaves(after.model), strict=True
    )
  ]
  assert {n for n, m in zip(names, moved, strict=True) if m} == {
    'video',
    'frames',
  }
  assert len(jax.tree.leaves(after.optimizer[1].mu)) == sum(
    name != 'text' for name in names
  )
  plain, _ = _plain()
  assert 'gradient_norm/text' not in metrics
  for part, factor in (('video', 0.5), ('frames', 1.0)):
    name = f'gradient_norm/{part}'
    np.testing.assert_allclose(metrics[name], plain[name], rtol=1e-5)
    update = f'update_norm/{part}'
    np.testing.assert_allclose(
      metrics[update], factor * plain[update], rtol=1e-2
    )


def test_rates_are_checked():
  with pytest.raises(ValueError, match=r'config\.rates\.video is -1'):
    towers.TowerRates(video=-1.0)
  still = towers.TowerRates(text=0.0, video=0.0, frames=0.0)
  with pytest.raises(ValueError, match='nothing would be trained'):
    towers.frozen(tiny.model(), rates=still)
