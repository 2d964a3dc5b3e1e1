r"""Stories of a trained workdir: how soon, how fast, for how long.

  python -m tests.benchmarks.rollout --workdir DIR [--seconds 6] [--rounds 5]
      [--long 64] [--start 0] [--seed 0] [--part all]

`warm`: from the ask to the first words and frames, and frames filmed a second,
of one story and of all lanes; then what each part takes. `beside`: the same
story told by the engine and by a sampler without a cache
(`tests/benchmarks/recomputed.py`), in a window that holds all of it; words and
latents are compared before anything is timed. `long`: stories that outlive
their window: memory, time and the spectrum of what changes from frame to frame.
Rounds go A B A B, `beside` chunk by chunk; medians count, compilation is told
apart. A ratio of processor time is less moved by what else a machine does.
"""

import argparse
import collections
import functools
import pathlib
import statistics
import time

from flax import nnx
import jax
import numpy as np

from configs import schema
from launch import storyteller as storyteller_lib
from tests.benchmarks import long_story
from tests.benchmarks import recomputed
from tests.benchmarks import rounds
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import settings as settings_lib
from tv2tv_jax.sample import telling as telling_lib
from tv2tv_jax.train import checkpoint
from tv2tv_jax.train import workdir as workdir_lib
from tv2tv_jax.tv2tv import model as model_lib

_PARTS = ('warm', 'beside', 'long')
_CLOSE = 1e-3  # How far latents of both samplers may be apart.


def _told(storyteller, start, count, seed, settings, chunks):
  """Seconds to the first words, to the first frames, and of a frame."""
  began, first, frames = time.perf_counter(), {}, 0
  tellings = [
    storyteller.begin(start, start.prompt, seed + n, settings)
    for n in range(count)
  ]
  for event in storyteller.teller.tell(tellings, [chunks] * count):
    now = time.perf_counter() - began
    if isinstance(event, telling_lib.Wrote):
      first.setdefault('words', now)
    elif isinstance(event, telling_lib.Filmed) and event.chunk:
      first.setdefault('frames', now)
      frames += len(event.frames)
  if not frames:
    raise ValueError(f'the story of --seed={seed} ends at once: take another')
  return first['words'], first['frames'], now / frames


def _timed_parts(storyteller, roll, chunks):
  """Milliseconds of each part of a story, by name."""
  engine, config = storyteller.engine, storyteller.config
  parts, wrote = collections.defaultdict(list), []
  while len(roll.latents) < chunks and not roll.ended:
    count = len(roll.latents)
    known = roll.seat and roll.seat.opening == settings_lib.opening(
      count, config
    )
    began = time.perf_counter()
    (roll,) = engine.advance(
      [roll], wrote=lambda *_: wrote.append(time.perf_counter())
    )
    if roll.ended:
      break
    jax.block_until_ready(roll.seat.told)
    now = time.perf_counter()
    if known:
      # One more is drawn: what closes the words.
      written = 1 + len(roll.words[-1])
      parts['a token'].append((wrote[-1] - began) / written)
      parts['a chunk: words'].append(wrote[-1] - began)
    else:
      parts['a window read anew, and words'].append(wrote[-1] - began)
    parts['a chunk: film, and read it'].append(now - wrote[-1])
  film = None
  for latent in roll.latents:
    began = time.perf_counter()
    _, film = storyteller.teller.film.shown(latent, film)
    parts['a chunk: decode it'].append(time.perf_counter() - began)
  return parts


def _warm(flags) -> None:
  """Prints how soon and how fast."""
  storyteller = storyteller_lib.Storyteller(flags.workdir)
  start = storyteller_lib.kept_start(flags.workdir, flags.start)
  chunks, lanes = (
    storyteller.chunks_of(flags.seconds),
    storyteller.engine.lanes,
  )
  guided = storyteller.config.settings
  ways = {
    f'guided by {guided.guidance:g}': guided,
    'unguided': guided._replace(guidance=1.0),
  }
  for name, settings in ways.items():
    with long_story.compilations() as compiled:
      began = time.perf_counter()
      _told(storyteller, start, 1, flags.seed, settings, chunks)
      print(
        f'first story, {name}: {time.perf_counter() - began:.1f} s, of which '
        f'{sum(compiled):.1f} s compile {len(compiled)} programs'
      )
  times, parts = collections.defaultdict(list), {name: [] for name in ways}
  for round_ in range(flags.rounds):
    for name, settings in ways.items():
      for count in (1, lanes):
        seed = flags.seed + round_
        times[name, count].append(
          _told(storyteller, start, count, seed, settings, chunks)
        )
      roll = storyteller.begin(start, start.prompt, seed, settings).roll
      parts[name].append(_timed_parts(storyteller, roll, chunks))
  print(f'\nstories of {flags.seconds:g} s, {guided.steps} steps a chunk\n')
  print('| stories | first words | first frames | frames/s, of all |')
  print('|---|---|---|---|')
  for (name, count), each in times.items():
    words, frames, frame = np.median(each, axis=0)
    print(
      f'| {count}, {name} | {1e3 * words:.0f} ms | {1e3 * frames:.0f} ms '
      f'| {1 / frame:.1f} |'
    )
  print(f'\n| of {lanes} lanes, ms | {" | ".join(ways)} |\n|---|---|---|')
  for part in parts[name][0]:
    found = [
      statistics.median(t for each in parts[way] for t in each[part])
      for way in ways
    ]
    print(f'| {part} | {" | ".join(f"{1e3 * t:.1f}" for t in found)} |')


