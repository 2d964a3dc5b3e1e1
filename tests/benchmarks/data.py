"""How fast data come: latents and film, the first batch, and memory.

  python -m tests.benchmarks.data [--clips 2000] [--batches 10000] [--rounds 5]

The latent path is all of it: read, parse, stories, packing, batches; clips of
9 x 16 x 16 x 16 in float16, 8 rows a batch. The decode path is 33 x 128 x 128,
H.264 with a key frame every 4 frames, beside a plain loop of PyAV over the same
bytes. Rounds go A B A B; the best of them counts, and the median is beside it.
"""

import argparse
from collections.abc import Callable
import io
import pathlib
import subprocess
import sys
import tempfile
import time

import av
import numpy as np

from data_pipelines import corpus
from data_pipelines import latents
from data_pipelines import pipeline
from data_pipelines import records
from data_pipelines import stories
from data_pipelines import stream as stream_lib
from data_pipelines.prepare import dataset
from data_pipelines.prepare import encoding
from data_pipelines.prepare import takes as takes_lib
from data_pipelines.sources import source
from tv2tv_jax.interleave import tokens

_SHAPE = (9, 16, 16, 16)
_SPECIAL = tokens.SpecialTokens(pad=0, bos=1, eos=2, bof=3, eof=4)
_FILM = (33, 128, 128)
_BATCH = 8
_FIRST = """
import pathlib, sys
from tests.benchmarks import data
next(data.latent_stream(pathlib.Path(sys.argv[1]), pack=False))
"""


def write_latents(out: pathlib.Path, count: int) -> None:
  """A dataset of so many clips of noise, with some words."""
  rng = np.random.default_rng(0)
  metadata = latents.Metadata(
    fingerprint='vae',
    tokenizer='words',
    dtype='float16',
    mean=(0.0,) * _SHAPE[3],
    std=(1.0,) * _SHAPE[3],
    rate=16.0,
    chunk_frames=4,
    chunks=_SHAPE[0],
  )

  def clip(number: int) -> latents.Clip:
    ids = [(), *(tuple(range(9, 9 + n)) for n in rng.integers(0, 8, 8))]
    return latents.Clip(
      latents=rng.standard_normal(_SHAPE, np.float32),
      words=('',) * _SHAPE[0],
      prompt='noise',
      start=0.0,
      ended=number % 4 == 0,
      take=f'take-{number}',
      word_ids=tuple(ids),
      prompt_ids=(7, 8),
    )

  job = encoding.Job(out, metadata, {}, {'train': count}, count)
  job.begin()
  for piece in job.pieces:
    job.write(piece, map(clip, piece.takes))
  job.join()


def write_film(out: pathlib.Path, count: int) -> None:
  """A dataset of so many takes of shades that move, one clip each."""
  rng = np.random.default_rng(0)
  rows, columns = np.mgrid[: _FILM[1], : _FILM[2]]

  def film(number: int) -> source.Film:
    waves = rng.uniform(-0.2, 0.2, (3, 3))
    times = np.arange(_FILM[0])[:, None, None, None]
    phase = waves[:, 0] * rows[..., None] + waves[:, 1] * columns[..., None]
    frames = 127 + 100 * np.sin(phase + 3 * waves[:, 2] * times)
    frames += rng.normal(0, 4, frames.shape)
    return source.Film(
      name=f'take-{number}',
      frames=frames.clip(0, 255).astype(np.uint8),
      rate=16.0,
      segments=(),
      origin='shades',
    )

  dataset.begin(out, {})
  piece = dataset.partial(out) / 'all.array_record'
  stored = (takes_lib.stored(film(i), 'shades').record for i in range(count))
  dataset.write_piece(piece, records.features(), stored)
  dataset.finish(
    out,
    'shades',
    records.features(),
    {'train': [piece]},
    version=records.VERSION,
    description='Shades that move.',
    extra={},
  )


