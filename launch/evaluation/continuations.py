"""How near filmed chunks come to the real ones of the same time.

Of some held-out clips, from their first frame on, every chunk is filmed once
more after its real past and under its real words (`evaluate.continuation`), by
as many steps as stories are, without guidance. PSNR, SSIM and MS-SSIM compare
its frames with the real chunk as the VAE shows it: what the VAE loses is not
the model's, and its own PSNR on film stands beside them. Below lies a picture
that stands still: the last frame before the chunk, again.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import pathlib
from typing import Any, NamedTuple

from flax import nnx
import jax
from jaxtyping import UInt8
import numpy as np

from configs import schema
from data_pipelines import latents as latents_data
from data_pipelines import pack
from data_pipelines import stories as stories_lib
from data_pipelines import stream
from launch import sheet
from launch.evaluation import judge
from launch.evaluation import sums as sums_lib
from tv2tv_jax import sharding
from tv2tv_jax.evaluate import continuation
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.interleave import tokens
from tv2tv_jax.nn import conv
from tv2tv_jax.train import vae_folder
from tv2tv_jax.vae import latents as latents_lib
from tv2tv_jax.vae import program
from tv2tv_jax.vae import vae as vae_lib

_SHOWN = 4  # clips on a sheet

Frames = UInt8[np.ndarray, 'B T Y X 3']


class Filmed(NamedTuple):
  """What came of it.

  Attributes:
    figures: means over all frames of all chunks: `psnr` in dB, `ssim` and
      `ms_ssim`, and of the picture that stands still, `still/psnr` and so on.
    curves: the same of each frame of a clip, from the second on; None where no
      clip is so long.
    rows: some clips for a sheet; on the leading process.
  """

  figures: Mapping[str, float]
  curves: Mapping[str, list[float | None]]
  rows: list[sheet.Row]


class Continuations:
  """Films the beginnings of some held-out clips again and again."""

  def __init__(
    self,
    run: schema.StoryRun,
    vae: pathlib.Path,
    clips: Sequence[latents_data.Clips],
    *,
    special: tokens.SpecialTokens,
    batch: int,
    count: int,
  ):
    """Reads the VAE; compiles nothing yet.

    Args:
      run: says how rows are laid out and in how many steps chunks are filmed.
      vae: its folder.
      clips: held-out clips.
      special: the tokenizer's tokens that are no words.
      batch: rows at once, over all processes.
      count: of clips, at most; spread over all there are, not chosen by look.
    """
    config = dataclasses.replace(run.data, pack=False, batch=batch)
    self._clips, self._batch = clips, batch
    rows = _beginnings(clips, config, count)
    padding = [()] * (-len(rows) % batch)
    share = stream.Share.of(sharding.rows_here(batch), batch)
    self._mine = stream.Mine([*rows, *padding], batch, share)
    self._reader = stories_lib.Reader(
      clips, config, special=special, span=run.model.span
    )
    statistics, _ = latents_lib.load(vae / vae_folder.LATENTS)
    self._decoder = _Decoder(vae_folder.restored(vae), statistics)
    self._film = jax.jit(_filmer(run, stories_lib.plan(config)))
    self._chunks, self._step = config.chunks, clips[0].metadata.chunk_frames
    self._still: sums_lib.Sums | None = None  # The same every time.

  def __len__(self) -> int:
    """Batches of each time."""
    return len(self._mine)

  def __call__(
    self, model: nnx.Module, watch: Callable[[], None] = lambda: None
  ) -> Filmed:
    """Films with a model.

    Args:
      model: the model.
      watch: called after every batch.
    """
    again, still, shown = self._sums(), self._sums(), []
    for number in range(len(self._mine)):
      rows = self._mine[number]
      held = self._reader.batch(rows)
      first = np.int32(number * self._batch)
      batch = sharding.put_batch(held)
      filmed = self._film(model, batch, first)
      there = held['chunk_story'] >= 0
      before, lasts = None, []
      for chunk in range(there.shape[1]):
        real, copy = self._decoder(batch['latents'], filmed, chunk)
        if before is None:  # The starting frame is given.
          copy = real
        else:
          counted = there[:, chunk]
          again.add(chunk, copy[counted], real[counted])
          if self._still is None:
            stood = np.broadcast_to(before, real.shape)
            still.add(chunk, stood[counted], real[counted])
        before = real[:, -1:]
        lasts.append((real[:, -1], copy[:, -1]))
      shown += self._shown(rows, lasts) if len(shown) < _SHOWN else []
      watch()
    again.gather()
    if self._still is None:
      still.gather()
      self._still = still
    return Filmed(
      {**again.means(), **self._still.means('still/')},
      {**again.curves(), **self._still.curves('still/')},
      shown[:_SHOWN],
    )

  def _sums(self) -> sums_lib.Sums:
    """Nothing yet, of each chunk and each frame of it."""
    return sums_lib.Sums(self._chunks, self._step)

  def _shown(
    self, rows: Sequence[pack.Row], lasts: Sequence[tuple[np.ndarray, ...]]
  ) -> list[sheet.Row]:
    """Clips of a batch, real above filmed; none where another leads."""
    if not sharding.leads():
      return []
    found = []
    for place, windows in enumerate(rows[:_SHOWN]):
      for window in windows:
        clips = self._clips[window.source]
        clip, step = clips[window.clip], clips.metadata.chunk_frames
        shots = [
          sheet.Shot(
            np.concatenate([real[place], copy[place]]),
            chunk * step / clips.metadata.rate,
            [clip.words[chunk]],
          )
          for chunk, (real, copy) in enumerate(lasts[: window.chunks])
        ]
        title = (
          f'{clip.take} from {clip.start:.1f} s. Above: the film, as the VAE '
          'shows it. Below: each chunk filmed again after the film before it'
        )
        found.append(sheet.Row(title, shots))
    return found


def _beginnings(
  clips: Sequence[latents_data.Clips],
  config: stories_lib.StoriesConfig,
  count: int,
) -> list[pack.Row]:
  """Rows that begin with the first frame of a clip, spread over datasets."""
  found = []
  for source, each in enumerate(clips):
    rows = stories_lib.rows(each, config, source=source)
    share = min(len(rows), -(-count // len(clips)))
    for index in np.linspace(0, len(rows) - 1, share).round().astype(int):
      # Windows of a clip stand in order: its first one is so many rows before.
      (window,) = rows[int(index)]
      found.append(rows[int(index) - window.offset // config.chunks])
  return [row for row in dict.fromkeys(found) if row[0].chunks > 1]


def _filmer(run: schema.StoryRun, plan: Any) -> Callable[..., jax.Array]:
  """Films all chunks of a batch; a row's noise is its own."""

  def film(model, batch, first):
    row = story_lib.Row(**{name: batch[name] for name in story_lib.Row._fields})
    latents = batch['latents'].astype(np.float32)
    keys = judge.keys_of_rows(jax.random.key(1), first, len(latents))
    shape = latents.shape[1:]
    noise = jax.vmap(lambda key: jax.random.normal(key, shape))(keys)
    return continuation.filmed(
      model, row, latents, noise, steps=run.sample.steps, plan=plan
    )

  return film


