"""Rows are dealt out and put back; and every device sees about as much."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import tiny
from tv2tv_jax import sharding
from tv2tv_jax.interleave import deal
from tv2tv_jax.interleave import plan as plan_lib
from tv2tv_jax.train import exercise as exercise_lib
from tv2tv_jax.train import flops
from tv2tv_jax.tv2tv import presets


def test_each_gets_an_early_and_a_late_stretch():
  found = deal.out(jnp.arange(16)[None], deal.Dealt(2))
  parts = [[0, 1, 2, 3, 12, 13, 14, 15], [4, 5, 6, 7, 8, 9, 10, 11]]
  np.testing.assert_array_equal(found[0], np.concatenate(parts))
  assert deal.Dealt(4).stretches == [0, 7, 1, 6, 2, 5, 3, 4]


@pytest.mark.parametrize('devices', [2, 3, 4])
def test_back_is_the_inverse_along_any_axis(devices):
  dealt = deal.Dealt(devices)
  x = jnp.arange(2 * 24 * 3).reshape(2, 24, 3)
  np.testing.assert_array_equal(deal.back(deal.out(x, dealt), dealt), x)
  moved = jnp.moveaxis(x, 1, 2)
  there = deal.out(moved, dealt, axis=-1)
  np.testing.assert_array_equal(deal.back(there, dealt, axis=-1), moved)
  assert (there != moved).any()


def test_rows_in_time_order_stay_so():
  x = jnp.arange(8)[None]
  for order in (None, plan_lib.in_order(2, 8)):
    assert deal.back(x, order) is x
  assert deal.out(x, None) is x


def test_one_device_or_uneven_stretches_deal_nothing():
  assert deal.among(8, 8) is None
  assert deal.between(1, 8, 8) is None
  assert deal.between(4, 64, 12) is None
  assert deal.between(4, 64, 16) == deal.Dealt(4)


def test_devices_see_about_as_much():
  config, shape = presets.preset('100m'), dict(chunks=16, text_length=256)
  total = flops.pairs(config, **shape)
  for devices in (2, 4, 8):
    most = devices * flops.pairs(config, **shape, devices=devices) / total
    assert 1.0 <= most < 1.05
  # In stretches one after another the last device has nearly twice as much.
  uneven = dict(chunks=17, text_length=255)
  most = flops.pairs(config, **uneven, devices=17) * 17
  assert most > 1.8 * flops.pairs(config, **uneven)


def test_a_batch_is_dealt_out_where_devices_share_rows():
  """Words with what follows them, chunks with their velocities."""
  row = tiny.row(*[tiny.STORY] * 4, chunks=8)
  batch = {**row._asdict(), 'latents': tiny.latents(0, 4, 8)}
  config, key = exercise_lib.ExerciseConfig(), jax.random.key(0)
  prepare = jax.jit(lambda b: exercise_lib.prepared(b, key, config))
  plain = prepare(batch)
  with jax.set_mesh(sharding.make_mesh((1, 4, 1, 2))):
    there = prepare(sharding.put_batch(batch))
    dealt = there.dealt
  assert dealt == deal.Dealt(2) and plain.dealt is None
  for ours, theirs in zip(
    jax.tree.leaves(plain), jax.tree.leaves(there), strict=True
  ):
    ours = deal.out(ours, dealt)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
