"""What every model is asked for: the same stories, line by line."""

from collections.abc import Sequence
import itertools
import json
import pathlib
from typing import Any

import numpy as np

from configs import comparison
from data_pipelines import records
from tv2tv_jax.train import workdir as workdir_lib

NOTHING = 'nothing'  # Told nothing.
IN_TURN = 'in-turn'  # Told every instruction, one after another.

# Seconds, words, and seconds for which they hold.
Say = tuple[float, str, float]


def lines(
  config: comparison.Comparison, films: comparison.Films, path: str
) -> list[dict[str, Any]]:
  """The stories of a file of prompts (`launch/stories/prompts.py`).

  Args:
    config: what stories are told.
    films: which there are.
    path: the dataset whose test split has their starts.

  Raises:
    ValueError: fewer held-out takes than starts, times that are none, or not a
      hold for each instruction.
  """
  takes = records.Takes(path, 'test')
  if len(takes) < films.starts:
    raise ValueError(
      f'{path}: {len(takes)} takes in test, {films.starts} starts are asked '
      'for: record more, or lower the starts'
    )
  places = np.linspace(0, len(takes) - 1, films.starts).round().astype(int)
  found = []
  for seed, place in enumerate(places):
    shared = {
      'prompt': takes[int(place)].prompt,
      'start': f'test:{place}',
      'seed': seed,
      'seconds': films.seconds,
    }
    for name, says in of_start(config, films, seed).items():
      line = {'id': f'start{seed:02d}-{name}', **shared}
      found.append(line | ({'says': says} if says else {}))
  return found


def of_start(
  config: comparison.Comparison, films: comparison.Films, start: int
) -> dict[str, list[Say]]:
  """What the stories from a start are told, by their names.

  Raises:
    ValueError: as `lines`.
  """
  words, holds = config.instructions, config.holds
  if len(words) != len(holds):
    raise ValueError(
      f'config: {len(words)} instructions, {len(holds)} holds: give one each'
    )
  told = list(zip(words, holds, strict=True))
  found: dict[str, list[Say]] = {NOTHING: []}
  for text in films.told_at:
    times, label = _times(text), text.replace(',', '-')
    if len(times) > 1:
      turns = itertools.islice(itertools.cycle(told), start % len(told), None)
      says = [(at, *each) for at, each in zip(times, turns, strict=False)]
      found[f'{IN_TURN}-at-{label}'] = says
      continue
    for word, hold in told:
      name = '-'.join(word.split())
      found[f'{name}-at-{label}'] = [(times[0], word, hold)]
  return found


def write(path: pathlib.Path, some: Sequence[dict[str, Any]]) -> None:
  """Writes a file of prompts."""
  path.parent.mkdir(parents=True, exist_ok=True)
  text = ''.join(json.dumps(line) + '\n' for line in some)
  workdir_lib.write_whole(path, text)


def _times(text: str) -> list[float]:
  """Seconds with commas between."""
  try:
    return [float(each) for each in text.split(',')]
  except ValueError:
    raise ValueError(
      f'config: told_at has {text!r}: give seconds with commas between'
    ) from None