class _Decoder:
  """The frames of real chunks, and of others in their place, one by one."""

  def __init__(
    self, vae: vae_lib.Vae, statistics: latents_lib.LatentStatistics
  ):
    self._vae, self._past = vae, None

    def chunk_of(latents, chunk):
      one = jax.lax.dynamic_slice_in_dim(latents, chunk, 1, axis=1)
      return latents_lib.restore(one.astype(np.float32), statistics)

    def decode(vae, real, other, chunk, past):
      frames, new = vae.decode(chunk_of(real, chunk), past)
      others, _ = vae.decode(chunk_of(other, chunk), past)
      return frames, others, new

    self._decode = jax.jit(decode, compiler_options=conv.compiler_options())

  def __call__(
    self, real: jax.Array, other: jax.Array, chunk: int
  ) -> tuple[Frames, Frames]:
    """This process's rows of a chunk; chunks come in order, from 0.

    Args:
      real: normalised latents of a batch `B N Y X Z`, which are the past.
      other: what is decoded after that past too.
      chunk: which of the N.
    """
    past = self._past if chunk else None
    frames, others, self._past = self._decode(
      self._vae, real, other, np.int32(chunk), past
    )
    return program.to_uint8(_here(frames)), program.to_uint8(_here(others))


def _here(rows: jax.Array) -> np.ndarray:
  """The rows of a batch that this process holds, in order."""
  parts = {
    shard.index[0].start or 0: shard.data for shard in rows.addressable_shards
  }
  return np.concatenate([np.asarray(parts[begin]) for begin in sorted(parts)])
