"""The VAE's loss, and a tiny VAE that learns moving squares."""

import functools

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tv2tv_jax.train import adversary
from tv2tv_jax.train import optimizer
from tv2tv_jax.train import state
from tv2tv_jax.train import step
from tv2tv_jax.train import vae as loss_lib
from tv2tv_jax.vae import folds
from tv2tv_jax.vae import vae as vae_lib

CONFIG = folds.FoldsConfig(
  encoder_widths=(24,),
  encoder_depths=(1,),
  decoder_widths=(24, 8),
  decoder_depths=(1, 0),
  latent_channels=8,
)


def _moving_squares(batch: int, frames: int = 5) -> np.ndarray:
  """Bright squares on dark ground that move right by one pixel a frame."""
  rng = np.random.default_rng(0)
  clips = np.full((batch, frames, 16, 16, 3), 30, np.uint8)
  for clip in clips:
    y, x = rng.integers(0, 9, 2)
    for at, picture in enumerate(clip):
      picture[y : y + 5, x + at // 2 : x + at // 2 + 5] = (220, 60, 60)
  return clips


@jax.jit
def _error(model, frames):
  return jnp.mean(jnp.square(model.reconstruct(frames) - frames))


def _decibels(model, frames) -> float:
  return -10 * np.log10(float(_error(model, frames)) / 4)


def _started() -> vae_lib.Vae:
  blocks = loss_lib.pixels(_moving_squares(64, frames=4))
  vae = vae_lib.Vae(CONFIG, rngs=nnx.Rngs(0))
  return vae_lib.start_from_components(vae, vae_lib.components(CONFIG, blocks))


def test_a_tiny_vae_learns_moving_squares():
  frames = loss_lib.pixels(_moving_squares(16))
  config = optimizer.OptimizerConfig(
    rate=3e-3, warmup=5, weight_decay=0.0, beta2=0.99
  )
  # The absolute error alone may settle on bare ground: most pixels are ground.
  weights = loss_lib.VaeLossConfig(absolute=0.0, squared=1.0, edges=0.1)

  def lesson(model, x, key, _):
    return loss_lib.reconstruction(model, x, key, weights)[::2]

  run = step.born(_started(), lesson, config)
  before = _decibels(run.model, frames)
  advance = jax.jit(
    lambda run, progress: step.train_step(
      run,
      frames,
      jax.random.key(0),
      progress,
      optimizer=config,
      ema=0.9,
      loss=lesson,
    )
  )
  for at in range(100):
    run, metrics = advance(run, jnp.float32((at + 1) / 100))
  after = _decibels(run.ema, frames)
  assert np.isfinite(float(metrics['loss']))
  assert after > before + 4.0, (before, after)


def test_components_are_a_start_that_needs_no_training():
  clips = loss_lib.pixels(_moving_squares(16))
  plain = _decibels(vae_lib.Vae(CONFIG, rngs=nnx.Rngs(0)), clips)
  better = _decibels(_started(), clips)
  assert better > plain + 5.0, (plain, better)


def test_the_divergence_from_the_unit_normal_is_zero_at_it():
  zeros = jnp.zeros((1, 1, 2, 2, 4))
  assert float(loss_lib.divergence(vae_lib.Gaussian(zeros, zeros))) == 0.0
  away = vae_lib.Gaussian(zeros + 2.0, zeros)
  np.testing.assert_allclose(loss_lib.divergence(away), 2.0)
  certain = vae_lib.Gaussian(zeros + 2.0, None)
  np.testing.assert_allclose(loss_lib.divergence(certain), 2.0)


_edges = jax.jit(loss_lib.edges, static_argnums=1)


def _checks(size: int) -> np.ndarray:
  """An error of plus and minus one in squares of `size` pixels."""
  at = np.arange(32) // size
  signs = np.float32(1 - 2 * ((at[:, None] + at) % 2))
  return np.broadcast_to(signs[None, None, :, :, None], (1, 2, 32, 32, 3))


def test_one_scale_is_the_error_of_neighbour_differences():
  error = np.random.default_rng(0).normal(size=(2, 3, 6, 10, 3)).astype('f4')
  expected = sum(np.abs(np.diff(error, axis=axis)).mean() for axis in (2, 3))
  np.testing.assert_allclose(_edges(error, 1), expected, rtol=1e-5)


def test_more_scales_see_coarse_errors():
  """Of 8 pixels: an eighth, a fourth and half of the neighbours differ."""
  parts = [4 * 3 / 31, 4 * 3 / 15, 4 * 3 / 7]
  assert float(_edges(_checks(8), 1)) == pytest.approx(parts[0])
  assert float(_edges(_checks(8), 3)) == pytest.approx(sum(parts) / 3)
  # What is finer than the second scale is gone there.
  assert float(_edges(_checks(1), 3)) == pytest.approx(4 / 3)


def test_equal_pictures_and_equal_shifts_have_no_edges():
  shift = np.full((1, 1, 9, 12, 3), 0.3, np.float32)
  for error in (0 * shift, shift):
    np.testing.assert_allclose(_edges(error, 3), 0.0, atol=1e-6)


def test_too_many_scales_are_said():
  with pytest.raises(ValueError, match=r'3 x 1 pixels; give at most 2'):
    loss_lib.edges(jnp.zeros((1, 1, 4, 12, 3)), 3)
  with pytest.raises(ValueError, match=r'loss\.scales is 0'):
    loss_lib.VaeLossConfig(scales=0)


@pytest.mark.parametrize('values', [dict(perceptual=0.1), dict(features='a:b')])
def test_a_weight_needs_a_network_and_a_network_a_weight(values):
  with pytest.raises(ValueError, match='give both a weight and a network'):
    loss_lib.VaeLossConfig(**values)


@pytest.mark.parametrize(
  'values, message',
  [
    (dict(images=1.0), r'data\.images is 1\.0'),
    (dict(image_batch=0), r'data\.image_batch is 0'),
  ],
)
def test_data_that_is_none_is_said(values, message):
  with pytest.raises(ValueError, match=message):
    loss_lib.VaeData(**values)


_GAME = loss_lib.VaeRun(
  vae=folds.FoldsConfig(
    encoder_widths=(8,),
    encoder_depths=(0,),
    decoder_folds=((4, 8, 8),),
    decoder_widths=(8,),
    decoder_depths=(0,),
    linear_path=False,
  ),
  loss=loss_lib.VaeLossConfig(scales=2),
  adversary=adversary.AdversaryConfig(
    weight=1.0, start=0.5, ramp=0.25, rate=0.5, width=4, depth=1
  ),
)
# Weights decay, so that what merely has no gradients moves all the same.
_DECAYING = optimizer.OptimizerConfig(rate=1e-2, warmup=0, weight_decay=0.1)


@functools.cache
def _born() -> state.TrainState:
  init = jax.jit(lambda key: loss_lib.Trainee(_GAME, rngs=nnx.Rngs(key)))
  trainee = init(jax.random.key(0, impl='rbg'))
  return step.born(trainee, loss_lib.lesson(_GAME), _DECAYING)


@jax.jit
def _advanced(run, batch):
  return step.train_step(
    run,
    batch,
    jax.random.key(0),
    jnp.float32(1.0),
    loss=loss_lib.lesson(_GAME),
    optimizer=_DECAYING,
    ema=0.9,
  )


def _moved(progress: float) -> tuple[dict, dict]:
  """Whether each leaf of each player moves in a step, and the metrics.

  On single pictures; tests/launch/test_train_vae.py has clips as well.
  """
  before = _born()._replace(progress=jnp.float32(progress))
  after, metrics = _advanced(before, {'frames': _moving_squares(2, 1)})
  moved = {}
  for name in ('vae', 'adversary'):
    one, other = (getattr(run.model, name) for run in (before, after))
    moved[name] = jax.tree.leaves(
      jax.tree.map(lambda a, b: bool((a != b).any()), one, other)
    )
  return moved, {name: float(value) for name, value in metrics.items()}


def test_before_it_begins_an_adversary_does_not_move():
  moved, metrics = _moved(0.49)
  assert not any(moved['adversary'])
  assert all(moved['vae'])
  assert np.isnan(metrics['adversary/real'])
  parts = {name: metrics[name] for name in ('absolute', 'edges', 'kl')}
  assert metrics['loss'] == pytest.approx(
    parts['absolute'] + 0.5 * parts['edges'] + 1e-4 * parts['kl']
  )


def test_once_begun_both_players_learn():
  moved, metrics = _moved(0.8)
  assert all(moved['adversary'])
  assert all(moved['vae'])
  assert all(np.isfinite(value) for value in metrics.values())


def test_an_adversary_has_its_own_rate_and_none_before_it_begins():
  model = _born().model
  for progress, expected in ((0.0, 0.0), (0.49, 0.0), (0.5, 0.5), (1.0, 0.5)):
    factors = loss_lib.rates(model, jnp.float32(progress), run=_GAME)
    assert set(map(float, jax.tree.leaves(factors.vae))) == {1.0}
    assert set(map(float, jax.tree.leaves(factors.adversary))) == {expected}


def test_pixels_span_minus_one_to_one():
  np.testing.assert_allclose(
    loss_lib.pixels(np.array([0, 255], np.uint8)), [-1.0, 1.0]
  )
