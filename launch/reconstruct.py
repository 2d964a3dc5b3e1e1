r"""Sends films through a VAE and back, and says what they lost.

  python -m launch.reconstruct --vae FOLDER --videos a.mp4,b.mp4 --out DIR

Films stream through, so they may be of any length; with `--memory GIB` their
pictures may be of any size too, for they are cut into tiles that fit. Without
`--size` the middle of a picture is used, as large as the VAE takes it. Of each
film 1 + 4n frames are used (for a time stride of four), all that there are
unless `--frames` says how many. `--records DATASET` adds the takes of its test
split.

DIR gets report.json (PSNR and SSIM, by frame too; frames per second of encoding
and decoding once compiled; memory; tiles) and for each film a sheet of some
frames, NAME.png, original above reconstruction above their difference, and
NAME.mp4, original beside reconstruction.
"""

import collections
from collections.abc import Iterable, Iterator
import json
import pathlib
import re
import time
from typing import Any, NamedTuple

from absl import flags
import jax.numpy as jnp
import numpy as np
import tqdm

from data_pipelines import film as film_lib
from launch import comparison
from launch import films
from launch import run as run_lib
from tv2tv_jax.train import vae_folder
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.vae import program
from tv2tv_jax.vae import stream as stream_lib
from tv2tv_jax.vae import tiles as tiles_lib

_VAE = flags.DEFINE_string('vae', None, 'Folder of the VAE.')
_VIDEOS = flags.DEFINE_list('videos', [], 'Video files, parted by commas.')
_RECORDS = flags.DEFINE_string(
  'records', None, 'Dataset whose test split is sent through too.'
)
_OUT = flags.DEFINE_string('out', None, 'Folder of what is written.')
_SIZE = flags.DEFINE_string(
  'size', None, 'WIDTHxHEIGHT that films are scaled to, their middle.'
)
_FRAMES = flags.DEFINE_integer(
  'frames', None, 'Of each film; 1 + 4n.', lower_bound=1
)
_MEMORY = flags.DEFINE_float(
  'memory', None, 'GiB of the device for a tile; whole pictures if not given.'
)
_PIECE = flags.DEFINE_integer('piece', 4, 'Latents at once.', lower_bound=1)
_DTYPE = flags.DEFINE_enum(
  'dtype', 'float32', ['float32', 'bfloat16'], 'Of the computation.'
)
flags.mark_flags_as_required(['vae', 'out'])


class Job(NamedTuple):
  """A film, what is seen of it, and what its files are called."""

  film: films.Film
  box: film_lib.Box
  name: str


def main(_) -> None:
  """Sends every film through."""
  folder, out = pathlib.Path(_VAE.value), pathlib.Path(_OUT.value)
  found = [films.video(pathlib.Path(path)) for path in _VIDEOS.value]
  if _RECORDS.value:
    found += films.takes(_RECORDS.value, 'test')
  if not found:
    raise ValueError('no films: give --videos or --records')
  stream = _stream(folder)
  jobs = _jobs(found, stream.config.stride)
  out.mkdir(parents=True, exist_ok=True)
  done = [_reconstructed(stream, job, out) for job in jobs]
  report = {
    'vae': str(folder),
    'piece': _PIECE.value,
    'dtype': _DTYPE.value,
    'memory_gib': _MEMORY.value,
    'films': [about for about, _ in done],
    'total': comparison.figures([compared for _, compared in done]),
    'peak_memory_bytes': run_lib.peak_memory(),
  }
  text = json.dumps(report, indent=2) + '\n'
  workdir_lib.write_whole(out / 'report.json', text)
  print(comparison.table(report))
  print(f'{out / "report.json"}: {len(done)} films')


def _stream(folder: pathlib.Path) -> stream_lib.Stream:
  """The VAE, whole pictures at once or tile by tile."""
  vae = vae_folder.restored(folder)
  options = {'piece': _PIECE.value, 'dtype': jnp.dtype(_DTYPE.value)}
  if _MEMORY.value is None:
    return stream_lib.Stream(vae, **options)
  config = tiles_lib.TileConfig(memory=_MEMORY.value)
  return tiles_lib.stream(vae, config, **options)


def _jobs(found: list[films.Film], stride: tuple[int, ...]) -> list[Job]:
  """What is seen of each film; refuses what the VAE cannot take."""
  time_stride, rows, columns = stride
  if _FRAMES.value and (_FRAMES.value - 1) % time_stride:
    raise ValueError(
      f'--frames is {_FRAMES.value}: give 1 + {time_stride}n frames'
    )
  size = re.fullmatch(r'(\d+)x(\d+)', _SIZE.value or '0x0')
  width, height = map(int, size.groups()) if size else (0, 0)
  if _SIZE.value and (
    not width or not height or width % columns or height % rows
  ):
    raise ValueError(
      f'--size {_SIZE.value!r}: give WIDTHxHEIGHT, multiples of '
      f'{columns}x{rows}'
    )
  jobs, names = [], collections.Counter()
  for film in found:
    if film.count:
      _check_length(film, film.count, time_stride)
    if _SIZE.value:
      box = films.scaled(film, width, height)
    else:
      box = films.cropped(film, rows, columns)
    names[film.name] += 1
    number = names[film.name]
    name = film.name if number == 1 else f'{film.name}_{number}'
    jobs.append(Job(film, box, name))
    if (box.width, box.height) != (film.width, film.height):
      print(
        f'{film.where}: {film.width}x{film.height}, of which the middle is '
        f'seen as {box.width}x{box.height}'
      )
  return jobs


