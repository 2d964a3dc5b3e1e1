"""What was held down, read off the frames: a chunk in, its controls out.

A small convolutional net sees the frames of a chunk and the frame before, and
names for each control the class that was held. It is trained on real
recordings and then reads generated film, so it also learns on pictures blurred
and copied by the VAE: what a generated picture lacks must not look like a
control. After the inverse dynamics of VPT (Baker et al., 2022); shape and
augmentation are choices, see DECISIONS.md.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt8
import numpy as np

from tv2tv_jax import sharding
from tv2tv_jax.evaluate import controls
from tv2tv_jax.evaluate import matching
from tv2tv_jax.nn import conv
from tv2tv_jax.nn import dense
from tv2tv_jax.nn import norm
from tv2tv_jax.typing import Metrics
from tv2tv_jax.typing import PrngKey

# Heads whose classes change sides in a mirror.
_MIRRORED = ('turn', 'strafe')


@dataclasses.dataclass(frozen=True, kw_only=True)
class InverseDynamicsConfig:
  """Shape of the net.

  Attributes:
    chunk_frames: frames of a chunk.
    height: of a frame.
    width: of a frame.
    cell: rows and columns of the squares whose motion is looked at.
    half_reach: rows and columns, in pairs of pixels, that a cell may move in
      half a chunk.
    reach: the same, in a whole chunk.
    cell_width: features of a cell, of its motion and of its colours each.
    hidden: features of a chunk.
  """

  chunk_frames: int = 4
  height: int = 48
  width: int = 64
  cell: int = 8
  half_reach: tuple[int, ...] = (1, 4)
  reach: tuple[int, ...] = (2, 7)
  cell_width: int = 32
  hidden: int = 128


class InverseDynamics(nnx.Module):
  """Logits of every head, from a chunk and the frame before it."""

  def __init__(self, config: InverseDynamicsConfig, *, rngs: nnx.Rngs):
    self.config = config
    if config.height % config.cell or config.width % config.cell:
      raise ValueError(
        f'cell {config.cell} does not divide frames of '
        f'{config.width}x{config.height}'
      )
    reaches = (config.half_reach, config.half_reach, config.reach)
    places = sum((2 * y + 1) * (2 * x + 1) for y, x in reaches)
    cells = config.height * config.width // config.cell**2
    width = config.cell_width
    self.motion = conv.Conv2d(places, width, (1, 1), rngs=rngs)
    colours = 3 * (2 * config.chunk_frames + 1) * 4
    self.colour = conv.Conv2d(colours, width, (3, 3), rngs=rngs)
    self.hidden = dense.Dense(
      '...D,DF->...F',
      (2 * cells * width, config.hidden),
      (None, None),
      rngs=rngs,
      scale=2**0.5,
    )
    self.norm = norm.RmsNorm(config.hidden)
    answers = sum(len(head.classes) for head in controls.HEADS)
    self.out = dense.Dense(
      '...F,FA->...A',
      (config.hidden, answers),
      (None, None),
      rngs=rngs,
      scale=0.1,
    )
    self.bias = nnx.Param(sharding.place(jnp.zeros(answers)))

  def __call__(
    self, frames: Float[Array, 'B T Y X 3']
  ) -> dict[str, Float[Array, 'B _']]:
    """Logits per head; frames in [-1, 1], `T = chunk_frames + 1`.

    Raises:
      ValueError: frames of another number or size than configured.
    """
    logits = self.out(self.features(frames)) + self.bias[...]
    ends = np.cumsum([len(head.classes) for head in controls.HEADS])[:-1]
    parts = jnp.split(logits, ends, axis=-1)
    return {h.name: part for h, part in zip(controls.HEADS, parts, strict=True)}

  def features(self, frames: Float[Array, 'B T Y X 3']) -> Float[Array, 'B F']:
    """What the last layer reads its answers from; frames as for a call.

    Raises:
      ValueError: frames of another number or size than configured.
    """
    config = self.config
    wanted = (config.chunk_frames + 1, config.height, config.width)
    if frames.shape[1:4] != wanted:
      raise ValueError(
        f'frames are {frames.shape[1:4]} (count, height, width); this inverse '
        f'dynamics model reads {wanted}'
      )
    seen = jnp.concatenate(
      [
        jax.nn.silu(self.motion(_motion(frames, config))),
        jax.nn.silu(self.colour(_colours(frames, config.cell // 2))),
      ],
      axis=-1,
    )
    x = self.hidden(seen.reshape(len(frames), -1))
    return jax.nn.silu(self.norm(x))


def _motion(
  frames: Float[Array, 'B T Y X 3'], config: InverseDynamicsConfig
) -> Float[Array, 'B V U D']:
  """Costs of displacements: in either half of the chunk, and over all of it."""
  gray = jnp.mean(frames, axis=-1)
  batch, count, height, width = gray.shape
  # Half the size is a quarter of the work, and costs need no sharp edges.
  gray = gray.reshape(batch, count, height // 2, 2, width // 2, 2)
  gray = gray.mean(axis=(3, 5))
  first, middle, last = (gray[:, at] for at in (0, count // 2, count - 1))
  cell = config.cell // 2
  half = matching.costs(
    jnp.stack([first, middle], 1),
    jnp.stack([middle, last], 1),
    config.half_reach,
    cell,
  )
  whole = matching.costs(first, last, config.reach, cell)
  return jnp.concatenate([half[:, 0], half[:, 1], whole], axis=-1)


def _colours(
  frames: Float[Array, 'B T Y X 3'], half: int
) -> Float[Array, 'B V U D']:
  """Mean colours of the quarters of each cell, and their changes."""
  batch, count, height, width, _ = frames.shape
  y, x = height // half // 2, width // half // 2
  small = frames.reshape(batch, count, y, 2, half, x, 2, half, 3)
  small = jnp.mean(small, axis=(4, 7))
  small = jnp.concatenate([small, 4.0 * jnp.diff(small, axis=1)], axis=1)
  return jnp.transpose(small, (0, 2, 4, 1, 3, 5, 6)).reshape(batch, y, x, -1)


def loss(
  model: InverseDynamics,
  batch: Mapping[str, Array],
  key: PrngKey,
  *,
  names: Sequence[str],
  copy: Callable[[Array], Array] | None = None,
) -> tuple[Float[Array, ''], Metrics]:
  """Cross-entropy of all heads, in nats, and the accuracy of each.

  Args:
    model: the net.
    batch: `frames` uint8 [B, T, Y, X, 3], chunks with the frame before, and
      `controls` uint8 [B, T, K], what was held while each was made.
    key: of the augmentation.
    names: of the columns of the controls.
    copy: frames to frames in [-1, 1], as the VAE gives them back; it is done
      to a sixth of the batch (it is most of the cost), and a third is blurred.
  """
  # Parts of a batch have no layout of their own: every device sees it whole.
  frames = _floating(sharding.place(batch['frames']))
  held = sharding.place(batch['controls'])
  truth = controls.answers(held, names, frames.shape[1] - 1)[:, 0]
  frames, mirrored = _augmented(frames, key, copy)
  total, metrics = jnp.float32(0), {}
  for place, (name, logits) in enumerate(model(frames).items()):
    answer = truth[:, place]
    if name in _MIRRORED:
      answer = jnp.where(mirrored, 2 - answer, answer)
    chosen = jax.nn.one_hot(answer, logits.shape[-1])
    total -= jnp.mean(jnp.sum(chosen * jax.nn.log_softmax(logits), axis=-1))
    right = jnp.argmax(logits, axis=-1) == answer
    metrics[f'{name}_accuracy'] = jnp.mean(right.astype(jnp.float32))
  return total, metrics


def _augmented(
  frames: Float[Array, 'B T Y X 3'],
  key: PrngKey,
  copy: Callable[[Array], Array] | None,
) -> tuple[Float[Array, 'B T Y X 3'], Bool[Array, 'B']]:
  """Frames copied or blurred, lit, grained, and some mirrored: which ones."""
  mirror_key, blur_key, light_key, grain_key = jax.random.split(key, 4)
  sixth, half = len(frames) // 6, len(frames) // 2
  copied, plain = frames[:sixth], frames[half:]
  if copy is not None:
    copied = copy(copied)
  blurred = _blurred(frames[sixth:half], blur_key)
  frames = _lit(jnp.concatenate([copied, blurred, plain]), light_key)
  # One grain for the whole batch: drawing it for each would be the whole cost.
  frames += 0.03 * jax.random.normal(grain_key, frames.shape[1:])
  mirrored = jax.random.bernoulli(mirror_key, 0.5, (len(frames),))
  flipped = jnp.flip(frames, axis=3)
  pick = mirrored[:, None, None, None, None]
  return jnp.where(pick, flipped, frames), mirrored


def _blurred(
  frames: Float[Array, 'B T Y X 3'], key: PrngKey
) -> Float[Array, 'B T Y X 3']:
  """Frames drawn towards a picture of half the size, each chunk as it may."""
  amount = jax.random.uniform(key, (len(frames), 1, 1, 1, 1))
  *lead, height, width, colours = frames.shape
  soft = frames.reshape(*lead, height // 2, 2, width // 2, 2, colours)
  soft = jax.image.resize(soft.mean(axis=(-4, -2)), frames.shape, 'linear')
  return frames + amount * (soft - frames)


def _lit(
  frames: Float[Array, 'B T Y X 3'], key: PrngKey
) -> Float[Array, 'B T Y X 3']:
  """Frames a little brighter or darker, of more or less contrast."""
  light, contrast = jax.random.uniform(
    key, (2, len(frames), 1, 1, 1, 1), minval=-0.15, maxval=0.15
  )
  return frames * (1 + contrast) + light


def read(
  model: InverseDynamics,
  frames: UInt8[np.ndarray, 'B S Y X 3'],
  batch: int = 128,
) -> dict[str, Float[np.ndarray, 'B _']]:
  """Log-probabilities of every head for chunks, however many."""
  return _of_all(_believed, model, frames, batch)


def features(
  model: InverseDynamics,
  frames: UInt8[np.ndarray, 'B S Y X 3'],
  batch: int = 128,
) -> Float[np.ndarray, 'B F']:
  """What the net knows of chunks, however many: activations, float32.

  Those that its last layer reads, `F = config.hidden`: of a net trained on one
  world they tell its films apart by what happens in them. No other net has
  comparable ones.
  """
  return _of_all(_felt, model, frames, batch)


def _of_all(
  known: Callable[..., Any],
  model: InverseDynamics,
  frames: UInt8[np.ndarray, 'B S Y X 3'],
  batch: int,
) -> Any:
  """What is known of each chunk, as NumPy arrays, from batches of one size."""
  parts = []
  for start in range(0, max(1, len(frames)), batch):
    some = frames[start : start + batch]
    # One shape, one program: the last batch is filled up.
    full = np.zeros((batch, *frames.shape[1:]), np.uint8)
    full[: len(some)] = some
    parts.append(known(model, full))
  return jax.tree.map(lambda *rows: np.concatenate(rows)[: len(frames)], *parts)


@jax.jit
def _believed(
  model: InverseDynamics, frames: UInt8[Array, 'B S Y X 3']
) -> dict[str, Float[Array, 'B _']]:
  logits = model(_floating(frames))
  return {name: jax.nn.log_softmax(each) for name, each in logits.items()}


@jax.jit
def _felt(
  model: InverseDynamics, frames: UInt8[Array, 'B S Y X 3']
) -> Float[Array, 'B F']:
  return model.features(_floating(frames))


def _floating(frames: UInt8[Array, '...']) -> Float[Array, '...']:
  """Colours in [-1, 1]."""
  return frames.astype(jnp.float32) / 127.5 - 1.0
