"""Films a recording: episodes in parallel, resumable, the same every time.

An episode is the unit of work: a pure function of the recipe and its number,
so the number of processes changes nothing but the time. The last tenth of the
episodes is the test split: whole other games, from every map.
"""

from collections.abc import Callable
from concurrent import futures
from concurrent.futures import process
import importlib
import json
import math
import multiprocessing
import os
import pathlib
import signal
import time
from typing import Any, NamedTuple

import numpy as np

from data_pipelines import records
from data_pipelines.prepare import dataset
from data_pipelines.prepare import encode_video
from data_pipelines.prepare import words

# Modules that offer film_takes(), prompt(), parse_size(), parse_maps() and the
# constants of data_pipelines/sources/vizdoom.py.
SOURCES = {'vizdoom': 'data_pipelines.sources.vizdoom'}

_CHUNKS = 32  # of 4 frames a take
_TAKES = 4  # an episode


class Request(NamedTuple):
  """What shall be filmed."""

  source: str
  minutes: float
  seed: int
  size: str = '64x48'
  maps: tuple[str, ...] = ()  # () = the source's own choice


class Report(NamedTuple):
  """What was filmed; frames and seconds of this run, the rest of the whole."""

  takes: int
  frames: int
  hours: float
  spoken: float  # share of frames with something held
  filmed_frames: int  # in this run
  seconds: float  # of this run

  def line(self) -> str:
    """The report in one line."""
    speed = (
      f'{self.filmed_frames / self.seconds:,.0f} frames/s'
      if self.filmed_frames
      else 'already recorded'
    )
    return (
      f'{self.takes} takes, {self.frames:,} frames, {self.hours:.3f} hours, '
      f'words on {self.spoken:.0%} of the frames; {speed}'
    )


class _Episode(NamedTuple):
  request: Request
  number: int
  takes: int
  test: bool
  path: pathlib.Path


def record(
  request: Request,
  out: str | os.PathLike,
  *,
  processes: int = 0,
  progress: Callable[[int, int], Any] = lambda done, total: None,
) -> Report:
  """Writes the recording to `out`, going on where an earlier run stopped.

  Args:
    request: what to film.
    out: directory of the dataset.
    processes: how many games at once, 0 for one a core.
    progress: called with episodes done and episodes in all.

  Raises:
    ValueError: unknown source, size or map, or `out` holds something else.
    OSError: the disk is full.
  """
  began = time.monotonic()
  source, request = _check(request)
  recipe = {
    **request._asdict(),
    'maps': list(request.maps),
    'version': records.VERSION,
  }
  out = pathlib.Path(out)
  if dataset.is_finished(out, recipe):
    return _report(out, 0, time.monotonic() - began)
  dataset.begin(out, recipe)
  episodes = _plan(request, dataset.partial(out))
  left = [episode for episode in episodes if not episode.path.exists()]
  progress(len(episodes) - len(left), len(episodes))
  for done, _ in enumerate(_each(left, processes or os.cpu_count()), 1):
    progress(len(episodes) - len(left) + done, len(episodes))
  counts = [_piece_summary(episode) for episode in episodes]
  summary = {
    'takes': sum(episode.takes for episode in episodes),
    'frames': sum(frames for frames, _ in counts),
    'spoken': sum(spoken for _, spoken in counts),
    'rate': source.RATE,
  }
  dataset.finish(
    out,
    request.source,
    records.features(),
    {
      'train': [piece.path for piece in episodes if not piece.test],
      'test': [piece.path for piece in episodes if piece.test],
    },
    version=records.VERSION,
    description='Game film with its controls as words, one take a record.',
    extra={'summary.json': json.dumps(summary, indent=2) + '\n'},
  )
  filmed = sum(episode.takes for episode in left) * _CHUNKS * 4
  return _report(out, filmed, time.monotonic() - began)


def _check(request: Request):
  """The source's module, and the request with its maps filled in."""
  if request.source not in SOURCES:
    raise ValueError(
      f'source {request.source!r} is unknown; choose from ' + ', '.join(SOURCES)
    )
  if not (math.isfinite(request.minutes) and request.minutes > 0):
    raise ValueError(f'minutes is {request.minutes}; it must be positive')
  if request.seed < 0:
    raise ValueError(f'seed is {request.seed}; it must not be negative')
  source = importlib.import_module(SOURCES[request.source])
  source.parse_size(request.size)
  maps = source.parse_maps(request.maps or source.DEFAULT_MAPS)
  return source, request._replace(maps=maps)


