"""A story is the same story on any mesh, but for how devices round."""

import contextlib
import dataclasses
import functools

import jax
import numpy as np
import pytest

from tests import tiny
from tests.sample import stories
from tv2tv_jax import sharding
from tv2tv_jax.sample import rollout
from tv2tv_jax.sample import settings as settings_lib

_CONFIG = dataclasses.replace(stories.CONFIG, lanes=4)
# Compiles in half the time that a U-Net takes, which training has on meshes.
_FRAMES = dataclasses.replace(tiny.config().frames, coder='linear')


pytestmark = pytest.mark.usefixtures('small_blocks')


def _mesh(shape):
  count = int(np.prod(shape))
  return sharding.make_mesh(shape, devices=jax.devices()[:count])


def _engine(shape, layout, config=_CONFIG, **changes):
  """An engine on a mesh, or on one device, which is left at once."""
  here = jax.set_mesh(_mesh(shape)) if shape else contextlib.nullcontext()
  with here:
    model = tiny.model(frames=_FRAMES, **changes)
    return rollout.Engine(model, tiny.Numbers(), config, layout)


@functools.cache
def _told(shape, layout, **changes):
  """Stories told, past the end of their window, and others that are free.

  One more joins those that were told, and goes on from a lane of another
  device.
  """
  engine = _engine(shape, layout, **changes)
  told = stories.told(engine, stories.begin(engine), 7)
  late = stories.told(engine, stories.begin(engine, [0]), 3)
  joined = stories.told(engine, [*told, *late], 8)
  return [*joined, *stories.free(engine, stories.begin(engine), 5)]


@pytest.mark.slow
@pytest.mark.parametrize(
  ('shape', 'layout', 'changes'),
  [
    ((2, 1, 2), 'tv2tv', {}),
    ((1, 2, 2), 'think2v', {'attention': 'flash'}),
    ((2, 2), 't2v', {'unroll': 2}),
  ],
)
def test_a_story_is_the_same_on_any_mesh(shape, layout, changes):
  found = _told(shape, layout, **changes)
  for one, other in zip(found, _told((), layout), strict=True):
    assert (one.words, one.ended) == (other.words, other.ended)
    assert len(one.latents) == len(other.latents)
    for a, b in zip(one.latents, other.latents, strict=True):
      np.testing.assert_allclose(a, b, atol=1e-4)
  assert max(len(roll.latents) for roll in found) == 8


@pytest.mark.slow
def test_neither_lane_nor_device_changes_a_bit():
  engine = _engine((2, 1, 2), 'tv2tv')
  alone = stories.told(engine, stories.begin(engine, [2]), 4)
  among = stories.told(engine, stories.begin(engine, [0, 1, 2, 2]), 4)
  stories.same(among[2], alone[0])
  stories.same(among[3], alone[0])


def test_devices_share_what_is_known_of_stories():
  engine = _engine((2, 1, 2), 'tv2tv')
  state = engine._reader._blank()
  for part, split in (
    (state.cache.memory.key, (None, 'data', 'tensor')),
    (state.cache.places.index, ('data',)),
    (state.place, ('data',)),
  ):
    spec = part.sharding.spec
    assert tuple(spec)[: len(split)] == split


@pytest.mark.parametrize(
  ('shape', 'lanes'), [((8,), 8), ((1, 4), 4), ((1, 1, 2), 3), ((2, 1, 2), 4)]
)
def test_lanes_are_as_many_as_devices_can_share(shape, lanes):
  with jax.set_mesh(_mesh(shape)):
    assert settings_lib.shared_out(stories.CONFIG).lanes == lanes
  assert settings_lib.shared_out(stories.CONFIG).lanes == 3


@pytest.mark.parametrize(
  ('shape', 'match'),
  [
    ((1, 1, 4), 'key_heads = 2 cannot be shared out over the 4 devices along'),
    ((1, 8), 'lanes = 4 cannot be shared out over the 8 devices along data'),
    ((1, 1, 1, 2), 'context'),
  ],
)
def test_a_mesh_that_fits_no_stories_is_named(shape, match):
  with (
    jax.set_mesh(_mesh(shape)),
    pytest.raises(ValueError, match=match),
  ):
    settings_lib.check_mesh(_CONFIG, key_heads=2)
