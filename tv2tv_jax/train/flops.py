"""Floating-point operations that a training step needs, by a formula.

A row has `T` text tokens and `C` chunks of `P` tokens, each chunk twice: clean
and noisy. Operations of its way forward, two for each multiplication:

  text tower     2 T L N                                              (1)
  video tower    2 * 2 C P L N                                        (2)
  attention      4 L H h (T(T+1)/2 + T C P + P^2 C(C+1)/2             (3)
                          + T P (C+1)/2 + P^2 C(C+1)/2)
  words          2 T D V                                              (4)
  frame coder    2 C (2 K_down + K_up)                                (5)

with `L` layers of width `D`, `H` heads of width `h`, `G` heads of keys, a
feed-forward layer of `F`, a vocabulary of `V`, and of one layer and modality

  N = 2 D H h + 2 D G h + 3 D F                                       (6)

Every token passes the tower of its modality only. (3) counts the pairs that may
see each other and no more: of a text token and a clean one exactly one sees the
other, wherever the words stand; a noisy chunk sees the words before it, here
spread evenly over the chunks, the clean chunks before it, and itself. `K` are
the multiplications of the frame coder on one chunk, down to tokens for both
copies and up to a velocity for the noisy one. A window takes pairs from (3).

The way back takes twice the way forward. What is computed again to save memory
does not count, nor do norms, softmax, losses and the optimizer; padding counts
like words and film, for the chip computes it.
"""

from typing import NamedTuple

import numpy as np

from tv2tv_jax.interleave import deal
from tv2tv_jax.mot import tower
from tv2tv_jax.tv2tv import frames as frames_lib
from tv2tv_jax.tv2tv import model as model_lib


class Cost(NamedTuple):
  """What a training step takes.

  Attributes:
    flops: floating-point operations, over all devices.
    tokens: of text and of both copies of every chunk.
  """

  flops: float
  tokens: int


class Forward(NamedTuple):
  """Operations of a way forward, part by part: (1) to (5)."""

  text: float
  video: float
  attention: float
  words: float
  frames: float


def cost(
  config: model_lib.ModelConfig, *, rows: int, chunks: int, text_length: int
) -> Cost:
  """Of one training step of `rows` rows, whatever is computed again."""
  parts = forward(config, chunks=chunks, text_length=text_length)
  tokens = text_length + 2 * chunks * config.frames.tokens
  return Cost(3.0 * rows * sum(parts), rows * tokens)


def forward(
  config: model_lib.ModelConfig, *, chunks: int, text_length: int
) -> Forward:
  """Of one row on its way forward."""
  towers, length = config.towers, chunks * config.frames.tokens
  each = 2.0 * towers.depth * matrices(towers)
  score = 4.0 * towers.depth * towers.heads * towers.head_width
  down, up = _coder(config.frames, towers.width)
  return Forward(
    text=each * text_length,
    video=each * 2 * length,
    attention=score * pairs(config, chunks=chunks, text_length=text_length),
    words=2.0 * text_length * towers.width * config.vocabulary,
    frames=2.0 * chunks * (2 * down + up),
  )


def matrices(config: tower.MotConfig) -> int:
  """(6): the parameters that a token is multiplied by in a layer."""
  attention = 2 * (config.heads + config.key_heads) * config.head_width
  return config.width * (attention + 3 * config.hidden)


def pairs(
  config: model_lib.ModelConfig,
  *,
  chunks: int,
  text_length: int,
  devices: int = 1,
) -> int:
  """Queries and keys of a row that see each other: the bracket of (3).

  The row is one story, in the order of time, with its words spread evenly.

  Args:
    config: of the model.
    chunks: of the row.
    text_length: of the row.
    devices: that share the row, as `interleave/deal` has it; of several, the
      pairs of the one with most.

  Raises:
    ValueError: devices that do not divide words and film.
  """
  tokens, span = config.frames.tokens, config.span
  if text_length % devices or chunks * tokens % devices:
    raise ValueError(
      f'{devices} devices do not divide {text_length} words and '
      f'{chunks * tokens} tokens of film'
    )
  dealt = deal.between(devices, text_length, chunks)
  order = dealt.stretches if dealt else range(devices)
  chunk = np.arange(chunks)
  # Text before each chunk; what stands before chunk c stands after c chunks.
  before = text_length * (chunk + 1) // chunks
  text = np.arange(text_length)
  text = text + span * np.searchsorted(before, text, side='right')
  start = before + span * chunk
  offsets = np.arange(tokens) * (span > 1)
  clean = np.repeat(start, tokens) + np.tile(offsets, chunks)
  keys = np.sort(np.concatenate([text, clean]))

  def seen(horizon: np.ndarray) -> np.ndarray:
    count = np.searchsorted(keys, horizon)
    if window := config.towers.window:
      near = horizon - window
      far = np.minimum(near, config.towers.sink)
      count += np.searchsorted(keys, far) - np.searchsorted(keys, near)
    each = count.reshape(len(order), -1).sum(axis=1)
    return each[list(order)].reshape(devices, -1).sum(axis=1)

  film = seen(np.repeat(start + span, tokens)) + seen(np.repeat(start, tokens))
  itself = chunks * tokens**2 // devices
  return int((seen(text + 1) + film + itself).max())


def _coder(config: frames_lib.FramesConfig, width: int) -> tuple[int, int]:
  """Multiplications of a chunk on the way down, and on the way up."""
  size, features = config.latent, config.time_features
  if config.coder == 'linear':
    matrix = config.patch**2 * size * width * config.tokens
    return matrix + (features + width) * width, matrix
  channels = config.channels
  condition = 2 * channels[0]
  grids = [
    (config.rows // 2**level, config.columns // 2**level)
    for level in range(len(channels))
  ]
  areas = [rows * columns for rows, columns in grids]
  # Multiplications of a 3 x 3 convolution of one channel to one; what falls on
  # the zeros around a picture is none.
  nines = [(3 * rows - 2) * (3 * columns - 2) for rows, columns in grids]
  both = (features + condition) * condition
  for level, (count, area) in enumerate(zip(channels, areas, strict=True)):
    # Two convolutions, and the map that steers between them.
    block = 2 * nines[level] * count**2 + 2 * condition * count
    if level == len(channels) - 1 and config.attention_heads:
      block += 4 * area * count**2 + 2 * area**2 * count
    both += config.blocks[level] * block
  both += areas[-1] * channels[-1] * width
  both += nines[0] * size * channels[0]
  for fine, coarse, area in zip(
    channels[:-1], channels[1:], areas[1:], strict=True
  ):
    # 2 x 2 places become one, or one becomes 2 x 2.
    both += area * 4 * fine * coarse
  # What comes down and what comes up are mixed.
  mixed = zip(areas, channels, strict=True)
  return both, both + sum(2 * area * count**2 for area, count in mixed)
