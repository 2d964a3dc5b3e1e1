"""The inverse dynamics model reads real film."""

import functools

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from data_pipelines.sources import vizdoom
from tv2tv_jax.evaluate import controls
from tv2tv_jax.evaluate import inverse_dynamics
from tv2tv_jax.evaluate import matching

_NAMES = vizdoom.CONTROL_NAMES


def _model() -> inverse_dynamics.InverseDynamics:
  return inverse_dynamics.InverseDynamics(
    inverse_dynamics.InverseDynamicsConfig(), rngs=nnx.Rngs(0)
  )


@pytest.fixture(scope='module')
def takes() -> list[vizdoom.Film]:
  """A minute and a half of real play."""
  return list(vizdoom.film_takes('deathmatch', 'scout', 3, '64x48', 13))


def _chunks(takes: list[vizdoom.Film]) -> dict[str, np.ndarray]:
  """Chunks of takes and what was held in them."""
  frames = np.stack([take.frames for take in takes])
  held = np.stack([take.controls for take in takes])
  at = 4 * np.arange(32)[:, None] + np.arange(5)
  return {
    'frames': controls.chunks(frames, 4).reshape(-1, 5, 48, 64, 3),
    'controls': held[:, at].reshape(-1, 5, held.shape[-1]),
  }


def test_it_learns_to_read_turns_and_shots_in_seconds(takes):
  train, test = _chunks(takes[:11]), _chunks(takes[11:])
  model, transformation = _model(), optax.adam(2e-3)
  loss = functools.partial(inverse_dynamics.loss, names=_NAMES)

  @jax.jit
  def step(model, state, batch, key):
    gradients = jax.grad(lambda m: loss(m, batch, key)[0])(model)
    updates, state = transformation.update(gradients, state)
    return jax.tree.map(jnp.add, model, updates), state

  state = transformation.init(model)
  rng = np.random.default_rng(0)
  for number in range(120):
    some = rng.choice(len(train['frames']), 24)
    batch = {name: values[some] for name, values in train.items()}
    model, state = step(model, state, batch, jax.random.key(number))
  beliefs = inverse_dynamics.read(model, test['frames'], batch=64)
  truth = controls.answers(test['controls'], _NAMES, 4)[:, 0]
  tables = controls.confusion(beliefs, truth)
  often = {
    head.name: table.sum(axis=1).max() / table.sum()
    for head, table in zip(controls.HEADS, tables.values(), strict=True)
  }
  assert controls.accuracy(tables['turn']) > often['turn'] + 0.1
  assert controls.accuracy(tables['attack']) > 0.9


def test_reading_does_not_depend_on_the_batch(takes):
  frames = _chunks(takes[:1])['frames'][:7]
  model = _model()
  together = inverse_dynamics.read(model, frames, batch=8)
  apart = inverse_dynamics.read(model, frames, batch=3)
  for name, each in together.items():
    assert len(each) == 7
    np.testing.assert_allclose(np.exp(each).sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(each, apart[name], atol=1e-5)
  assert inverse_dynamics.read(model, frames[:0])['turn'].shape == (0, 3)


def test_features_are_what_the_answers_are_read_from(takes):
  frames = _chunks(takes[:1])['frames'][:7]
  model = _model()
  found = inverse_dynamics.features(model, frames, batch=3)
  assert found.shape == (7, model.config.hidden) and found.dtype == np.float32
  logits = model.out(jnp.array(found)) + model.bias[...]
  turn = jax.nn.log_softmax(logits[:, :3])
  beliefs = inverse_dynamics.read(model, frames, batch=3)
  np.testing.assert_allclose(beliefs['turn'], turn, atol=1e-5)


def test_the_least_cost_is_the_true_displacement():
  rng = np.random.default_rng(0)
  before = rng.random((32, 40)).astype(np.float32)
  after = np.roll(before, (1, -3), axis=(0, 1))
  costs = matching.costs(jnp.array(before), jnp.array(after), (2, 4), 8)
  inner = np.asarray(costs[1:-1, 1:-1]).reshape(-1, 5 * 9)
  rows, columns = np.divmod(inner.argmin(axis=-1), 9)
  assert set(rows - 2) == {1} and set(columns - 4) == {-3}


def test_a_sixth_of_the_batch_is_copied(takes):
  """What `copy` gives back is what the model sees."""
  batch = {k: jnp.array(v[:12]) for k, v in _chunks(takes[:1]).items()}
  seen = []

  def copy(frames):
    seen.append(frames.shape)
    return frames

  loss = functools.partial(inverse_dynamics.loss, names=_NAMES, copy=copy)
  jax.eval_shape(loss, _model(), batch, jax.random.key(0))
  assert seen == [(2, 5, 48, 64, 3)]


def test_frames_of_another_size_are_named():
  with pytest.raises(ValueError, match=r'\(5, 24, 32\).*\(5, 48, 64\)'):
    _model()(jnp.zeros((1, 5, 24, 32, 3)))
  with pytest.raises(ValueError, match='cell 10 does not divide'):
    inverse_dynamics.InverseDynamics(
      inverse_dynamics.InverseDynamicsConfig(cell=10), rngs=nnx.Rngs(0)
    )
