r"""A Mixture-of-Transformers' forward and train step, beside PyTorch.

  GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
      python -m tests.benchmarks.mot [--rounds 5] [--compile] [--profile]

25.7M parameters (width 512, 8 heads, 4 layers, hidden 1,408) on one row of
4 x (64 words + 192 video tokens), fp32, AdamW, the same weights in both, whose
losses and gradients are compared before anything is timed. Rounds go A B A B;
the ratio is PyTorch's time by ours, of minima and of medians.
"""

import argparse
import functools
import os
import time

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from tests.benchmarks import rounds
from tests.benchmarks import torch_mot
from tv2tv_jax.interleave import plan as plan_lib
from tv2tv_jax.interleave import streams as streams_lib
from tv2tv_jax.interleave import timeline
from tv2tv_jax.mot import tower
from tv2tv_jax.mot import transformer

_CHUNKS, _WORDS, _TOKENS = 4, 64, 192
_SHAPE = torch_mot.Shape(width=512, depth=4, heads=8, hidden=1408)
_CONFIG = tower.MotConfig(
  width=_SHAPE.width,
  depth=_SHAPE.depth,
  heads=_SHAPE.heads,
  key_heads=_SHAPE.heads,
  head_width=_SHAPE.width // _SHAPE.heads,
  hidden=_SHAPE.hidden,
  remat='none',
  unroll=_SHAPE.depth,
)
_RATE, _DECAY = 1e-4, 1e-2


def _places() -> streams_lib.Streams:
  """Words and chunks of one row, in turn."""
  start = jnp.arange(_CHUNKS)[None] * (_WORDS + _TOKENS)
  index = start[:, :, None] + jnp.arange(_WORDS)
  story = jnp.zeros((1, _CHUNKS), jnp.int32)
  return streams_lib.Streams(
    timeline.of_text(
      index.reshape(1, -1), jnp.zeros((1, _CHUNKS * _WORDS), jnp.int32)
    ),
    timeline.of_clean(start + _WORDS, story, tokens=_TOKENS, span=_TOKENS),
  )


def _loss(model, x, places):
  plan = plan_lib.in_slots(_CHUNKS, 0, _WORDS)
  out, _ = model(x, places, chunks=_CHUNKS, order=plan)
  return jnp.mean(jnp.square(out.text - 1)) + jnp.mean(
    jnp.square(out.clean + 1)
  )


class Ours:
  """The transformer of this project."""

  def __init__(self, x: streams_lib.Streams):

    @jax.jit
    def make(key):
      return transformer.MixtureOfTransformers(_CONFIG, rngs=nnx.Rngs(key))

    self.model = make(jax.random.key(0, impl='rbg'))
    adam = optax.adamw(_RATE, weight_decay=_DECAY)
    self.state = jax.jit(adam.init)(self.model)
    self.x, self.places = x, _places()
    self.gradient = jax.jit(jax.value_and_grad(_loss))
    self._forward = jax.jit(_loss)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(model, state, x, places):
      loss, gradient = jax.value_and_grad(_loss)(model, x, places)
      updates, state = adam.update(gradient, state, model)
      return optax.apply_updates(model, updates), state, loss

    self._step = step

  def forward(self) -> float:
    """One forward."""
    return float(self._forward(self.model, self.x, self.places))

  def train(self) -> float:
    """One step."""
    self.model, self.state, loss = self._step(
      self.model, self.state, self.x, self.places
    )
    return float(loss)