def _beside(flags) -> None:
  """Prints how much faster the engine is than one without a cache."""
  run = workdir_lib.read(flags.workdir, schema.StoryRun)
  model = checkpoint.restore_model(
    flags.workdir, lambda key: model_lib.Tv2tv(run.model, rngs=nnx.Rngs(key))
  )
  load = functools.partial(storyteller_lib.Storyteller, flags.workdir)
  chunks = load(model=model).chunks_of(flags.seconds)
  storyteller = load(model=model, window=chunks + 1, kept=1, lanes=1)
  start = storyteller_lib.kept_start(flags.workdir, flags.start)
  config = storyteller.config
  sides = {'engine': lambda roll: storyteller.engine.advance([roll])[0]}
  for name, rooms in {
    'all read again, room for the whole story': recomputed.fixed(
      config, chunks
    ),
    'all read again, room grows with the story': recomputed.growing(),
  }.items():
    sampler = recomputed.Recomputed(model, storyteller.tokenizer, config, rooms)
    sides[name] = sampler.advance
  for way, guidance in (('guided', config.guidance), ('unguided', 1.0)):
    settings = config.settings._replace(guidance=guidance)
    roll = storyteller.begin(start, start.prompt, flags.seed, settings).roll
    rolls, _ = _in_turn(sides, roll, chunks)  # Compiles.
    apart = max(_apart(found, rolls['engine']) for found in rolls.values())
    filmed, words = len(rolls['engine'].latents) - 1, rolls['engine'].words
    print(
      f'{filmed} chunks, {settings.steps} steps each, '
      f'{sum(map(len, words))} tokens of words; told by each the same, latents '
      f'at most {apart:.1e} apart\n\n'
      f'| {way}, one lane | a story | a chunk: first, middle, last | engine '
      '| of CPU time |\n|---|---|---|---|---|',
      flush=True,
    )
    told = [_in_turn(sides, roll, chunks)[1] for _ in range(flags.rounds)]
    # Of each chunk the median of the rounds: wall, processor.
    middle = {
      name: np.median([times[name] for times in told], axis=0) for name in sides
    }
    own = middle['engine'].sum(axis=0)
    for name, each in middle.items():
      some = ', '.join(f'{1e3 * each[n, 0]:.0f}' for n in (0, filmed // 2, -1))
      wall, processor = each.sum(axis=0) / own
      print(
        f'| {name} | {each[:, 0].sum():.2f} s | {some} ms '
        f'| {wall:.1f} x as fast | {processor:.1f} x |'
      )
    print(flush=True)


def _in_turn(sides, roll, chunks):
  """A story told by each side, chunk by chunk in turn.

  And seconds of each chunk, by the clock and of the processors.
  """
  rolls, times = dict.fromkeys(sides, roll), collections.defaultdict(list)
  while len(roll.latents) < chunks and not roll.ended:
    for name, advance in sides.items():
      began = np.array([time.perf_counter(), time.process_time()])
      roll = rolls[name] = advance(rolls[name])
      now = np.array([time.perf_counter(), time.process_time()])
      times[name].append(now - began)
  return rolls, times


def _apart(one: roll_lib.Roll, other: roll_lib.Roll) -> float:
  """How far the latents of a story told twice are apart.

  Raises:
    ValueError: other words, other lengths, or other pictures.
  """
  if one.words != other.words:
    raise ValueError(f'other words: {one.words}, {other.words}')
  apart = float(np.abs(np.subtract(one.latents, other.latents)).max())
  if apart > _CLOSE:
    raise ValueError(f'latents are {apart} apart')
  return apart


def _long(flags) -> None:
  """Prints what becomes of long stories."""
  storyteller = storyteller_lib.Storyteller(flags.workdir)
  start = storyteller_lib.kept_start(flags.workdir, flags.start)
  long = long_story.told(storyteller, start, flags.long, flags.seed)
  config = storyteller.config
  print(
    f'{storyteller.engine.lanes} stories of {flags.long:g} s side by side, '
    f'{len(long.chunks) + 1} chunks, a window of {config.window} of which '
    f'{config.kept} stay\n'
  )
  print(long_story.report(storyteller, long))


def main() -> None:
  """Checks, measures, prints."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--workdir', type=pathlib.Path, required=True)
  parser.add_argument('--seconds', type=float, default=6.0)
  parser.add_argument('--long', type=float, default=64.0)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--start', type=int, default=0)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--part', choices=('all', *_PARTS), default='all')
  flags = parser.parse_args()
  print(f'{rounds.machine()}; {flags.workdir.name}\n', flush=True)
  runs = dict(zip(_PARTS, (_warm, _beside, _long), strict=True))
  for name, run in runs.items():
    if flags.part in (name, 'all'):
      print(f'## {name}\n')
      run(flags)
      print(flush=True)


if __name__ == '__main__':
  main()
