"""The page of pairs, and its key: two folders, so that one can be given away.

  OUT/page/index.html    all that a judge gets, with the films in it;
  OUT/page/films/NN.mp4  where it would be too large, beside it
  OUT/key.json           which film is of which set

Every film is encoded anew in the same way, without what its file says of
itself. Films have numbers, drawn at random, and stand in their order wherever
there is an order: on the page, on disk, in time.
"""

from collections.abc import Iterator
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
import tqdm

from data_pipelines import film as film_lib
from launch import embed
from launch import films
from launch.judging import key as key_lib
from launch.judging import pairs as pairs_lib
from launch.judging import questions as questions_lib
from launch.judging import render
from tv2tv_jax.train import workdir as workdir_lib

_PAGE, _INDEX, _FILMS = 'page', 'index.html', 'films'
_BLOCKS = 8, 6  # across and down, of a damaged film


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """What a page shows.

  Attributes:
    names: of the two sets, for key and tables.
    questions: that judges are asked.
    seed: of what is drawn: which pairs, their order, the numbers of films.
    count: pairs, drawn at random; None: all.
    checks: further pairs, of a film and a damaged copy of it.
    show_words: whether all words of a film stand below it, its model's too.
    most: bytes of a page with its films in it; above, they lie beside it.
  """

  names: tuple[str, str]
  questions: tuple[questions_lib.Question, ...] = questions_lib.DEFAULTS
  seed: int
  count: int | None = None
  checks: int = 0
  show_words: bool = False
  most: int = 50_000_000


class _Shown(NamedTuple):
  """A film of the page: of a set, or damaged."""

  of: str
  story: pairs_lib.Story


class _Drawn(NamedTuple):
  """A pair with its films by their numbers."""

  pair: pairs_lib.Pair
  check: bool
  films: dict[str, _Shown]


def write(
  out: pathlib.Path,
  pairing: pairs_lib.Pairing,
  folders: tuple[pathlib.Path, pathlib.Path],
  settings: Settings,
) -> str:
  """Writes page and key; they appear together. What there is, in a line.

  Raises:
    ValueError: fewer pairs than asked for, no question for one, or there is
      something else under that name.
    OSError: it cannot be written.
  """
  check_place(out)
  drawn = _drawn(pairing, settings)
  for each in drawn.values():
    if not any(q.suits(bool(each.pair.task.told)) for q in settings.questions):
      raise ValueError(f'no question is asked of pair {each.pair.name}')
  out.parent.mkdir(parents=True, exist_ok=True)
  partial = out.with_name(f'.{out.name}.{os.getpid()}.partial')
  place = partial / _PAGE / _FILMS
  place.mkdir(parents=True)
  try:
    digest = _film(place, drawn)
    data = _data(drawn, settings)
    plain = json.dumps(data, sort_keys=True).encode()
    data['page'] = hashlib.sha256(digest + plain).hexdigest()[:12]
    size = sum(path.stat().st_size for path in place.iterdir())
    if size * 4 // 3 <= settings.most:
      data['films'] = {
        path.stem: embed.uri('video/mp4', path.read_bytes())
        for path in place.iterdir()
      }
      shutil.rmtree(place)
    text = render.page(data)
    workdir_lib.write_whole(partial / _PAGE / _INDEX, text)
    key = _key(data['page'], drawn, settings, folders, pairing.left_out)
    workdir_lib.write_whole(partial / key_lib.FILE, key_lib.text(key))
    if out.exists():
      out.rmdir()
    partial.rename(out)
  finally:
    shutil.rmtree(partial, ignore_errors=True)
  return _summary(out, len(drawn), len(text.encode()), settings)


def check_place(out: pathlib.Path) -> None:
  """ValueError if there is something already: judges may be at work on it."""
  try:
    taken = any(out.iterdir())
  except FileNotFoundError:
    return
  except NotADirectoryError:
    taken = True
  if taken:
    raise ValueError(f'--out {out}: there is something already; name another')


