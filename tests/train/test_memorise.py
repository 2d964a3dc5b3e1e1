"""One story can be learned by heart, in each of the three layouts."""

import functools

import jax
import jax.numpy as jnp
import pytest

from tests import tiny
from tv2tv_jax.train import objective
from tv2tv_jax.train import optimizer
from tv2tv_jax.train import step as step_lib

_STEPS = 400
# Late times hide the noise: what is left of it near t = 1 no model can tell.
_CONFIG = objective.ObjectiveConfig(
  drop_words=0.0, flip=0.0, time_mean=-1.0, time_deviation=1.0
)
_LESSON = objective.lesson(_CONFIG)


_ADAM = optimizer.OptimizerConfig(
  rate=5e-3, warmup=20, final=0.01, beta2=0.98, weight_decay=0.0
)


# Of all tests' programs this one runs longer than it takes to compile.
@functools.partial(
  jax.jit, compiler_options={'xla_backend_optimization_level': 1}
)
def _learn(model, batch):
  """The losses of text and of video, step by step."""
  take = functools.partial(
    step_lib.train_step,
    loss=_LESSON,
    optimizer=_ADAM,
    ema=0.9,
  )

  def step(state, number):
    progress = (number + 1) / _STEPS
    state, metrics = take(state, batch, jax.random.key(0), progress)
    return state, (metrics['text'], metrics['video'])

  state = step_lib.born(model, _LESSON, _ADAM)
  return jax.lax.scan(step, state, jnp.arange(_STEPS))[1]


@pytest.fixture(scope='module')
def born():
  return tiny.born()


@pytest.mark.parametrize('layout', ['tv2tv', 'think2v', 't2v'])
def test_one_story_is_learned_by_heart(born, layout):
  row = tiny.row(*[tiny.STORY] * 8, layout=layout)
  latents = jnp.repeat(tiny.latents(0, 1), 8, axis=0)
  text, video = _learn(born, {**row._asdict(), 'latents': latents})
  assert text[0] > 2 and video[0] > 1
  assert text[-20:].mean() < 0.01
  assert video[-20:].mean() < 0.1
