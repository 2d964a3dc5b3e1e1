"""An adversary that tells film from copies, patch by patch.

With scores `s` of film `x` and of its copies `y`, by the hinge loss (Lim & Ye,
2017, arXiv 1705.02894),

  adversary: mean max(0, 1 - s(x)) + mean max(0, 1 + s(y))            (1)
  VAE:       -weight(progress) mean s(y)                              (2)

Both are one sum: in (1) the copies are constants, in (2) the adversary is, so
that one gradient holds what either player wants. Shape and schedule are
choices, see DECISIONS.md.
"""

import dataclasses

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tv2tv_jax.nn import causal_conv
from tv2tv_jax.nn import conv
from tv2tv_jax.nn import norm
from tv2tv_jax.typing import Metrics
from tv2tv_jax.vae import chain


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdversaryConfig:
  """The adversary, and when it plays.

  Attributes:
    weight: of (2) in the VAE's loss; 0: there is no adversary.
    start: share of the run after which it begins; before, it neither learns
      nor is asked, and costs no time.
    ramp: share of the run over which the weight then grows from 0.
    rate: its learning rate, as a multiple of the VAE's.
    width: channels of its first level; each later one has twice as many.
    depth: levels, each of which halves rows and columns and sees two more
      frames of the past.
  """

  weight: float = 0.0
  start: float = 0.25
  ramp: float = 0.1
  rate: float = 1.0
  width: int = 32
  depth: int = 3

  def __post_init__(self):
    for name in ('weight', 'start', 'ramp', 'rate'):
      if getattr(self, name) < 0:
        raise ValueError(
          f'adversary.{name} is {getattr(self, name)}: give 0 or more'
        )
    for name in ('width', 'depth'):
      if getattr(self, name) < 1:
        raise ValueError(
          f'adversary.{name} is {getattr(self, name)}: give at least 1'
        )

  def begun(self, progress: Float[Array, '']) -> Float[Array, '']:
    """1 where the adversary plays, else 0."""
    return jnp.float32(progress >= self.start)

  def weight_at(self, progress: Float[Array, '']) -> Float[Array, '']:
    """The weight of (2)."""
    grown = (progress - self.start) / max(1e-6, self.ramp)
    return self.weight * jnp.clip(grown, 0.0, 1.0)


class Adversary(nnx.Module):
  """Scores of the patches of each frame, seen with the frames before it.

  Frames keep their number, so it judges clips of one frame as well.
  """

  def __init__(self, config: AdversaryConfig, channels: int, *, rngs: nnx.Rngs):
    layers, width = {}, channels
    for level in range(config.depth):
      out = config.width * 2**level
      layers[f'level_{level}'] = _Level(width, out, rngs=rngs)
      width = out
    layers['head'] = chain.Head(
      norm.RmsNorm(width),
      causal_conv.CausalConv3d(width, 1, (1, 3, 3), rngs=rngs),
    )
    self.chain = chain.Chain(**layers)

  def __call__(
    self, frames: Float[Array, 'B T Y X C']
  ) -> Float[Array, 'B T V U 1']:
    """Above 0 for what looks like film; frames in [-1, 1]."""
    return self.chain(frames)[0]


class _Level(nnx.Module):
  """Half the rows and columns, plus what a look at the past adds to them."""

  def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
    self.space = conv.Conv2d(inputs, outputs, stride=2, rngs=rngs)
    self.norm = norm.RmsNorm(outputs)
    self.time = causal_conv.CausalConv3d(outputs, outputs, rngs=rngs)

  def __call__(
    self, x: Float[Array, 'B T Y X I'], past: chain.Past = None
  ) -> tuple[Float[Array, 'B T V U O'], chain.Past]:
    """Runs on a chunk."""
    x = self.space(x)
    y, past = self.time(jax.nn.silu(self.norm(x)), past)
    return x + y, past


def loss(
  adversary: Adversary,
  pictures: Float[Array, 'B T Y X C'],
  frames: Float[Array, 'B T Y X C'],
  progress: Float[Array, ''],
  config: AdversaryConfig,
) -> tuple[Float[Array, ''], Metrics]:
  """(1) plus (2), and their parts; exactly nothing before `config.start`.

  Args:
    adversary: one player.
    pictures: what the other one, the VAE, makes of `frames`.
    frames: film.
    progress: share of the run that is over.
    config: the schedule.
  """
  names = ('adversary/real', 'adversary/fake', 'adversary/vae')

  def play(adversary, pictures, frames):
    onlooker, copies = jax.lax.stop_gradient((adversary, pictures))
    real = jnp.mean(jax.nn.relu(1.0 - adversary(frames)))
    fake = jnp.mean(jax.nn.relu(1.0 + adversary(copies)))
    fooled = -jnp.mean(onlooker(pictures))
    total = real + fake + config.weight_at(progress) * fooled
    return total, (real, fake, fooled)

  def rest(*_):
    return jnp.zeros(()), (jnp.full((), jnp.nan),) * len(names)

  total, parts = jax.lax.cond(
    progress >= config.start, play, rest, adversary, pictures, frames
  )
  return total, dict(zip(names, parts, strict=True))