def _drawn(pairing: pairs_lib.Pairing, settings: Settings) -> dict[str, _Drawn]:
  """The pairs of the page by their number, all drawn at random."""
  rng = np.random.default_rng(settings.seed)
  count = len(pairing.pairs) if settings.count is None else settings.count
  for name, wanted in (('pairs', count), ('checks', settings.checks)):
    if wanted > len(pairing.pairs):
      raise ValueError(
        f'--{name}={wanted}: there are {len(pairing.pairs)} pairs'
      )
  if not count:
    raise ValueError('no pair of stories is left to judge')
  order = rng.permutation(len(pairing.pairs))[:count]
  entries = []
  for pair in (pairing.pairs[i] for i in order):
    shown = map(_Shown, settings.names, pair.stories)
    entries.append((pair, False, tuple(shown)))
  for index in rng.permutation(len(pairing.pairs))[: settings.checks]:
    pair = pairing.pairs[index]
    story = pair.stories[rng.integers(2)]
    shown = _Shown(key_lib.WHOLE, story), _Shown(key_lib.DAMAGED, story)
    entries.append((pair, True, shown))
  entries = [entries[i] for i in rng.permutation(len(entries))]
  digits = len(str(2 * len(entries)))
  numbers = iter(rng.permutation(2 * len(entries)) + 1)
  out = {}
  for number, (pair, check, shown) in enumerate(entries, 1):
    named = sorted((f'{next(numbers):0{digits}d}', each) for each in shown)
    out[str(number)] = _Drawn(pair, check, dict(named))
  return out


def _film(place: pathlib.Path, drawn: dict[str, _Drawn]) -> bytes:
  """Writes all films in the order of their numbers; a digest of them."""
  shown = {n: film for each in drawn.values() for n, film in each.films.items()}
  digest = hashlib.sha256()
  for number in tqdm.tqdm(sorted(shown), desc='films', dynamic_ncols=True):
    path = place / f'{number}.mp4'
    story = shown[number].story
    with films.written(path, story.rate, *story.size) as write_frame:
      for frame in _frames(shown[number]):
        write_frame(frame)
    digest.update(path.read_bytes())
  return digest.digest()


def _frames(shown: _Shown) -> Iterator[np.ndarray]:
  """The frames of a film, uint8 [Y, X, 3]."""
  frames = film_lib.frames(shown.story.film)
  if shown.of != key_lib.DAMAGED:
    yield from (frame for _, frame in frames)
    return
  # Whoever looks sees it, whatever is asked: blocks, and nothing moves.
  _, first = next(frames)
  blocks = Image.fromarray(first).resize(_BLOCKS, Image.BOX)
  still = np.asarray(blocks.resize(shown.story.size, Image.NEAREST))
  for _ in range(shown.story.frames):
    yield still


def _data(drawn: dict[str, _Drawn], settings: Settings) -> dict[str, Any]:
  """What the page knows: nothing of sets."""
  pairs = {}
  for number, each in drawn.items():
    task = each.pair.task
    width, height = task.size
    pairs[number] = {
      'prompt': task.prompt,
      'told': [words._asdict() for words in task.told],
      'seconds': task.frames / task.rate,
      'shape': f'{width} / {height}',
      'questions': [
        q.id for q in settings.questions if q.suits(bool(task.told))
      ],
      'films': list(each.films),
      'words': {
        name: [words._asdict() for words in film.story.words]
        for name, film in each.films.items()
        if settings.show_words
      },
    }
  return {
    'questions': {q.id: q.text for q in settings.questions},
    'pairs': pairs,
    'films': {
      name: f'{_FILMS}/{name}.mp4'
      for each in drawn.values()
      for name in each.films
    },
  }


def _key(
  page: str,
  drawn: dict[str, _Drawn],
  settings: Settings,
  folders: tuple[pathlib.Path, pathlib.Path],
  left_out: tuple[str, ...],
) -> key_lib.Key:
  """What the page hides."""
  return key_lib.Key(
    page=page,
    names=settings.names,
    folders=(str(folders[0]), str(folders[1])),
    seed=settings.seed,
    questions=settings.questions,
    pairs={
      number: key_lib.Entry(
        name=each.pair.name,
        check=each.check,
        told=bool(each.pair.task.told),
        films={name: film.of for name, film in each.films.items()},
      )
      for number, each in drawn.items()
    },
    left_out=left_out,
  )


def _summary(
  out: pathlib.Path, pairs: int, size: int, settings: Settings
) -> str:
  """What was written, in a line."""
  beside = (out / _PAGE / _FILMS).exists()
  films_lie = 'films beside it' if beside else 'films in it'
  return (
    f'{out / _PAGE}: {pairs} pairs, {settings.checks} of them checks, in a '
    f'page of {size / 1e6:.1f} MB with the {films_lie}; give it away whole, '
    f'but not {out / key_lib.FILE}, which says which film is whose'
  )
