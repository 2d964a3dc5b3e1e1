"""Made-up sets of stories, pages of them, and answers to these."""

import csv
import json

import numpy as np

from launch import story_folder
from launch.judging import answers
from launch.judging import blinded
from launch.judging import key as key_lib
from launch.judging import pairs
from launch.judging import questions
from tests.launch import fake_teller
from tv2tv_jax.sample import settings as settings_lib

NAMES = 'tv2tv', 'think2v'
RED, BLUE = (230, 40, 40), (40, 40, 230)


def tell(folder, colour, *, chunks=3, start=90, wide=16, rate=8.0, **script):
  """A story whose film is grey at first, then of a colour."""
  script = story_folder.Script(
    **{
      'prompt': 'doom hall',
      'seed': 1,
      'settings': settings_lib.Settings(),
      'layout': 'tv2tv',
      'chunks': chunks,
      'asks': {1: 'go'},
      **script,
    }
  )
  frames = np.empty((1 + 4 * (chunks - 1), 12, wide, 3), np.uint8)
  frames[:], frames[0] = colour, start
  words = ['', *('left' for _ in range(chunks - 1))]
  finished = story_folder.Finished(script, frames[:1], words, frames, 'length')
  teller = fake_teller.Storyteller()
  teller.rate = rate
  story_folder.save(folder, finished, teller)


def told(place, count):
  """Two sets of as many stories: red ones and blue ones, one of them untold."""
  folders = place / NAMES[0], place / NAMES[1]
  for folder, colour in zip(folders, (RED, BLUE), strict=True):
    for number in range(count):
      asks = {} if number == 1 else {1: 'go'}
      tell(folder / str(number), colour, seed=number, asks=asks)
  return folders


def made(out, folders, *, common=False, task_of=None, **settings):
  """A page and its key."""
  pairing = pairs.paired(*folders, task_of)
  assert common or not pairing.left_out
  values = {'names': NAMES, 'seed': 0, **settings}
  said = blinded.write(out, pairing, folders, blinded.Settings(**values))
  return said, key_lib.load(out / key_lib.FILE)


def data(html):
  """What a page knows."""
  _, _, text = html.partition('<script type="application/json" id="data">')
  return json.loads(text.partition('</script>')[0])


def key(count, *, checks=0):
  """The key of a page that nobody drew."""
  entries = {}
  for number in range(1, count + checks + 1):
    of = (key_lib.WHOLE, key_lib.DAMAGED) if number > count else NAMES
    films = dict(zip((f'{number}a', f'{number}b'), of, strict=True))
    entries[str(number)] = key_lib.Entry(
      f'story {number}', number > count, number % 2 == 1, films
    )
  return key_lib.Key(
    page='c0ffee',
    names=NAMES,
    folders=('one', 'other'),
    seed=0,
    questions=questions.DEFAULTS,
    pairs=entries,
    left_out=(),
  )


def row(key, judge, pair, question, wanted, *, first_left=True):
  """A row by a judge who wants a set, or neither."""
  films = sorted(key.pairs[pair].films)
  left, right = films if first_left else films[::-1]
  of = key.pairs[pair].films
  side = {of[left]: 'left', of[right]: 'right'}.get(wanted, answers.TIE)
  values = (key.page, judge, pair, '1', left, right, question, side)
  return dict(zip(answers.COLUMNS, values, strict=True))


def write(path, rows):
  """A file of answers."""
  with path.open('w', newline='') as file:
    writer = csv.DictWriter(file, answers.COLUMNS, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
  return path
