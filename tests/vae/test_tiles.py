"""Tiles cover a picture without a seam, in the memory they were given."""

import jax
import numpy as np
import pytest

from tests.vae import small
from tv2tv_jax.vae import folds
from tv2tv_jax.vae import grid as grid_lib
from tv2tv_jax.vae import program
from tv2tv_jax.vae import stream as stream_lib
from tv2tv_jax.vae import tiles as tiles_lib
from tv2tv_jax.vae import wan

# A pixel of the latents sees one to each side, a frame's one and a half.
NEAR = folds.FoldsConfig(
  encoder_widths=(8,),
  encoder_depths=(0,),
  decoder_widths=(8, 8),
  decoder_depths=(0, 0),
)
SMALL_WAN = wan.WanConfig(
  width=8,
  decoder_width=8,
  multiples=(1, 1),
  halves_time=(True,),
  blocks=1,
  lowering='volume',
)
_GIB = 1 << 30


@pytest.fixture(scope='module', autouse=True)
def _compiled_fast():
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


class _Linear(program.Program):
  """A program that needs a byte for each pixel of a tile, and 100 more."""

  def __init__(self):
    self.asked, self.kept = [], set()

  def memory(self, shape, dtype):
    self.asked.append(shape)
    self.kept.add(shape)
    return 100 + shape[2] * shape[3]

  def forget(self, shape, dtype):
    self.kept.remove(shape)

  def __call__(self, piece, past=None):
    """Each frame, twice as large, plus those before it."""
    before = np.zeros(()) if past is None else past
    after = before + piece.sum(axis=1)
    return np.repeat(np.repeat(piece + before, 2, axis=2), 2, axis=3), after


def _clip(rows, columns):
  rng = np.random.default_rng(1)
  return rng.uniform(-1, 1, (1, 9, rows, columns, 3)).astype(np.float32)


def _tiles(fake, bytes_, overlap, before=(1, 1), after=(2, 2)):
  config = tiles_lib.TileConfig(memory=bytes_ / _GIB, overlap=overlap)
  return tiles_lib.Tiles(fake, config, before, after)


@pytest.mark.parametrize('length', [1, 7, 8, 23, 60, 104])
@pytest.mark.parametrize('overlap', [0, 1, 4, 9])
def test_shares_sum_to_one(length, overlap):
  counts = []
  for side in grid_lib.tilings(length, overlap):
    counts.append(len(side.starts))
    assert side.starts[0] == 0
    assert side.end == length
    assert side.size >= min(length, max(8, 2 * overlap))
    steps = np.diff(side.starts)
    assert np.all(steps >= 0) and np.all(steps <= side.size - overlap)
    for scale in (1, 8):
      shares = grid_lib.shares(side, scale)
      assert np.all(shares >= 0)
      total = np.zeros(length * scale)
      for cut in grid_lib.cuts(side, 1, scale):
        total[cut.after] += cut.share
      np.testing.assert_allclose(total, 1.0, atol=1e-6)
  assert counts == list(range(1, len(counts) + 1))


def test_the_outer_quarter_of_an_overlap_counts_nothing():
  side = grid_lib.Side((0, 8), 16)
  first, second = grid_lib.shares(side, 1)
  np.testing.assert_allclose(first, second[::-1])
  ramp = [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]
  np.testing.assert_allclose(second, [*ramp, *[1] * 8], atol=1e-6)


def test_the_least_work_that_fits_is_chosen_after_few_questions():
  for bytes_ in (356, 500, 900, 2000, 4100, 10**5):
    fake = _Linear()
    tiles = _tiles(fake, bytes_, overlap=8, after=(1, 1))
    shape = (1, 1, 60, 104, 1)
    chosen = tiles.grid(shape, np.float32)
    fitting = [
      grid_lib.Grid(rows, columns)
      for rows in grid_lib.tilings(60, 8)
      for columns in grid_lib.tilings(104, 8)
      if 100 + rows.size * columns.size <= bytes_
    ]
    assert chosen.work == min(grid.work for grid in fitting)
    assert tiles.memory(shape, np.float32) <= bytes_
    assert len(set(fake.asked)) <= 4
    assert len(fake.kept) == 1
  with pytest.raises(ValueError, match=r'tile of 16 x 16 fits .* 356 bytes'):
    _tiles(_Linear(), 355, 8, after=(1, 1)).grid(shape, np.float32)