def latent_stream(folder: pathlib.Path, *, pack: bool) -> stream_lib.Stream:
  """Batches of rows: one clip each, or two."""
  rows = 1 + pack
  config = stories.StoriesConfig(
    chunks=_SHAPE[0] * rows, text_length=96 * rows, batch=_BATCH, pack=pack
  )
  return corpus.Corpus([folder], config, special=_SPECIAL, span=64).train(
    seed=0
  )


def film_stream(folder: pathlib.Path) -> stream_lib.Stream:
  """Batches of clips, each decoded when it is asked for."""
  clips = pipeline.ClipSource(folder, 'train', frames=_FILM[0], memory=0)
  return stream_lib.Stream(pipeline.batches(clips, _BATCH, 0))


def plain_loop(videos: list[bytes]) -> None:
  """Decodes with PyAV and nothing else."""
  for video in videos:
    with av.open(io.BytesIO(video)) as container:
      container.streams.video[0].codec_context.thread_count = 1
      frames = container.decode(video=0)
      np.stack([frame.to_ndarray(format='rgb24') for frame in frames])


def drawn(stream: stream_lib.Stream, batches: int) -> Callable[[], None]:
  """A run that draws so many batches."""

  def run() -> None:
    for _ in range(batches):
      next(stream)

  return run


def rates(runs: dict[str, tuple[int, Callable]], rounds: int) -> None:
  """Prints clips a second of each, run in turn."""
  seconds = {name: [] for name in runs}
  for _, run in runs.values():
    run()
  for _ in range(rounds):
    for name, (_, run) in runs.items():
      begin = time.perf_counter()
      run()
      seconds[name].append(time.perf_counter() - begin)
  for name, (clips, _) in runs.items():
    best, median = clips / min(seconds[name]), clips / np.median(seconds[name])
    print(f'{name:28} {best:8,.0f} clips/s at best, {median:8,.0f} in median')


def first_batch(folder: pathlib.Path) -> None:
  """Prints how long a new process takes, imports and all."""
  seconds = []
  for _ in range(3):
    begin = time.perf_counter()
    subprocess.run([sys.executable, '-c', _FIRST, str(folder)], check=True)
    seconds.append(time.perf_counter() - begin)
  print(
    f'first batch of a new process {min(seconds):.2f} s at best, '
    f'{max(seconds):.2f} at worst'
  )


def resident() -> float:
  """MiB of memory that this process holds."""
  status = pathlib.Path('/proc/self/status').read_text()
  return int(status.split('VmRSS:')[1].split()[0]) / 1024


def memory(stream: stream_lib.Stream, batches: int) -> None:
  """Prints memory after the first tenth of the batches, and after all."""
  drawn(stream, batches // 10)()
  begin = resident()
  drawn(stream, batches - batches // 10)()
  end = resident()
  print(
    f'memory after {batches // 10:,} batches {begin:.0f} MiB, after '
    f'{batches:,} {end:.0f} MiB: {end / begin - 1:+.1%}'
  )


def main() -> None:
  """Writes the datasets, then measures."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--clips', type=int, default=2000)
  parser.add_argument('--batches', type=int, default=10_000)
  parser.add_argument('--rounds', type=int, default=5)
  arguments = parser.parse_args()
  with tempfile.TemporaryDirectory() as folder:
    held, film = pathlib.Path(folder, 'latents'), pathlib.Path(folder, 'film')
    write_latents(held, arguments.clips)
    write_film(film, 64)
    first_batch(held)
    runs = {
      f'latents, {name}': (
        100 * _BATCH * (1 + pack),
        drawn(latent_stream(held, pack=pack), 100),
      )
      for name, pack in (('a clip a row', False), ('packed', True))
    }
    rates(runs, arguments.rounds)
    videos = [take.video for take in records.Takes(film, 'train')]
    runs = {
      'film': (64, drawn(film_stream(film), 64 // _BATCH)),
      'film, plain loop of PyAV': (64, lambda: plain_loop(videos)),
    }
    rates(runs, arguments.rounds)
    memory(latent_stream(held, pack=True), arguments.batches)


if __name__ == '__main__':
  main()
