"""A network of others measures how far pictures are apart."""

import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tv2tv_jax.train import perceptual
from tv2tv_jax.train import vae as train_vae
from tv2tv_jax.vae import folds
from tv2tv_jax.vae import vae as vae_lib


def _clips(*colour: float) -> jax.Array:
  return jnp.broadcast_to(jnp.float32(colour), (2, 3, 8, 8, 3))


def _distance(one, other, features=lambda pictures: [pictures]) -> float:
  return float(perceptual.distance(features, one, other))


def test_both_sides_are_looked_at_frame_by_frame():
  seen = []

  def features(pictures):
    seen.append(pictures)
    return [pictures]

  film, copies = _clips(1, 0, 0), _clips(0, 1, 0)
  _distance(copies, film, features)
  for found, expected in zip(seen, (copies, film), strict=True):
    np.testing.assert_array_equal(found, expected.reshape(6, 8, 8, 3))


def test_the_distance_is_that_of_unit_vectors():
  red = _clips(1, 0, 0)
  assert _distance(red, _clips(0, 1, 0)) == pytest.approx(2.0, rel=1e-4)
  assert _distance(red, _clips(-1, 0, 0)) == pytest.approx(4.0, rel=1e-4)
  assert _distance(red, _clips(0.3, 0, 0)) == pytest.approx(0.0, abs=1e-6)


def test_maps_count_alike_whatever_their_size():
  def features(pictures):
    return [pictures, jnp.abs(pictures[:, ::4, ::4])]

  found = _distance(_clips(1, 0, 0), _clips(-1, 0, 0), features)
  assert found == pytest.approx((4.0 + 0.0) / 2, rel=1e-4)


def test_where_nothing_is_seen_gradients_are_finite():
  @jax.jit
  @jax.grad
  def gradient(copies):
    return perceptual.distance(lambda x: [jax.nn.relu(x)], copies, _clips(1.0))

  assert np.isfinite(gradient(_clips(-1.0))).all()


def test_maps_that_are_none_are_said():
  film = _clips(1, 0, 0)
  with pytest.raises(ValueError, match=r'give one or more \[6, V, U, D\]'):
    _distance(film, film, lambda pictures: [])
  with pytest.raises(ValueError, match=r'maps of \[\(6,\)\]'):
    _distance(film, film, lambda pictures: [pictures[:, 0, 0, 0]])


@pytest.fixture
def module(monkeypatch):
  """A module of a user."""
  found = types.ModuleType('of_a_user')
  found.net = lambda: lambda pictures: [pictures]
  found.table = {}
  found.nothing = lambda: None
  monkeypatch.setitem(sys.modules, 'of_a_user', found)
  return found


def test_a_network_is_found_by_name(module):
  features = perceptual.network('of_a_user:net')
  assert features(jnp.ones((1, 2, 2, 3)))[0].shape == (1, 2, 2, 3)


@pytest.mark.parametrize(
  'name, message',
  [
    ('of_a_user', r'give package\.module:function'),
    ('of_nobody:net', r'cannot import of_nobody: No module named'),
    ('of_a_user:loss', r'of_a_user has no loss'),
    ('of_a_user:table', r'table is \{\}, not a function'),
    ('of_a_user:nothing', r'nothing\(\) gave None: give a function of pict'),
  ],
)
def test_a_network_that_is_none_is_said(module, name, message):
  with pytest.raises(ValueError, match=message) as error:
    perceptual.network(name)
  assert str(error.value).startswith(f'config.loss.features is {name!r}')


def test_the_loss_weighs_what_the_network_sees(module):
  run = train_vae.VaeRun(
    vae=folds.FoldsConfig(linear_path=False),
    loss=train_vae.VaeLossConfig(perceptual=0.7, features='of_a_user:net'),
  )

  class Still(vae_lib.Vae):
    """Shows the same picture whatever it is given."""

    def __init__(self):
      pass

    def encode(self, frames, past=None):
      zeros = jnp.zeros((2, 1, 1, 1, 16))
      return vae_lib.Gaussian(zeros, zeros), None

    def decode(self, latents, past=None):
      return _clips(0, 1, 0), None

  features = train_vae.lesson(run).loss.keywords['features']
  total, _, parts = train_vae.reconstruction(
    Still(), _clips(1, 0, 0), jax.random.key(0), run.loss, features
  )
  assert float(parts['perceptual']) == pytest.approx(2.0, rel=1e-4)
  rest = float(parts['absolute']) + 0.5 * float(parts['edges'])
  assert float(total) == pytest.approx(rest + 0.7 * 2.0, rel=1e-4)
