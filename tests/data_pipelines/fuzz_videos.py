"""Reads damaged videos, in a process that may die of it: see test_videos.

  python -m tests.data_pipelines.fuzz_videos FOLDER COUNT

Prints how many became takes, were dropped or refused, and the memory used.
"""

import collections
import json
import pathlib
import random
import resource
import sys

from data_pipelines.sources import source
from data_pipelines.sources import videos
from tests import memory
from tests.data_pipelines import counter
from tests.data_pipelines import mutants

_MEMORY = 6 * 2**30  # bytes of addresses, of which the libraries take a part
_WHOLE = (
  ('.mp4', ('mp4', 'libx264'), {'bf': '3', 'g': '12'}),
  ('.mp4', ('mp4', 'libx264'), {'+movflags': 'frag_keyframe+empty_moov'}),
  ('.webm', ('webm', 'libvpx-vp9'), {'cpu-used': '8'}),
  ('.webm', ('webm', 'libvpx'), {}),
  ('.mkv', ('matroska', 'libx264'), {'bf': '0', 'g': '4'}),
  ('.avi', ('avi', 'mpeg4'), {}),
)


def main(folder: pathlib.Path, count: int) -> None:
  """Damages, reads and counts."""
  resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
  rng = random.Random(0)
  whole = [
    (suffix, counter.film(13, kind, options=options))
    for suffix, kind, options in _WHOLE
  ]
  outcomes = collections.Counter()
  for index in range(count):
    suffix, data = whole[index % len(whole)]
    path = folder / f'{index:04d}{suffix}'
    path.write_bytes(mutants.mutated(data, rng))
    corpus = videos.Videos(input=str(path), rate=16, size='32x24', seconds=0.5)
    (unit,) = corpus.units()
    found = set()
    try:
      for each in corpus.takes(unit):
        kind = 'takes' if isinstance(each, source.Film) else each.reason
        found.add(kind)
    except ValueError as error:
      if not str(error).startswith(f'{path}: '):
        raise AssertionError(f'{error!r} does not name {path}') from error
      found.add('refused')
    outcomes.update(found)
    path.unlink()
  print(json.dumps({**outcomes, 'peak MiB': memory.peak() // 2**20}))


if __name__ == '__main__':
  main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
