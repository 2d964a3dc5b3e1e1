"""What the VAE is trained on: pictures, their edges, and calm latents.

Where a config asks for them also what a network sees in pictures, and what an
adversary says of film.
"""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8
import numpy as np

from tv2tv_jax.nn import conv
from tv2tv_jax.train import adversary as adversary_lib
from tv2tv_jax.train import loop
from tv2tv_jax.train import perceptual
from tv2tv_jax.train import step as step_lib
from tv2tv_jax.typing import Metrics
from tv2tv_jax.typing import PrngKey
from tv2tv_jax.vae import fold
from tv2tv_jax.vae import folds
from tv2tv_jax.vae import vae as vae_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeData:
  """What a VAE is trained and judged on.

  Attributes:
    records: the dataset of takes, as `launch.record` writes it.
    chunks: groups of frames after the first frame of a clip.
    batch: clips of a step.
    images: share of the steps that see single pictures instead of clips.
    image_batch: pictures of such a step.
    image_records: the dataset whose frames they are; '' for `records`.
    components: clips whose blocks the linear path starts from.
    statistics: clips of the train split that latents are normalised by.
    held_out: clips of the test split that every evaluation sees.
  """

  records: str = ''
  chunks: int = 3
  batch: int = 4
  images: float = 0.0
  image_batch: int = 16
  image_records: str = ''
  components: int = 1024
  statistics: int = 768
  held_out: int = 128

  def __post_init__(self):
    if not 0 <= self.images < 1:
      raise ValueError(
        f'data.images is {self.images}: give a share of at least 0 and below 1'
      )
    counts = ('batch', 'image_batch', 'components', 'statistics', 'held_out')
    for name in counts:
      if getattr(self, name) < 1:
        raise ValueError(
          f'data.{name} is {getattr(self, name)}; it must be at least 1'
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeLossConfig:
  """Weights of the parts of the loss (choices, see configs/).

  Attributes:
    absolute: of the mean absolute error of pixels in [-1, 1].
    squared: of their mean squared error.
    edges: of the mean absolute error of differences of neighbours.
    scales: how often edges are looked at, each time in pictures of half the
      rows and columns; `edges` weighs their mean.
    kl: of the divergence of the latents from the unit normal, per value.
    perceptual: of the distance that a network sees, see perceptual.py.
    features: what gives that network, as package.module:function; '' for none.
  """

  absolute: float = 1.0
  squared: float = 0.0
  edges: float = 0.5
  scales: int = 1
  kl: float = 1e-4
  perceptual: float = 0.0
  features: str = ''

  def __post_init__(self):
    if self.scales < 1:
      raise ValueError(f'loss.scales is {self.scales}: give at least 1')
    if bool(self.perceptual) != bool(self.features):
      raise ValueError(
        f'loss.perceptual is {self.perceptual} and loss.features is '
        f'{self.features!r}: give both a weight and a network, or neither'
      )


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeRun:
  """A training run of a VAE: what `configs/*_vae.py` fill in.

  Attributes:
    weights: the folder of a VAE, whose weights training begins with; '' for
      none.
    data: what it sees.
    vae: its family and shape.
    loss: what it lowers.
    adversary: who plays against it.
    train: for how long and how fast.
  """

  weights: str = ''
  data: VaeData = VaeData()
  vae: vae_lib.VaeConfig = folds.FoldsConfig()
  loss: VaeLossConfig = VaeLossConfig()
  adversary: adversary_lib.AdversaryConfig = adversary_lib.AdversaryConfig()
  train: loop.TrainConfig = loop.TrainConfig()


class Trainee(nnx.Module):
  """What a run trains: the VAE, and the adversary if it has one."""

  def __init__(self, run: VaeRun, *, rngs: nnx.Rngs):
    self.vae = vae_lib.Vae(run.vae, rngs=rngs)
    if run.adversary.weight:
      self.adversary = adversary_lib.Adversary(
        run.adversary, run.vae.channels, rngs=rngs
      )


def lesson(run: VaeRun) -> step_lib.Lesson:
  """What every step of a run does.

  Raises:
    ValueError: the network that the loss asks for is not there.
  """
  name = run.loss.features
  return step_lib.Lesson(
    loss=functools.partial(
      loss, run=run, features=perceptual.network(name) if name else None
    ),
    rates=functools.partial(rates, run=run) if run.adversary.weight else None,
    compiler_options=conv.compiler_options(),
  )


def loss(
  model: Trainee,
  batch: Mapping[str, Any],
  key: PrngKey,
  progress: Float[Array, ''],
  *,
  run: VaeRun,
  features: perceptual.Features | None = None,
) -> tuple[Float[Array, ''], Metrics]:
  """The loss of a batch: of the VAE, and of the adversary if it has one.

  Args:
    model: the players.
    batch: `frames` uint8 [B, T, Y, X, C].
    key: of this step.
    progress: share of the run that is over.
    run: weights and schedules.
    features: the network that `run.loss.features` names.
  """
  frames = pixels(batch['frames'])
  total, pictures, metrics = reconstruction(
    model.vae, frames, key, run.loss, features
  )
  if run.adversary.weight:
    more, game = adversary_lib.loss(
      model.adversary, pictures, frames, progress, run.adversary
    )
    total, metrics = total + more, metrics | game
  return total, metrics


def rates(
  model: Trainee, progress: Float[Array, ''], *, run: VaeRun
) -> Trainee:
  """Factors of the learning rate; the adversary's is 0 before it begins."""
  factors = jax.tree.map(lambda _: jnp.ones(()), model)
  if run.adversary.weight:
    factor = run.adversary.rate * run.adversary.begun(progress)
    factors.adversary = jax.tree.map(lambda _: factor, model.adversary)
  return factors


def reconstruction(
  vae: vae_lib.Vae,
  frames: Float[Array, 'B T Y X C'],
  key: PrngKey,
  config: VaeLossConfig,
  features: perceptual.Features | None = None,
) -> tuple[Float[Array, ''], Float[Array, 'B T Y X C'], Metrics]:
  """The weighted loss of clips in [-1, 1], what they became, and its parts."""
  gaussian, _ = vae.encode(frames)
  pictures, _ = vae.decode(gaussian.sample(key))
  error = pictures - frames
  parts = {
    'absolute': jnp.mean(jnp.abs(error)),
    'squared': jnp.mean(jnp.square(error)),
    'edges': edges(error, config.scales),
    'kl': divergence(gaussian),
  }
  total = (
    config.absolute * parts['absolute']
    + config.squared * parts['squared']
    + config.edges * parts['edges']
    + config.kl * parts['kl']
  )
  if features:
    parts['perceptual'] = perceptual.distance(features, pictures, frames)
    total += config.perceptual * parts['perceptual']
  return total, pictures, parts


def edges(
  error: Float[Array, 'B T Y X C'], scales: int = 1
) -> Float[Array, '']:
  """How much an error differs from one pixel to the next, at every scale.

  At each scale the mean absolute difference of neighbours in a column plus
  that in a row, averaged over scales. From one to the next, squares of 2 x 2
  pixels become their mean (as in the pyramids of Burt & Adelson, 1983).

  Raises:
    ValueError: pictures too small for so many scales.
  """
  total = jnp.zeros(())
  for scale in range(scales):
    if scale:
      even = error[:, :, : rows // 2 * 2, : columns // 2 * 2]
      error = fold.mean(even, (1, 2, 2), begins=False)
    rows, columns = error.shape[2:4]
    if min(rows, columns) < 2:
      raise ValueError(
        f'config.loss.scales is {scales}: at scale {scale + 1} pictures have '
        f'{columns} x {rows} pixels; give at most {scale}'
      )
    total += sum(jnp.mean(jnp.abs(jnp.diff(error, axis=a))) for a in (2, 3))
  return total / scales


def divergence(gaussian: vae_lib.Gaussian) -> Float[Array, '']:
  """The mean KL divergence from the unit normal, in nats per latent value.

  Of a VAE without variances only what the means add to it.
  """
  mean, log_variance = gaussian
  if log_variance is None:
    return 0.5 * jnp.mean(jnp.square(mean))
  return 0.5 * jnp.mean(
    jnp.square(mean) + jnp.exp(log_variance) - 1.0 - log_variance
  )


def pixels(frames: UInt8[Array | np.ndarray, '...']) -> Float[Array, '...']:
  """Frames of uint8 as floats in [-1, 1]."""
  return jnp.asarray(frames, jnp.float32) / 127.5 - 1.0


def pictures_of(frames: Float[Array, '...']) -> UInt8[Array, '...']:
  """The inverse of `pixels`, rounded."""
  return jnp.round((jnp.clip(frames, -1.0, 1.0) + 1.0) * 127.5).astype(
    jnp.uint8
  )
