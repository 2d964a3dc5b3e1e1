"""The causal VAE: any way to cut a clip gives the same latents and frames."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.vae import small
from tv2tv_jax import sharding
from tv2tv_jax.vae import folds
from tv2tv_jax.vae import vae as vae_lib

SMALL, WAN, COSMOS = small.FOLDS, small.WAN, small.COSMOS
FAMILIES = pytest.mark.parametrize(
  'config', small.FAMILIES.values(), ids=list(small.FAMILIES)
)
PLANS = [(1, 4, 4, 4), (1, 8, 4), (1, 12)]


_encode = small.jit(vae_lib.Vae.encode)
_decode = small.jit(vae_lib.Vae.decode)
_reconstruct = small.jit(vae_lib.Vae.reconstruct)


_vae = functools.cache(small.new)


def _clip(frames: int = 13, batch: int = 2) -> jax.Array:
  shape = (batch, frames, 16, 24, 3)
  return jax.random.uniform(jax.random.key(1), shape, minval=-1.0, maxval=1.0)


def _encoded(vae, frames, plan):
  means, past, at = [], None, 0
  for length in plan:
    gaussian, past = _encode(vae, frames[:, at : at + length], past)
    means.append(gaussian.mean)
    at += length
  return jnp.concatenate(means, 1)


def _decoded(vae, latents, plan):
  parts, past, at = [], None, 0
  for length in plan:
    length = -(-length // 4)
    part, past = _decode(vae, latents[:, at : at + length], past)
    parts.append(part)
    at += length
  return jnp.concatenate(parts, 1)


@FAMILIES
@pytest.mark.parametrize('plan', PLANS, ids=str)
def test_any_way_to_cut_a_clip_gives_the_same(config, plan):
  vae, frames = _vae(config), _clip()
  latents = _encode(vae, frames)[0].mean
  assert latents.shape == (2, 4, 2, 3, 16)
  np.testing.assert_allclose(_encoded(vae, frames, plan), latents, atol=1e-5)
  pictures = _decode(vae, latents)[0]
  assert pictures.shape == frames.shape
  np.testing.assert_allclose(_decoded(vae, latents, plan), pictures, atol=1e-5)


def test_frames_go_one_by_one_where_none_are_joined():
  config = dataclasses.replace(
    SMALL,
    encoder_folds=((1, 8, 8),),
    decoder_folds=((1, 1, 1), (1, 2, 2), (1, 4, 4)),
  )
  vae, frames = _vae(config), _clip(5)
  latents = _encode(vae, frames)[0].mean
  found = _encoded(vae, frames, (1,) * 5)
  np.testing.assert_allclose(found, latents, atol=1e-5)
  parts, past = [], None
  for at in range(5):
    part, past = _decode(vae, latents[:, at : at + 1], past)
    parts.append(part)
  pictures = _decode(vae, latents)[0]
  np.testing.assert_allclose(jnp.concatenate(parts, 1), pictures, atol=1e-5)


@FAMILIES
def test_no_gradient_reaches_the_future(config):
  vae, frames = _vae(config), _clip(batch=1)
  latents = _encode(vae, frames)[0].mean

  @small.jit
  def of_latent(at):
    return jax.grad(lambda x: vae.encode(x)[0].mean[:, at].sum())(frames)

  @small.jit
  def of_frame(at):
    return jax.grad(lambda z: vae.decode(z)[0][:, at].sum())(latents)

  for latent in range(3):
    grad = of_latent(latent)
    assert not np.any(grad[:, 1 + 4 * latent :])
    assert np.any(grad[:, 4 * latent])
  for frame in (0, 4, 5, 8):
    seen = -(-frame // 4)
    grad = of_frame(frame)
    assert not np.any(grad[:, 1 + seen :])
    assert np.any(grad[:, seen])


def test_one_program_for_each_chunk_shape():
  vae, frames = _vae(SMALL), _clip()
  # Functions of this test alone: programs are counted by function.
  encode = small.jit(lambda *inputs: vae.encode(*inputs))
  decode = small.jit(lambda *inputs: vae.decode(*inputs))
  past = shown = None
  for at, length in ((0, 1), (1, 4), (5, 4), (9, 4)):
    gaussian, past = encode(frames[:, at : at + length], past)
    _, shown = decode(gaussian.mean, shown)
  assert encode._cache_size() == 2
  assert decode._cache_size() == 2


@FAMILIES
def test_the_past_has_one_shape_however_a_clip_begins(config):
  vae, frames = _vae(config), _clip()
  pasts = [
    jax.eval_shape(vae.encode, frames[:, :length])[1] for length in (1, 5, 13)
  ]
  pasts.append(jax.eval_shape(vae.encode, frames[:, :8], pasts[0])[1])
  assert all(past == pasts[0] for past in pasts)


@FAMILIES
def test_one_frame_is_one_latent(config):
  vae, frame = _vae(config), _clip(1)
  latent = _encode(vae, frame)[0].mean
  assert latent.shape == (2, 1, 2, 3, 16)
  assert _decode(vae, latent)[0].shape == frame.shape


def test_attention_over_time_forgets_what_is_long_past():
  config = dataclasses.replace(COSMOS, memory=2)
  kept = small.new(dataclasses.replace(config, memory=8))
  short = small.new(config)  # The same parameters: memory has none.
  frames = _clip(21, batch=1)
  far, near = _encode(kept, frames)[0].mean, _encode(short, frames)[0].mean
  np.testing.assert_allclose(far[:, :3], near[:, :3], atol=1e-5)
  assert not np.allclose(far[:, 3:], near[:, 3:], atol=1e-5)
  for plan in ((1, 4, 4, 4, 4, 4), (9, 12)):
    again = _encoded(short, frames, plan)
    np.testing.assert_allclose(again, near, atol=1e-5)


def _started(config: folds.FoldsConfig, frames: jax.Array) -> vae_lib.Vae:
  components = vae_lib.components(config, frames)
  return vae_lib.start_from_components(small.new(config), components)


def test_the_linear_path_starts_as_principal_components():
  frames = _clip(frames=16, batch=16)
  vae = _started(dataclasses.replace(SMALL, latent_channels=8), frames)
  latents = vae.encoder.linear(frames, begins=False)
  rows = latents.reshape(-1, 8)
  np.testing.assert_allclose(rows.mean(0), 0.0, atol=1e-3)
  np.testing.assert_allclose(np.cov(rows.T, bias=True), np.eye(8), atol=2e-2)
  back = vae.decoder.linear(latents, begins=False)
  blocks = np.linalg.norm(frames - back)
  assert blocks < np.linalg.norm(frames - frames.mean())


def test_a_sample_is_spread_by_the_variance():
  gaussian = vae_lib.Gaussian(
    jnp.full((1, 1, 64, 64, 16), 3.0),
    jnp.full((1, 1, 64, 64, 16), 2 * jnp.log(0.5)),
  )
  draw = gaussian.sample(jax.random.key(0))
  np.testing.assert_allclose([draw.mean(), draw.std()], [3.0, 0.5], atol=0.01)


def test_chunks_that_do_not_fold_are_named():
  vae = _vae(SMALL)
  with pytest.raises(ValueError, match=r'first chunk.* has 4 frames: give 1'):
    vae.encode(_clip(4))
  _, past = _encode(vae, _clip(1))
  with pytest.raises(ValueError, match='later chunk has 5 frames: give 4n'):
    vae.encode(_clip(5), past)
  with pytest.raises(ValueError, match=r'22 x 16.*multiples of 8 x 8'):
    vae.encode(_clip(1)[:, :, :, :22])
  with pytest.raises(ValueError, match='2 channels: give 3'):
    vae.encode(_clip(1)[..., :2])
  latents = _encode(vae, _clip(1))[0].mean
  for wrong in (latents[..., :15], latents[:, :0]):
    with pytest.raises(ValueError, match=r'give .*16. with N >= 1'):
      vae.decode(wrong)


def test_levels_that_do_not_fit_are_named():
  with pytest.raises(ValueError, match='encoder_widths has 2 levels'):
    dataclasses.replace(SMALL, encoder_widths=(16, 16))
  with pytest.raises(ValueError, match='decoder_folds unpack'):
    dataclasses.replace(SMALL, decoder_folds=((1, 1, 1), (2, 2, 2), (2, 2, 4)))
  with pytest.raises(ValueError, match='at least 1'):
    dataclasses.replace(SMALL, encoder_folds=((4, 8),))
  with pytest.raises(ValueError, match='halves_time has 3 levels'):
    dataclasses.replace(WAN, multiples=(1, 2))
  with pytest.raises(ValueError, match='patch is 3: give a power of two'):
    dataclasses.replace(COSMOS, patch=3)
  with pytest.raises(ValueError, match='encoder_widths has 3 widths'):
    dataclasses.replace(COSMOS, encoder_widths=(8, 8, 8))


@pytest.mark.parametrize(
  'config', [SMALL, WAN, COSMOS], ids=['small', 'wan', 'cosmos']
)
def test_a_mesh_changes_nothing(config):
  frames = _clip(5, batch=8)
  plain = _reconstruct(_vae(config), frames)
  with jax.set_mesh(sharding.make_mesh((2, 2, 2))):
    split = sharding.place(frames, 'batch', None, None, None, None)
    y = _reconstruct(small.new(config), split)
    assert jax.typeof(y).sharding.spec[0] == ('data', 'fsdp')
  np.testing.assert_allclose(y, plain, atol=1e-5)


def test_a_mesh_starts_from_the_same_components():
  frames = _clip(4, batch=8)
  components = vae_lib.components(SMALL, frames)

  def start():
    return vae_lib.start_from_components(small.new(SMALL), components)

  plain = jax.jit(start)()
  with jax.set_mesh(sharding.make_mesh((2, 2, 2))):
    vae = jax.jit(start)()
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), vae, plain
  )