def _check_length(film: films.Film, count: int, stride: int) -> None:
  """ValueError if a film has too few frames."""
  wanted = _FRAMES.value or 1 + stride
  if count < wanted:
    raise ValueError(f'{film.where}: has {count} frames, {wanted} are needed')


def _chunks(job: Job, stride: int) -> Iterator[np.ndarray]:
  """The first frame, then as many as make a latent; no incomplete ones."""
  used, group = 0, []
  for frame in job.film.frames():
    group.append(job.box.seen(frame))
    if len(group) == (stride if used else 1):
      used += len(group)
      yield np.stack(group)[None]
      group = []
    if used == _FRAMES.value:
      return
  _check_length(job.film, used + len(group), stride)


class _Watch:
  """Seconds spent waiting for values, with whatever they wait for."""

  def __init__(self):
    self.seconds = 0.0

  def over(self, values: Iterable[Any]) -> Iterator[Any]:
    values = iter(values)
    while True:
      began = time.perf_counter()
      value = next(values, None)
      self.seconds += time.perf_counter() - began
      if value is None:
        return
      yield value


def _reconstructed(
  stream: stream_lib.Stream, job: Job, out: pathlib.Path
) -> tuple[dict[str, Any], comparison.Comparison]:
  """Sends a film through; its figures, sheet and video."""
  programs = stream.encoder, stream.decoder
  before = [each.compile_seconds for each in programs]
  compared, seconds = _sent(stream, job, out)
  compared.sheet().save(out / f'{job.name}.png')
  figures = {
    'name': job.name,
    'film': job.film.where,
    'film_size': [job.film.width, job.film.height],
    'film_frames': job.film.count,
    'size': [job.box.width, job.box.height],
    'rate': job.film.rate,
    **comparison.figures([compared]),
    'peak_memory_bytes': run_lib.peak_memory(),  # So far.
  }
  shapes = _shapes(stream, job.box.height, job.box.width)
  for at, way in enumerate(('encode', 'decode')):
    compiling = programs[at].compile_seconds - before[at]
    figures[way] = {
      'frames_per_second': len(compared.psnr) / (seconds[at] - compiling),
      'compile_seconds': compiling,
      'device_bytes': programs[at].memory(*shapes[at]),
      **_tiles(programs[at], shapes[at], stream.config.stride),
    }
  return figures, compared


def _sent(
  stream: stream_lib.Stream, job: Job, out: pathlib.Path
) -> tuple[comparison.Comparison, tuple[float, float]]:
  """The film against its copy; seconds of encoding and of decoding."""
  reading, encoding, decoding = _Watch(), _Watch(), _Watch()
  waiting, compared = collections.deque(), comparison.Comparison()

  def read():
    for chunk in reading.over(_chunks(job, stream.config.stride[0])):
      waiting.extend(chunk[0])
      yield chunk

  latents = encoding.over(stream.encode(read()))
  path, box = out / f'{job.name}.mp4', job.box
  total = _FRAMES.value or job.film.count or None
  with (
    films.written(path, job.film.rate, 2 * box.width, box.height) as write,
    tqdm.tqdm(total=total, desc=job.name, unit='frame', leave=False) as bar,
  ):
    for part in decoding.over(stream.decode(latents)):
      for frame in part[0]:
        original, copy = waiting.popleft(), program.to_uint8(frame)
        compared.add(original, copy)
        write(np.concatenate([original, copy], axis=1))
        bar.update()
  return compared, (
    encoding.seconds - reading.seconds,
    decoding.seconds - encoding.seconds,
  )


def _shapes(
  stream: stream_lib.Stream, height: int, width: int
) -> tuple[tuple[tuple[int, ...], Any], ...]:
  """Shape and dtype of a piece of frames, and of one of latents."""
  config, piece = stream.config, stream.piece
  time_stride, rows, columns = config.stride
  frames = 1, time_stride * piece, height, width, config.channels
  latents = height // rows, width // columns, config.latent_channels
  return (frames, np.uint8), ((1, piece, *latents), np.float32)


def _tiles(program: Any, shape: Any, stride: tuple[int, ...]) -> dict[str, Any]:
  """How a picture was cut, if it was: [columns, rows], and pixels of a tile."""
  if not isinstance(program, tiles_lib.Tiles):
    return {'tiles': [1, 1]}
  grid = program.grid(*shape)
  return {
    'tiles': [len(grid.columns.starts), len(grid.rows.starts)],
    'tile_size': [grid.columns.size * stride[2], grid.rows.size * stride[1]],
  }


if __name__ == '__main__':
  run_lib.app(main, mesh='none')
