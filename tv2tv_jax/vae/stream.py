"""Clips of any length through the causal VAE, in memory that does not grow.

A clip is cut into its first frame and pieces of equal length, and one program
runs them all (program.py). What is missing at the end of the last piece repeats
the last frame; the VAE is causal, so what comes before does not change, and
what comes out of the filling is dropped.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
from jaxtyping import Float, UInt8
import numpy as np

from tv2tv_jax.vae import program
from tv2tv_jax.vae import vae as vae_lib

# Frames of uint8, or of floats in [-1, 1].
Frames: TypeAlias = (
  Float[np.ndarray, 'B T Y X C'] | UInt8[np.ndarray, 'B T Y X C']
)
Latents: TypeAlias = Float[np.ndarray, 'B N V U Z']


class Stream:
  """A VAE that takes clips chunk by chunk, however they are cut.

  Under a mesh clips are split along the batch, if its size is a multiple of the
  devices it is split over; else all of them run all of it.

  Attributes:
    encoder: what runs on a piece of frames: (piece, past) to (means, past).
    decoder: what runs on a piece of latents. `tiles.stream` replaces both.
  """

  def __init__(
    self, vae: vae_lib.Vae, *, piece: int = 1, dtype: Any = jnp.float32
  ):
    """Prepares; nothing is compiled before the first clip.

    Args:
      vae: the VAE.
      piece: latents at once. More of them use an accelerator better and need
        more memory; the last piece of a clip is filled up to as many.
      dtype: of the computation.

    Raises:
      ValueError: a piece of no latents.
    """
    if piece < 1:
      raise ValueError(f'piece is {piece}: give 1 latent or more')
    self.config, self.piece = vae.config, piece
    self.encoder = program.Program(vae, program.encoded, dtype)
    self.decoder = program.Program(vae, program.decoded, dtype)

  def encode(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Means float32 [B, n, V, U, Z] of frames, as soon as they are known.

    Args:
      frames: chunks of a clip, uint8 or floats in [-1, 1], [B, t, Y, X, C];
        1 + 4n frames in all (for a time stride of four).

    Raises:
      ValueError: no frames, another number of them, frames that the VAE does
        not take, values that are not finite or not in [-1, 1].
    """
    stride, past, seen = self.config.stride[0], None, 0
    for piece, count in _pieces(self._checked_frames(frames), self._length):
      seen += count
      if past is not None and count % stride:
        raise ValueError(
          f'the clip has {seen} frames: give 1 + {stride}n frames'
        )
      begins = past is None
      means, past = self.encoder(piece, past)
      yield means[:, -1:] if begins else means[:, : count // stride]

  def decode(self, latents: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Frames float32 [B, t, Y, X, C] in [-1, 1], as soon as they are known.

    Args:
      latents: chunks of a clip, floats [B, n, V, U, Z].

    Raises:
      ValueError: no latents, latents that are not the VAE's or not finite.
    """
    stride, past = self.config.stride[0], None
    for piece, count in _pieces(self._checked_latents(latents), self.piece):
      begins = past is None
      frames, past = self.decoder(piece, past)
      yield frames[:, -1:] if begins else frames[:, : count * stride]

  def means(self, frames: Frames) -> Latents:
    """The means of a whole clip of 1 + 4n frames; errors as in `encode`."""
    vae_lib.check_frames(self.config, frames.shape, begins=True)
    return np.concatenate(list(self.encode([frames])), axis=1)

  def frames(self, latents: Latents) -> Float[np.ndarray, 'B T Y X C']:
    """The frames of a whole clip, in [-1, 1]; errors as in `decode`."""
    return np.concatenate(list(self.decode([latents])), axis=1)

  @property
  def _length(self) -> int:
    """Frames of a piece."""
    return self.config.stride[0] * self.piece

  def _checked_frames(self, chunks: Iterable[np.ndarray]):
    """Chunks of frames that the VAE takes, uint8 or float32."""

    def check(shape):
      begun = (shape[0], 1, *shape[2:])
      vae_lib.check_frames(self.config, begun, begins=True)

    return _checked(chunks, _Kind('frame', 1.0, check))

  def _checked_latents(self, chunks: Iterable[np.ndarray]):
    """Chunks of latents that the VAE takes, float32."""
    channels = self.config.latent_channels

    def check(shape):
      if not shape[2] or not shape[3] or shape[-1] != channels:
        raise ValueError(
          f'latents are {shape}: give [B, N, Y, X, {channels}] with N >= 1'
        )

    largest = float(np.finfo(np.float32).max)
    return _checked(chunks, _Kind('latent', largest, check))


class _Kind(NamedTuple):
  """What is said about a chunk, and what is true of it."""

  name: str
  limit: float  # of absolute values
  check: Callable[[tuple[int, ...]], None]


def _checked(chunks: Iterable[np.ndarray], kind: _Kind) -> Iterator[np.ndarray]:
  """Chunks of one clip, float32 or, if they are frames, uint8."""
  seen, like = 0, None
  for chunk in chunks:
    if chunk.ndim != 5:
      raise ValueError(f'{kind.name}s are {chunk.shape}: give [B, T, Y, X, C]')
    kind.check(chunk.shape)
    now = chunk.shape[0], *chunk.shape[2:], chunk.dtype
    like = like or now
    if now != like:
      raise ValueError(
        f'{kind.name} {seen} begins a chunk of (B, Y, X, C, dtype) = {now}, '
        f'those before are {like}: give chunks of one clip'
      )
    if chunk.dtype != np.uint8 or kind.limit != 1.0:
      chunk = _finite(chunk, seen, kind)
    seen += chunk.shape[1]
    yield chunk
  if not seen:
    raise ValueError(f'the clip has no {kind.name}s: give 1 or more')


def _finite(chunk: np.ndarray, seen: int, kind: _Kind) -> np.ndarray:
  """The chunk as float32; ValueError names the first value beyond bounds."""
  if not jnp.issubdtype(chunk.dtype, jnp.floating):
    raise ValueError(f'{kind.name}s are {chunk.dtype}: give float32')
  if not chunk.size or np.abs(chunk).max() <= kind.limit:
    return chunk.astype(np.float32, copy=False)
  bad = ~(np.abs(chunk) <= kind.limit)
  at = int(np.argmax(bad.any(axis=(0, 2, 3, 4))))
  value = float(chunk[:, at][bad[:, at]][0])
  wanted = 'values in [-1, 1]' if kind.limit == 1.0 else 'finite values'
  got = 'NaN' if np.isnan(value) else f'{value:g}'
  raise ValueError(f'{kind.name} {seen + at} has {got}: give {wanted}')


def _pieces(
  chunks: Iterable[np.ndarray], length: int
) -> Iterator[tuple[np.ndarray, int]]:
  """A clip's first frame, then all others, in pieces filled up to `length`.

  With each piece comes how much of it is of the clip.
  """
  held, wanted = [], 1
  for chunk in chunks:
    while chunk.shape[1]:
      missing = wanted - sum(part.shape[1] for part in held)
      held.append(chunk[:, :missing])
      chunk = chunk[:, missing:]
      if held[-1].shape[1] == missing:
        yield _filled(held, length), wanted
        held, wanted = [], length
  if held:
    yield _filled(held, length), sum(part.shape[1] for part in held)


def _filled(parts: list[np.ndarray], length: int) -> np.ndarray:
  """The parts side by side, the last frame repeated up to `length`."""
  missing = length - sum(part.shape[1] for part in parts)
  last = np.repeat(parts[-1][:, -1:], missing, axis=1)
  return np.concatenate([*parts, last], axis=1)
