"""A stream of chunks gives what the whole clip gives, in flat memory."""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.vae import small
from tv2tv_jax import sharding
from tv2tv_jax.nn import conv
from tv2tv_jax.vae import program
from tv2tv_jax.vae import stream as stream_lib
from tv2tv_jax.vae import vae as vae_lib

_COMPILED = '/jax/core/compile/backend_compile_duration'
_FAMILIES = pytest.mark.parametrize(
  'config', (small.FOLDS, small.WAN, small.COSMOS), ids=lambda c: c.family
)
_vae = functools.cache(small.new)


@pytest.fixture(scope='module', autouse=True)
def _compiled_fast():
  """Programs of this file run for milliseconds: compiling them is all."""
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@functools.cache
def _stream(config: vae_lib.VaeConfig, piece: int) -> stream_lib.Stream:
  return stream_lib.Stream(_vae(config), piece=piece)


def _clip(frames: int, batch: int = 1) -> np.ndarray:
  rng = np.random.default_rng(1)
  shape = (batch, frames, 16, 24, 3)
  return rng.uniform(-1, 1, shape).astype(np.float32)


def _chunks(values: np.ndarray, lengths: tuple[int, ...]):
  """Chunks of these lengths, again and again."""
  at = number = 0
  while at < values.shape[1]:
    length = lengths[number % len(lengths)]
    yield values[:, at : at + length]
    at, number = at + length, number + 1


@pytest.fixture
def compilations():
  """How often a program was compiled, as a list of seconds."""
  conv.compiler_options()  # Compiles a program of its own, once.
  seconds = []

  def listen(event, duration, **_):
    if event == _COMPILED:
      seconds.append(duration)

  jax.monitoring.register_event_duration_secs_listener(listen)
  yield seconds
  jax.monitoring.unregister_event_duration_listener(listen)


@_FAMILIES
def test_any_chunks_give_the_whole_clip_by_one_program(config, compilations):
  vae, frames = _vae(config), _clip(17, batch=2)
  stream = _stream(config, 2)
  compilations.clear()
  means = stream.means(frames)
  assert len(compilations) == 1
  pictures = stream.frames(means)
  assert len(compilations) == 2
  for lengths in ((1, 4), (3, 0, 7, 2), (1,)):
    parts = list(stream.encode(_chunks(frames, lengths)))
    assert len(parts) == 3  # The first, and two by two.
    np.testing.assert_array_equal(np.concatenate(parts, 1), means)
    parts = list(stream.decode(_chunks(means, lengths)))
    np.testing.assert_array_equal(np.concatenate(parts, 1), pictures)
  short = stream.means(frames[:, :13])  # The last piece is filled up.
  np.testing.assert_array_equal(short, means[:, :4])
  np.testing.assert_array_equal(stream.frames(short), pictures[:, :13])
  for count in (65, 257):
    long = np.concatenate([frames] * 16, 1)[:, :count]
    latents = stream.means(long)
    assert latents.shape[1] == 1 + count // 4
    assert stream.frames(latents).shape == long.shape
  assert len(compilations) == 2
  assert stream.encoder.compile_seconds >= compilations[0]

  whole = jax.jit(lambda x: vae.encode(x)[0].mean)(frames)
  np.testing.assert_allclose(means, whole, atol=1e-5)
  whole = jax.jit(lambda z: jnp.clip(vae.decode(z)[0], -1, 1))(means)
  np.testing.assert_allclose(pictures, whole, atol=1e-5)


def test_pieces_of_any_length_give_the_same():
  frames = _clip(17, batch=2)
  one, two = (_stream(small.FOLDS, piece) for piece in (1, 2))
  means = two.means(frames)
  np.testing.assert_allclose(one.means(frames), means, atol=1e-5)
  np.testing.assert_allclose(one.frames(means), two.frames(means), atol=1e-5)


def test_values_come_as_soon_as_they_are_known():
  stream, read = _stream(small.FOLDS, 1), 0

  def film():
    nonlocal read
    for at in range(9):
      read += 1
      yield _clip(9)[:, at : at + 1]

  pictures = stream.decode(stream.encode(film()))
  assert next(pictures).shape == (1, 1, 16, 24, 3)
  assert read == 1
  assert next(pictures).shape == (1, 4, 16, 24, 3)
  assert read == 5


def test_bytes_are_pixels():
  stream = _stream(small.FOLDS, 1)
  frames = np.random.default_rng(0).integers(0, 256, (1, 5, 16, 24, 3))
  frames = frames.astype(np.uint8)
  floats = frames.astype(np.float32) / 127.5 - 1.0
  np.testing.assert_allclose(
    stream.means(frames), stream.means(floats), atol=1e-6
  )


