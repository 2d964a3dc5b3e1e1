"""The VAE's loss, and a tiny VAE that learns moving squares."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

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
def _reconstructed(model, frames):
  return loss_lib.decibels(model.reconstruct(frames), frames).mean()


def _decibels(model, frames) -> float:
  return float(_reconstructed(model, frames))


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
  run = state.born(_started(), optimizer.direction(config))
  before = _decibels(run.model, frames)
  advance = jax.jit(
    lambda run, progress: step.train_step(
      run,
      frames,
      jax.random.key(0),
      progress,
      optimizer=config,
      ema=0.9,
      loss=lambda model, x, key: loss_lib.loss(model, x, key, weights),
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


def test_decibels_of_known_errors():
  zeros = jnp.zeros((1, 2, 4, 4, 3))
  off = zeros.at[0, 1].set(0.2)  # A tenth of the range.
  np.testing.assert_allclose(
    loss_lib.decibels(off, zeros), [[100.0, 20.0]], rtol=1e-4
  )


def test_pixels_span_minus_one_to_one():
  np.testing.assert_allclose(
    loss_lib.pixels(np.array([0, 255], np.uint8)), [-1.0, 1.0]
  )