class Theirs:
  """PyTorch, with a copy of our weights."""

  def __init__(self, ours: Ours, *, compiled: bool):
    self.model = torch_mot.Mot(_SHAPE, _CONFIG.rope.theta)
    for name, weight in _renamed(ours.model).items():
      self.model.get_parameter(name).data.copy_(torch.tensor(weight))
    places = streams_lib.joined_places(*ours.places)
    seen = np.asarray(timeline.visible(places, places))[0]
    self.inputs = (
      [torch.tensor(np.asarray(x)) for x in ours.x[:2]],
      torch.tensor(seen),
      torch.tensor(np.asarray(places.index)[0]),
    )
    self.adam = torch.optim.AdamW(
      self.model.parameters(), lr=_RATE, weight_decay=_DECAY, fused=True
    )
    self.run = torch.compile(self.model) if compiled else self.model

  def loss(self) -> torch.Tensor:
    """As ours."""
    text, video = self.run(*self.inputs)
    return (text - 1).square().mean() + (video + 1).square().mean()

  def forward(self) -> float:
    """One forward."""
    with torch.no_grad():
      return self.loss().item()

  def train(self) -> float:
    """One step."""
    self.adam.zero_grad(set_to_none=True)
    loss = self.loss()
    loss.backward()
    self.adam.step()
    return loss.item()


def _renamed(model) -> dict[str, np.ndarray]:
  """Our parameters, or their gradients, under PyTorch's names and shapes."""
  out = {
    'norms.0.weight': model.text_norm.scale[...],
    'norms.1.weight': model.video_norm.scale[...],
  }
  for number, modality in enumerate(('text', 'video')):
    part = getattr(model.blocks, modality)
    maps = {
      name: getattr(part, name).kernel[...]
      for name in ('query', 'key', 'value', 'output')
    } | {
      name: getattr(part.feed_forward, name).kernel[...]
      for name in ('gate', 'up', 'down')
    }
    for layer in range(_SHAPE.depth):
      prefix = f'layers.{layer}.towers.{number}'
      for name in ('attention_norm', 'feed_forward_norm'):
        out[f'{prefix}.{name}.weight'] = getattr(part, name).scale[...][layer]
      for name, kernel in maps.items():
        inputs = _SHAPE.hidden if name == 'down' else _SHAPE.width
        flat = np.asarray(kernel[layer]).reshape(inputs, -1)
        out[f'{prefix}.{name}.weight'] = flat.T
  return {name: np.asarray(array) for name, array in out.items()}


def _check(ours: Ours, theirs: Theirs) -> None:
  """Equal work: the same loss and the same gradients."""
  loss, gradient = ours.gradient(ours.model, ours.x, ours.places)
  theirs.loss().backward()
  worst = 0.0
  for name, found in _renamed(gradient).items():
    expected = theirs.model.get_parameter(name).grad.numpy()
    scale = np.abs(expected).max()
    worst = max(worst, float(np.abs(found - expected).max() / scale))
  difference = abs(float(loss) - theirs.forward())
  print(f'loss differs by {difference:.1e}, gradients by {worst:.1e} of each')
  if difference > 1e-5 or worst > 1e-3:
    raise ValueError('the two do not do the same work')


def main() -> None:
  """Checks, measures, prints."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--compile', action='store_true')
  parser.add_argument('--profile', help='folder for a trace of our steps')
  flags = parser.parse_args()
  torch.set_num_threads(os.cpu_count())
  rng = np.random.default_rng(0)
  x = streams_lib.Streams(
    *(
      jnp.asarray(rng.normal(size=(1, _CHUNKS * n, _SHAPE.width)), jnp.float32)
      for n in (_WORDS, _TOKENS)
    )
  )
  ours = Ours(x)
  begin = time.perf_counter()
  theirs = {'torch': Theirs(ours, compiled=False)}
  if flags.compile:
    theirs['torch.compile'] = Theirs(ours, compiled=True)
  for each in theirs.values():
    _check(ours, each)
  count = sum(leaf.size for leaf in jax.tree.leaves(ours.model))
  print(
    f'{count:,} parameters, {rounds.machine()}; '
    f'checked and compiled in {time.perf_counter() - begin:.0f} s'
  )
  for what in ('forward', 'train'):
    runs = {'ours': getattr(ours, what)}
    runs |= {name: getattr(each, what) for name, each in theirs.items()}
    print(rounds.lines(what, rounds.timed(flags.rounds, 5, **runs)))
  if flags.profile:
    with jax.profiler.trace(flags.profile):
      for _ in range(5):
        ours.train()


if __name__ == '__main__':
  main()