def test_half_precision_is_near():
  frames, full = _clip(9), _stream(small.FOLDS, 1)
  half = stream_lib.Stream(_vae(small.FOLDS), dtype=jnp.bfloat16)
  means = full.means(frames)
  assert half.means(frames).dtype == np.float32
  np.testing.assert_allclose(half.means(frames), means, atol=0.1)
  np.testing.assert_allclose(half.frames(means), full.frames(means), atol=0.1)


@_FAMILIES
def test_the_past_stays_what_it_is(config):
  """In half precision too, or a piece would not follow the first frame."""
  for step, shape in (
    (program.encoded, (1, 8, 16, 16, 3)),
    (program.decoded, (1, 2, 2, 2, 16)),
  ):

    def run(vae, piece, step=step):
      values, first = step(vae, piece, None, jnp.bfloat16)
      again, later = step(vae, piece, first, jnp.bfloat16)
      return (values, first), (again, later)

    piece = jax.ShapeDtypeStruct(shape, np.float32)
    first, later = jax.eval_shape(run, _vae(config), piece)
    assert first == later


def test_a_mesh_changes_nothing():
  frames, config = _clip(9, batch=8), small.FOLDS
  plain = _stream(config, 2)
  means = plain.means(frames)
  with jax.set_mesh(sharding.make_mesh((4, 2, 1))):
    stream = stream_lib.Stream(small.new(config), piece=2)
    np.testing.assert_allclose(stream.means(frames), means, atol=1e-5)
    pictures = stream.frames(means)
    few = stream.means(frames[:3])  # They cannot be split.
  np.testing.assert_allclose(pictures, plain.frames(means), atol=1e-5)
  np.testing.assert_allclose(few, means[:3], atol=1e-5)


def _with(at: tuple[int, ...], value: float) -> np.ndarray:
  frames = _clip(9)
  frames[at] = value
  return frames


def test_what_does_not_fit_is_named():
  stream, clip = _stream(small.FOLDS, 1), _clip(9)

  def refused(complaint, *chunks):
    with pytest.raises(ValueError, match=complaint):
      list(stream.encode(chunks))

  refused('the clip has no frames')
  refused('the clip has no frames', clip[:, :0])
  refused(r'has 8 frames: give 1 \+ 4n frames', clip[:, :8])
  refused('frame 7 has NaN: give', clip[:, :5], _with((0, 7), np.nan)[:, 5:])
  refused(r'frame 2 has 1.5: give values in \[-1, 1\]', _with((0, 2, 3), 1.5))
  refused('frame 6 has -inf: give', _with((0, 6, 3), -np.inf))
  refused('frame 5 begins a chunk', clip[:, :5], clip[:, 5:, :, :16])
  refused('frame 1 begins a chunk', clip[:, :1], clip.astype(np.float64))
  refused('frames are int64: give float32', clip.astype(int))
  refused('frames of 22 x 16', clip[:, :, :, :22])
  refused('frames have 2 channels: give 3', clip[..., :2])
  refused(r'frames are \(9, 16, 24, 3\): give \[B, T, Y, X, C\]', clip[0])
  with pytest.raises(ValueError, match='has 8 frames: give 1'):
    stream.means(clip[:, :8])
  latents = np.zeros((1, 2, 2, 3, 16), np.float32)
  for wrong, complaint in (
    (latents[:, :0], 'the clip has no latents'),
    (latents[..., :3], 'latents are'),
    (latents + np.nan, 'latent 0 has NaN: give finite values'),
  ):
    with pytest.raises(ValueError, match=complaint):
      stream.frames(wrong)
  with pytest.raises(ValueError, match='piece is 0'):
    stream_lib.Stream(_vae(small.FOLDS), piece=0)


_MEASURED = """
import jax
import numpy as np

from tests import memory
from tests.vae import small
from tv2tv_jax.vae import stream

jax.config.update('jax_disable_most_optimizations', True)
stream = stream.Stream(small.new(small.FOLDS), piece=2)
for count in (5, 65):
  latents = (np.zeros((1, 1, 32, 32, 16), np.float32) for _ in range(count))
  frames = sum(part.shape[1] for part in stream.decode(latents))
  print(frames, memory.peak())
"""


def test_memory_does_not_grow_with_a_clip():
  done = subprocess.run(
    [sys.executable, '-c', _MEASURED],
    capture_output=True,
    text=True,
    check=True,
    # Else glibc keeps what was freed, some tens of MB until it settles.
    env=os.environ | {'MALLOC_MMAP_THRESHOLD_': '65536'},
  )
  lines = [line.split() for line in done.stdout.splitlines()]
  assert [int(frames) for frames, _ in lines] == [17, 257]
  short, long = (int(peak) for _, peak in lines)
  # At once, 240 frames more are 189 MB, without all that leads to them.
  assert long - short < 10e6


def test_pixels_round_and_stay_in_range():
  pixels = np.array([-1.4, -1.0, 0.0, 1 / 127.5, 1.0, 1.2])
  assert program.to_uint8(pixels).tolist() == [0, 0, 128, 128, 255, 255]
