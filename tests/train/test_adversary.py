"""Two players, one sum of losses, and neither moves the other."""

import functools

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tv2tv_jax import sharding
from tv2tv_jax.train import adversary as adversary_lib

_CONFIG = adversary_lib.AdversaryConfig(
  weight=2.0, start=0.5, ramp=0.25, width=4, depth=2
)


@functools.cache
def _player() -> adversary_lib.Adversary:
  return _born()


def _born() -> adversary_lib.Adversary:
  def init(key):
    return adversary_lib.Adversary(_CONFIG, 3, rngs=nnx.Rngs(key))

  return jax.jit(init)(jax.random.key(0, impl='rbg'))


_scores = jax.jit(lambda player, film: player(film))


def _film() -> tuple[jax.Array, jax.Array]:
  """Film of strong contrast, and pale copies of it."""
  shape = (4, 3, 16, 16, 3)
  film = jax.random.uniform(jax.random.key(0), shape, minval=-1.0, maxval=1.0)
  return film, 0.2 * film


@jax.jit
def _gradients(player, copies, film, progress):
  def total(player, copies):
    return adversary_lib.loss(player, copies, film, progress, _CONFIG)

  return jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(player, copies)


def _found(progress):
  film, copies = _film()
  return _gradients(_player(), copies, film, jnp.float32(progress))


def _all_zero(tree) -> bool:
  return all(not np.asarray(leaf).any() for leaf in jax.tree.leaves(tree))


def test_before_it_begins_there_is_exactly_nothing():
  (total, metrics), (of_player, of_copies) = _found(0.49)
  assert float(total) == 0.0
  assert _all_zero(of_player) and _all_zero(of_copies)
  assert all(np.isnan(float(value)) for value in metrics.values())


def test_learning_to_tell_copies_does_not_move_them():
  """Where the weight is still 0 only the adversary has gradients."""
  (total, metrics), (of_player, of_copies) = _found(0.5)
  assert _all_zero(of_copies)
  assert not _all_zero(of_player)
  hinge = metrics['adversary/real'] + metrics['adversary/fake']
  assert float(total) == pytest.approx(float(hinge))


def test_wishing_to_fool_it_does_not_move_the_adversary():
  """Its gradients are the same whatever the VAE's term weighs."""
  _, (player, _) = _found(0.5)
  _, (half_player, half_copies) = _found(0.625)
  _, (whole_player, whole_copies) = _found(0.75)
  for leaves in zip(
    *map(jax.tree.leaves, (player, half_player, whole_player)), strict=True
  ):
    np.testing.assert_array_equal(leaves[0], leaves[1])
    np.testing.assert_array_equal(leaves[0], leaves[2])
  assert not _all_zero(whole_copies)
  np.testing.assert_allclose(whole_copies, 2 * half_copies, atol=1e-6)


def test_the_losses_are_the_hinge_losses():
  (total, metrics), _ = _found(0.625)  # Half of the weight.
  film, copies = _film()
  real, fake = (np.asarray(_scores(_player(), x)) for x in (film, copies))
  parts = (
    np.maximum(0, 1 - real).mean(),
    np.maximum(0, 1 + fake).mean(),
    -fake.mean(),
  )
  names = ('adversary/real', 'adversary/fake', 'adversary/vae')
  for name, part in zip(names, parts, strict=True):
    assert float(metrics[name]) == pytest.approx(part, rel=1e-4)
  expected = parts[0] + parts[1] + 1.0 * parts[2]
  assert float(total) == pytest.approx(expected, rel=1e-4)


def test_it_learns_to_tell_film_from_copies_in_a_few_steps():
  film, copies = _film()
  player, adam = _player(), optax.adam(2e-2)
  moments = adam.init(player)
  hinge = []
  for _ in range(25):
    (total, _), (gradients, _) = _gradients(
      player, copies, film, jnp.float32(0.5)
    )
    hinge.append(float(total))
    updates, moments = adam.update(gradients, moments)
    player = optax.apply_updates(player, updates)
  assert hinge[0] > 1.5
  assert hinge[-1] < 0.5


def test_a_patch_is_judged_with_the_frames_before_it_alone():
  film, _ = _film()
  scores = np.asarray(_scores(_player(), film))
  assert scores.shape == (4, 3, 4, 4, 1)
  changed = np.asarray(_scores(_player(), film.at[:, 1].set(0.0)))
  np.testing.assert_array_equal(changed[:, :1], scores[:, :1])
  assert (changed[:, 1:] != scores[:, 1:]).any(axis=(0, 2, 3, 4)).all()


def test_a_mesh_splits_clips_among_its_devices(mesh):
  """Layouts are types: what a mesh cannot run is an error when it is traced."""
  batch = sharding.put_batch(tuple(np.zeros((2, 8, 3, 16, 16, 3), 'f4')))
  (total, _), (of_player, of_copies) = jax.eval_shape(
    _gradients, _born(), *batch, jnp.float32(0.75)
  )
  assert total.shape == ()
  assert of_copies.sharding.spec[0] == ('data', 'fsdp')
  assert not any(x.sharding.spec[0] for x in jax.tree.leaves(of_player))


@pytest.mark.parametrize(
  'values, message',
  [
    (dict(weight=-1.0), r'adversary\.weight is -1\.0: give 0 or more'),
    (dict(depth=0), r'adversary\.depth is 0: give at least 1'),
  ],
)
def test_a_game_that_is_none_is_said(values, message):
  with pytest.raises(ValueError, match=message):
    adversary_lib.AdversaryConfig(**values)