def test_each_tile_has_its_own_past():
  rng = np.random.default_rng(0)
  one, two = rng.normal(size=(2, 1, 3, 40, 30, 2)).astype(np.float32)
  tiles, whole = _tiles(_Linear(), 500, overlap=4), _Linear()
  assert tiles.grid(one.shape, one.dtype).count > 3
  past = after = None
  for piece in (one, two):
    tiled, past = tiles(piece, past)
    values, after = whole(piece, after)
    np.testing.assert_allclose(tiled, values, atol=1e-5)


def test_a_picture_that_fits_is_one_tile():
  vae, frames = small.new(NEAR), _clip(64, 96)
  plain = stream_lib.Stream(vae)
  tiled = tiles_lib.stream(vae, tiles_lib.TileConfig(memory=1.0))
  means = plain.means(frames)
  np.testing.assert_array_equal(tiled.means(frames), means)
  np.testing.assert_array_equal(tiled.frames(means), plain.frames(means))


def test_tiles_stream_as_the_whole_does_in_bounded_memory():
  vae, frames = small.new(NEAR), _clip(192, 160)
  plain = stream_lib.Stream(vae)
  means = plain.means(frames)
  shapes = (frames[:, :4].shape, means[:, :1].shape)
  programs = (plain.encoder, plain.decoder)
  bound = 0.8 * min(
    each.memory(shape, np.float32)
    for each, shape in zip(programs, shapes, strict=True)
  )
  tiled = tiles_lib.stream(
    vae, tiles_lib.TileConfig(memory=bound / _GIB, overlap=48)
  )
  np.testing.assert_allclose(tiled.means(frames), means, atol=1e-5)
  pictures = tiled.frames(means)
  np.testing.assert_allclose(pictures, plain.frames(means), atol=1e-5)
  for each, shape in zip((tiled.encoder, tiled.decoder), shapes, strict=True):
    assert each.grid(shape, np.float32).count > 1
    assert each.memory(shape, np.float32) <= bound
  seconds = tiled.decoder.compile_seconds
  chunks = (means[:, at : at + 1] for at in range(3))
  parts = np.concatenate(list(tiled.decode(chunks)), 1)
  np.testing.assert_array_equal(parts, pictures)
  assert tiled.decoder.compile_seconds == seconds > 0.0
  with pytest.raises(ValueError, match='frames of 156 x 192'):
    tiled.means(frames[:, :, :, :156])


class _ByArea(program.Program):
  """Says its memory without compiling."""

  def memory(self, shape, dtype):
    return shape[2] * shape[3]

  def forget(self, shape, dtype):
    pass


def test_no_seam_where_layers_see_the_whole_picture():
  vae = small.new(SMALL_WAN)
  rng = np.random.default_rng(0)
  latents = rng.normal(size=(1, 1, 32, 48, 16)).astype(np.float32)
  decoder = _ByArea(vae, program.decoded, np.float32)
  plain = decoder(latents)[0]

  def jumps(overlap):
    """The error's steps from column to column: at seams, and elsewhere."""
    tiles = _tiles(decoder, 32 * 32, overlap)
    columns = tiles.grid(latents.shape, latents.dtype).columns
    assert len(columns.starts) == 2
    error = tiles(latents)[0] - plain
    assert np.abs(error).max() < (0.1 if overlap else 1.0)
    steps = np.abs(np.diff(error, axis=3)).mean(axis=(0, 1, 2, 4))
    seams = np.array([columns.starts[1], columns.size]) * 2 - 1
    return steps[seams].max(), np.delete(steps, seams).mean()

  at_seams, elsewhere = jumps(32)
  assert at_seams < 2 * elsewhere
  hard, _ = jumps(0)  # What blending is for.
  assert hard > 30 * at_seams


def test_what_cannot_be_is_named():
  with pytest.raises(ValueError, match=r'tiles\.memory is 0'):
    tiles_lib.TileConfig(memory=0.0)
  with pytest.raises(ValueError, match=r'tiles\.overlap is -1'):
    tiles_lib.TileConfig(overlap=-1)
