"""Padding, absent streams, plans and meshes change nothing."""

import dataclasses

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import tiny
from tv2tv_jax import sharding
from tv2tv_jax.interleave import plan as plan_lib
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.tv2tv import model as model_lib


@pytest.fixture(scope='module')
def model():
  return tiny.model()


@pytest.fixture(scope='module')
def born():
  return tiny.born()


@pytest.fixture(scope='module')
def row():
  return tiny.row(tiny.STORY)


def test_padding_changes_nothing(model, row):
  clean, noisy = tiny.latents(0, 1), tiny.latents(1, 1)
  out = tiny.run(model, *tiny.streams(row, clean, noisy))
  short = tiny.row(tiny.STORY, text_length=15, chunks=4)
  alone = tiny.run(model, *tiny.streams(short, clean[:, :4], noisy[:, :4]))
  np.testing.assert_allclose(out.logits[:, :15], alone.logits, atol=1e-5)
  np.testing.assert_allclose(out.velocity[:, :4], alone.velocity, atol=1e-5)


def test_a_dense_mask_gives_the_same_attention(model, row):
  """Own-chunk attention merged by (1) is one softmax over all that is seen."""
  clean, noisy = tiny.latents(0, 1), tiny.latents(1, 1)
  together = tiny.run(model, *tiny.streams(row, clean, noisy)).velocity
  for chunk in range(4):
    # One noisy chunk at a time, so that its only block is its own.
    text, past, now = tiny.streams(row, clean, noisy)
    now = jax.tree.map(lambda a, c=chunk: a[:, c : c + 1], now)
    alone = tiny.run(model, text, past, now).velocity
    np.testing.assert_allclose(alone[:, 0], together[:, chunk], atol=1e-5)


def test_streams_may_be_absent(model, row):
  text, clean, noisy = tiny.streams(row, tiny.latents(0, 1), tiny.latents(1, 1))
  full = tiny.run(model, text, clean, noisy)
  np.testing.assert_allclose(
    tiny.run(model, text, clean).logits, full.logits, atol=1e-5
  )
  assert tiny.run(model, text).velocity is None
  only_video = jax.jit(lambda model, clean: model(clean=clean))
  assert only_video(model, clean).logits is None


def test_scan_and_remat_change_nothing(row):
  inputs = tiny.streams(row, tiny.latents(0, 1), tiny.latents(1, 1))
  plain = tiny.run(tiny.model(), *inputs)
  for changes in (dict(unroll=2), dict(remat='layer')):
    other = tiny.run(tiny.model(**changes), *inputs)
    np.testing.assert_allclose(plain.velocity, other.velocity, atol=1e-5)


@pytest.mark.parametrize('shape', [(2, 2, 2), (1, 4, 2), (8, 1, 1)])
def test_every_mesh_gives_the_same_outputs(shape):
  row = tiny.row(*[tiny.STORY] * 8)
  inputs = (row, tiny.latents(0, 8), tiny.latents(1, 8))
  expected = _outputs(tiny.model(), *inputs)
  with jax.set_mesh(sharding.make_mesh(shape)):
    placed = sharding.put_batch(inputs)
    found = _outputs(tiny.model(), story_lib.Row(*placed[0]), *placed[1:])
  for a, b in zip(expected, found, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)


@jax.jit
def _outputs(model, row, clean, noisy):
  out = model(*tiny.streams(row, clean, noisy))
  return out.logits, out.velocity