def _plan(request: Request, place: pathlib.Path) -> list[_Episode]:
  source = importlib.import_module(SOURCES[request.source])
  frames = request.minutes * 60 * source.RATE
  takes = max(2, math.ceil(frames / (_CHUNKS * 4)))
  each = min(_TAKES, takes // 2)  # two splits want two episodes
  count = -(-takes // each)
  tests = max(1, round(count / 10))
  return [
    _Episode(
      request=request,
      number=number,
      takes=min(each, takes - number * each),
      test=number >= count - tests,
      path=place / f'episode-{number:05d}.array_record',
    )
    for number in range(count)
  ]


def _each(episodes, processes):
  """Films episodes, yielding as each is done."""
  if processes == 1 or len(episodes) < 2:
    yield from map(_film_episode, episodes)
    return
  # A fresh interpreter each: the game's threads do not survive a fork. The
  # parent hears the interrupt; children finish their episode, because a child
  # that is killed leaves its game running.
  pool = futures.ProcessPoolExecutor(
    min(processes, len(episodes)),
    multiprocessing.get_context('spawn'),
    initializer=signal.signal,
    initargs=(signal.SIGINT, signal.SIG_IGN),
  )
  try:
    for job in futures.as_completed(
      [pool.submit(_film_episode, episode) for episode in episodes]
    ):
      yield job.result()
  except process.BrokenProcessPool:
    raise OSError(
      'a filming process was killed (out of memory?); run again to go on, '
      'with fewer --processes'
    ) from None
  finally:
    pool.shutdown(cancel_futures=True)


def _film_episode(episode: _Episode):
  request = episode.request
  source = importlib.import_module(SOURCES[request.source])
  map_name = request.maps[episode.number % len(request.maps)]
  sequence = np.random.SeedSequence([request.seed, episode.number])
  seed = int(sequence.generate_state(1)[0])
  films = list(
    source.film_takes(map_name, seed, request.size, episode.takes, _CHUNKS)
  )
  takes = [
    _record_of(source, episode, map_name, seed, index, film)
    for index, film in enumerate(films)
  ]
  rows = np.concatenate([film.controls[1:] for film in films])
  dataset.write_text(
    episode.path.with_suffix('.json'),
    json.dumps([len(rows), int(rows.any(1).sum())]),
  )
  dataset.write_piece(episode.path, records.features(), takes)


def _record_of(source, episode, map_name, seed, index, film) -> dict[str, Any]:
  count, height, width = film.frames.shape[:3]
  request = episode.request
  return {
    'video': encode_video.encode_video(film.frames, source.RATE),
    'controls': film.controls.tobytes(),
    'states': film.states.astype(np.float32).tobytes(),
    'take': (
      f'{request.source}-{request.seed}-{map_name}-'
      f'{episode.number:05d}-{index:02d}'
    ),
    'source': request.source,
    'map': map_name,
    'prompt': source.prompt(map_name),
    'license': source.LICENSE,
    'segments': json.dumps(
      words.segments_of(film.controls, source.CONTROL_NAMES, source.RATE)
    ),
    'control_names': json.dumps(source.CONTROL_NAMES),
    'state_names': json.dumps(source.STATE_NAMES),
    'version': records.VERSION,
    'frame_count': count,
    'height': height,
    'width': width,
    'seed': seed,
    'ended': int(index == episode.takes - 1),
    'rate': source.RATE,
  }


def _piece_summary(episode: _Episode) -> tuple[int, int]:
  return tuple(json.loads(episode.path.with_suffix('.json').read_text()))


def _report(out: pathlib.Path, filmed: int, seconds: float) -> Report:
  summary = json.loads((out / 'summary.json').read_text())
  return Report(
    takes=summary['takes'],
    frames=summary['frames'],
    hours=summary['frames'] / summary['rate'] / 3600,
    spoken=summary['spoken'] / summary['frames'],
    filmed_frames=filmed,
    seconds=seconds,
  )
