"""What every model is asked for: the same stories, line by line."""

from collections.abc import Sequence
import json
import pathlib
from typing import Any

import numpy as np

from configs import comparison
from data_pipelines import records
from tv2tv_jax.train import workdir as workdir_lib

NOTHING = 'nothing'  # Told nothing.


def lines(
  films: comparison.Films, instructions: Sequence[str], path: str
) -> list[dict[str, Any]]:
  """The stories of a file of prompts (`launch/stories/prompts.py`).

  Args:
    films: which there are.
    instructions: what they are told.
    path: the dataset whose test split has their starts.

  Raises:
    ValueError: fewer held-out takes than starts, or times that are none.
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
    found.append({'id': f'start{seed:02d}-{NOTHING}', **shared})
    for times in films.told_at:
      for word in instructions:
        name = '-'.join(word.split())
        label = times.replace(',', '-')
        found.append(
          {
            'id': f'start{seed:02d}-{name}-at-{label}',
            **shared,
            'says': [[time, word, films.hold] for time in _times(times)],
          }
        )
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