@pytest.mark.parametrize('shape', [(2, 2, 2), (1, 4, 2), (8, 1, 1)])
def test_every_mesh_bears_the_same_model(born, shape):
  with jax.set_mesh(sharding.make_mesh(shape)):
    found = tiny.born()
  for a, b in zip(*map(jax.tree.leaves, (born, found)), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_an_odd_grid_is_named():
  with pytest.raises(ValueError, match='latents of 3 x 4 cannot be halved'):
    _ = dataclasses.replace(tiny.config().frames, rows=3).grid


def test_chunks_of_the_wrong_size_are_named(model, row):
  text, clean, noisy = tiny.streams(row, tiny.latents(0, 1), tiny.latents(1, 1))
  small = clean._replace(latents=clean.latents[:, :, :, :2])
  with pytest.raises(ValueError, match=r'\(4, 2, 3\).*wants \(4, 4, 3\)'):
    model(text, small, noisy)


def test_noise_without_a_past_is_refused(model, row):
  noisy = tiny.streams(row, tiny.latents(0, 1), tiny.latents(1, 1))[2]
  with pytest.raises(ValueError, match='a noisy chunk needs a past'):
    model(noisy=noisy)


@pytest.mark.parametrize('coder', ['unet', 'linear'])
def test_a_coder_starts_without_velocity_and_sees_one_chunk(coder):
  frames = dataclasses.replace(tiny.config().frames, coder=coder)
  config = tiny.config(frames=frames)

  def born(key):
    return model_lib.Tv2tv(config, rngs=nnx.Rngs(key)).frames

  @jax.jit
  def coded(coder, latents, t):
    tokens, kept = coder.tokens(latents, t)
    flat = tokens.reshape(1, 20, -1)
    return tokens, coder.velocity(flat, kept, t)

  latents, t = tiny.latents(0, 1), jnp.full((1, 5), 0.4)
  key = jax.random.key(0, impl='rbg')
  assert (np.asarray(coded(jax.jit(born)(key), latents, t)[1]) == 0).all()
  draw = np.random.default_rng(0).normal
  coder = jax.tree.map(  # What starts at zero no longer is.
    lambda a: a + 0.1 * jnp.asarray(draw(size=a.shape), a.dtype),
    tiny.model(frames=frames).frames,
  )
  before = coded(coder, latents, t)
  after = coded(coder, latents.at[:, 2].add(1.0), t.at[:, 4].set(0.9))
  assert before[1].shape == latents.shape
  for was, now in zip(before, after, strict=True):
    for chunk in range(5):
      same = np.array_equal(was[:, chunk], now[:, chunk])
      assert same == (chunk in (0, 1, 3))


def test_the_video_tower_may_be_born_as_the_text_tower():
  for init in ('text', 'random'):
    config = tiny.config(video_init=init)
    key = jax.random.key(0, impl='rbg')
    blocks = jax.jit(
      lambda key, c=config: model_lib.Tv2tv(c, rngs=nnx.Rngs(key))
    )(key).transformer.blocks
    pairs = zip(
      jax.tree.leaves(blocks.text), jax.tree.leaves(blocks.video), strict=True
    )
    same = [np.array_equal(a, b) for a, b in pairs if a.ndim > 2]
    assert all(same) if init == 'text' else not any(same)


@pytest.mark.parametrize('window', [0, 6])
def test_a_plan_changes_nothing(window):
  """Nor does keeping room for words, window or not."""
  model = tiny.model(window=window, sink=2)
  clean, noisy = tiny.latents(0, 1, 8), tiny.latents(1, 1, 8)
  stories = [tiny.STORY, tiny.STORY._replace(prompt=(5,), ended=False)]
  close = tiny.row(stories, text_length=40, chunks=8)
  inputs = tiny.streams(close, clean, noisy)
  expected = tiny.run(model, *inputs)
  planned = jax.jit(lambda model, *inputs: model(*inputs, order=plan))
  plan = plan_lib.in_order(8, 40)
  found = planned(model, *inputs)
  np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)
  np.testing.assert_allclose(found.velocity, expected.velocity, atol=1e-5)
  slots = story_lib.Slots(3, 6)
  roomy = tiny.row(stories, text_length=60, chunks=8, slots=slots)
  plan = plan_lib.in_slots(8, *slots)
  planned = jax.jit(lambda model, *inputs: model(*inputs, order=plan))
  found = planned(model, *tiny.streams(roomy, clean, noisy))
  np.testing.assert_allclose(found.velocity, expected.velocity, atol=1e-5)
  there = np.asarray(roomy.story[0]) >= 0
  count = there.sum()
  np.testing.assert_allclose(
    found.logits[:, there], expected.logits[:, :count], atol=1e-5
  )
