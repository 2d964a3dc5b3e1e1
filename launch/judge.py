r"""People as judges: a blinded page of pairs, and what their answers come to.

  python -m launch.judge page A B --out DIR --names tv2tv,think2v
  python -m launch.judge tally DIR/key.json ANSWERS.csv ... --out DIR2

A and B are folders of stories, as `launch.generate --prompts` writes them.
Stories of one name are a pair; those whose names differ are, if start, seed and
what they were told are the same. A story without a partner, one that could not
be told, films of unequal length, rate or size: each is named, and is an error
unless `--common` leaves them out.

DIR gets `page/`, which is all that a judge needs and may know: open or send its
index.html (where films lie beside it, the folder). `key.json` says which film
is of which set: keep it to yourself. A judge answers left, tie or right to
several questions a pair and downloads a file of answers. Order and sides are
drawn for each judge; the answers record what was where. `--checks` adds pairs
of a film and a damaged copy, which tell who does not look.

DIR2 gets tally.json, tally.md and tally.html: shares of win, tie and loss with
bootstrap intervals, the sign test over pairs, how far judges agree, how often
the left was chosen, and what came of the checks. Nobody is left out. Give the
files of all judges at once; the same files give the same tally.
"""

from collections.abc import Sequence
import pathlib
import secrets

from absl import flags

from launch import run as run_lib

_OUT = flags.DEFINE_string('out', None, 'Folder of the page, or of the tally.')
_QUESTIONS = flags.DEFINE_string(
  'questions', None, "JSON Lines of questions; the paper's if not given."
)
_PAIRS = flags.DEFINE_integer(
  'pairs', None, 'Pairs, drawn at random; all if not given.', lower_bound=1
)
_CHECKS = flags.DEFINE_integer(
  'checks', 0, 'Further pairs, of a film and a damaged copy.', lower_bound=0
)
_COMMON = flags.DEFINE_bool(
  'common', False, 'Leave out, and name, what is no pair.'
)
_NAMES = flags.DEFINE_string(
  'names', None, "Of the two sets, A,B; the folders' if not given."
)
_TASK_OF = flags.DEFINE_enum(
  'task_of',
  None,
  ['A', 'B'],
  'Whose prompt and instructions judges read, where the sets have others.',
)
_SHOW_WORDS = flags.DEFINE_bool(
  'show_words',
  False,
  "Show all words of each film, its model's own too: they may give it away.",
)
_EMBED_UP_TO = flags.DEFINE_float(
  'embed_up_to', 50.0, 'MB of a page with its films in it.', lower_bound=0
)
_SEED = flags.DEFINE_integer(
  'seed',
  None,
  'Of what is drawn: of a page, one nobody knows if not given; of the '
  "tally's resamples, 0.",
  lower_bound=0,
)
flags.mark_flag_as_required('out')

_MOST_FILES = 10_000
_OF_PAGES = (
  _QUESTIONS,
  _PAIRS,
  _CHECKS,
  _COMMON,
  _NAMES,
  _TASK_OF,
  _SHOW_WORDS,
  _EMBED_UP_TO,
)


def main(argv: Sequence[str]) -> None:
  """Makes a page, or tallies answers."""
  kind, *paths = map(pathlib.Path, argv[1:]) if len(argv) > 1 else [None]
  if str(kind) == 'page' and len(paths) == 2:
    _page(*paths)
  elif str(kind) == 'tally' and len(paths) > 1:
    _tally(*paths)
  else:
    raise ValueError(
      f'{" ".join(argv[1:]) or "nothing"!r} is neither `page A B` nor '
      '`tally KEY ANSWERS.csv ...`'
    )


def _page(one: pathlib.Path, other: pathlib.Path) -> None:
  """The page of two sets."""
  from launch.judging import blinded  # A tally needs none of these.
  from launch.judging import pairs
  from launch.judging import questions

  out = pathlib.Path(_OUT.value)
  blinded.check_place(out)
  asked = questions.DEFAULTS
  if _QUESTIONS.value is not None:
    asked = questions.read(pathlib.Path(_QUESTIONS.value))
  settings = blinded.Settings(
    names=_names(one, other),
    questions=asked,
    seed=secrets.randbits(32) if _SEED.value is None else _SEED.value,
    count=_PAIRS.value,
    checks=_CHECKS.value,
    show_words=_SHOW_WORDS.value,
    most=int(_EMBED_UP_TO.value * 1e6),
  )
  task_of = None if _TASK_OF.value is None else 'AB'.index(_TASK_OF.value)
  pairing = pairs.paired(one, other, task_of)
  if not _COMMON.value:
    pairs.check_whole(pairing)
  for line in pairing.left_out:
    print(f'left out: {line}')
  print(blinded.write(out, pairing, (one, other), settings))


def _names(one: pathlib.Path, other: pathlib.Path) -> tuple[str, str]:
  """What the sets are called."""
  names = (one.resolve().name, other.resolve().name)
  if _NAMES.value is not None:
    names = tuple(name.strip() for name in _NAMES.value.split(','))
  elif names[0] == names[1]:
    names = 'A', 'B'
  reserved = {'', 'tie', 'whole', 'damaged'}
  if len(names) != 2 or names[0] == names[1] or reserved & {*names}:
    raise ValueError(
      f'--names={",".join(names)}: give two names, parted by a comma, none of '
      'them "tie", "whole" or "damaged"'
    )
  return names


def _tally(path: pathlib.Path, *files: pathlib.Path) -> None:
  """The tally of files of answers."""
  from launch.judging import answers
  from launch.judging import key as key_lib
  from launch.judging import tally

  for flag in _OF_PAGES:
    if flag.present:
      raise ValueError(f'--{flag.name} is of `page`, not of `tally`')
  key = key_lib.load(path)
  given = answers.read(files, key)
  print(tally.write(pathlib.Path(_OUT.value), key, given, _SEED.value or 0))


if __name__ == '__main__':
  run_lib.app(main, mesh='none', arguments=_MOST_FILES)
