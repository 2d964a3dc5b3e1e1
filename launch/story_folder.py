"""A story in a folder: all that replays it, and what it looked like.

| file | holds |
|---|---|
| story.json | the script, every word and its time, what told it, digests |
| start.png | the starting frame; those of a clip one below another |
| story.mp4 | the film |
| story.png | a sheet with one frame of each chunk |

The same script, told by the same weights on the same kind of machine with the
same versions, gives the same frames, bit for bit. Nothing in a folder says when
or where it was made: the same story is the same bytes.
"""

from collections.abc import Mapping
import json
import os
import pathlib
import re
import shutil
import threading
from typing import Any, NamedTuple

import numpy as np

from launch import embed
from launch import storyteller as storyteller_lib
from launch.stories import fields
from launch.stories import frames as frames_lib
from launch.stories import provenance
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.sample import settings as settings_lib
from tv2tv_jax.train import workdir as workdir_lib

RECORD, FILM = 'story.json', 'story.mp4'
MOST_SEED = 2**32 - 1
MOST_CHUNKS = 100_000
_START, _SHEET = 'start.png', 'story.png'
_VERSION = 1
# The fields of a record, all of which must be there.
_KINDS = {
  'version': int,
  'prompt': str,
  'seed': int,
  'settings': dict,
  'layout': str,
  'chunks': int,
  'asks': dict,
  'turns': list,
  'start': dict,
  'rate': float,
  'chunk_frames': int,
  'size': list,
  'words': list,
  'frames': int,
  'digests': dict,
  'ended': str,
  'sample': dict,
  'checkpoint': dict,
  'software': dict,
}
_START_KINDS = {'file': str, 'frames': int, 'sha256': str}
_TURN_KINDS = {'chunk': int, 'seed': int, 'settings': dict}
_WORD_KINDS = {'chunk': int, 'seconds': float, 'text': str, 'told': bool}
_DIGEST_KINDS = {'film': str, 'chunks': list}


class Turn(NamedTuple):
  """From a chunk on, a fork goes on with another seed or other settings."""

  chunk: int
  seed: int
  settings: settings_lib.Settings


class Script(NamedTuple):
  """All that replays a story, but for its starting frames and the weights.

  Attributes:
    prompt: what it is about.
    seed: of all that is drawn.
    settings: how it is told.
    layout: where its words are.
    chunks: of the whole story, those of the start included.
    asks: words that a person put before a chunk, by its number; '': silence.
    turns: where a fork changed seed or settings, in order.
  """

  prompt: str
  seed: int
  settings: settings_lib.Settings
  layout: str
  chunks: int
  asks: dict[int, str]
  turns: tuple[Turn, ...] = ()


class Finished(NamedTuple):
  """A story that has been told.

  Attributes:
    script: it was told by.
    start: its starting frames, uint8 [n, Y, X, 3].
    words: before each chunk.
    frames: uint8 [T, Y, X, 3], those of the start included.
    ended: why: 'length', or 'eos' where the model ended it.
  """

  script: Script
  start: np.ndarray
  words: list[str]
  frames: np.ndarray
  ended: str


def save(
  folder: pathlib.Path,
  finished: Finished,
  teller: storyteller_lib.Storyteller,
) -> None:
  """Writes the folder of a story; it appears when it is whole.

  Raises:
    ValueError: there is something else under that name.
    OSError: it cannot be written.
  """
  check_place(folder)
  folder.parent.mkdir(parents=True, exist_ok=True)
  for left in folder.parent.glob('.*.partial'):
    # Of the same story, and killed.
    if re.fullmatch(rf'\.{re.escape(folder.name)}\.\d+-\d+', left.stem):
      shutil.rmtree(left, ignore_errors=True)
  own = f'{os.getpid()}-{threading.get_ident()}'
  partial = folder.with_name(f'.{folder.name}.{own}.partial')
  partial.mkdir()
  try:
    frames_lib.strip(finished.start).save(partial / _START)
    sheet = frames_lib.sheet(finished.frames[:: teller.step])
    sheet.save(partial / _SHEET)
    film = embed.mp4(finished.frames, teller.rate)
    (partial / FILM).write_bytes(film)
    text = json.dumps(record_of(finished, teller), indent=2) + '\n'
    workdir_lib.write_whole(partial / RECORD, text)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
  finally:
    shutil.rmtree(partial, ignore_errors=True)


def check_place(folder: pathlib.Path) -> None:
  """ValueError if a folder holds something that is no story."""
  try:
    other = not (folder / RECORD).exists() and any(folder.iterdir())
  except FileNotFoundError:
    return
  except NotADirectoryError:
    other = True
  if other:
    raise ValueError(f'--out {folder}: there is something else; name another')


def is_whole(folder: pathlib.Path) -> bool:
  """Whether every file of a story is there; what is in them is not read."""
  names = (RECORD, FILM, _START, _SHEET)
  return all((folder / name).is_file() for name in names)


def record_of(
  finished: Finished, teller: storyteller_lib.Storyteller
) -> dict[str, Any]:
  """What story.json holds of a story."""
  script = finished.script
  return {
    'version': _VERSION,
    **script_record(script),
    'start': {
      'file': _START,
      'frames': len(finished.start),
      'sha256': frames_lib.digest(finished.start),
    },
    'rate': teller.rate,
    'chunk_frames': teller.step,
    'size': list(teller.size),
    'words': [
      {
        'chunk': number,
        'seconds': round(teller.time_of(number), 3),
        'text': text,
        'told': number in script.asks,
      }
      for number, text in enumerate(finished.words)
      if text
    ],
    'frames': len(finished.frames),
    'digests': {
      'film': frames_lib.digest(finished.frames),
      'chunks': frames_lib.digests(finished.frames, teller.step),
    },
    'ended': finished.ended,
    **provenance.of(teller),
  }


def script_record(script: Script) -> dict[str, Any]:
  """What story.json holds of a script."""
  asks = {str(chunk): text for chunk, text in sorted(script.asks.items())}
  return {
    **script._asdict(),
    'settings': _settings_record(script.settings),
    'asks': asks,
    'turns': [
      {**turn._asdict(), 'settings': _settings_record(turn.settings)}
      for turn in script.turns
    ],
  }


def load(
  folder: pathlib.Path,
) -> tuple[Script, np.ndarray, dict[str, Any]]:
  """The script of a saved story, its starting frames, and its whole record.

  Raises:
    ValueError: no story there, or one that is damaged; names file and field.
  """
  path = folder / RECORD
  try:
    data = path.read_bytes()
  except OSError as error:
    raise ValueError(f'{path}: no story there ({error.strerror})') from None
  record = fields.parsed(data, str(path))
  version = record.get('version')
  if version != _VERSION:  # First: it explains every other difference.
    raise ValueError(
      f'{path}: version is {fields.shown(version)}, this program reads '
      f'{_VERSION}'
    )
  record = fields.whole(record, _KINDS, str(path))
  for index, word in enumerate(record['words']):
    fields.whole(word, _WORD_KINDS, f'{path}: words[{index}]')
  digests = fields.whole(record['digests'], _DIGEST_KINDS, f'{path}: digests')
  for index, each in enumerate(digests['chunks']):
    fields.of_kind(each, str, f'{path}: digests.chunks[{index}]')
  return _script(record, str(path)), _start(folder, record), record


def _script(record: Mapping[str, Any], where: str) -> Script:
  """The script in a record."""
  fields.one_of(record['layout'], story_lib.Layout, f'{where}: layout')
  chunks = fields.between(record['chunks'], 2, MOST_CHUNKS, f'{where}: chunks')
  asks = {}
  for name, text in record['asks'].items():
    number = int(name) if name.isdecimal() and len(name) < 8 else 0
    fields.between(number, 1, chunks - 1, f'{where}: asks: {name!r}')
    asks[number] = fields.of_kind(text, str, f'{where}: asks.{name}')
  return Script(
    prompt=record['prompt'],
    seed=fields.between(record['seed'], 0, MOST_SEED, f'{where}: seed'),
    settings=_settings(record['settings'], f'{where}: settings'),
    layout=record['layout'],
    chunks=chunks,
    asks=asks,
    turns=tuple(
      _turn(turn, chunks, f'{where}: turns[{index}]')
      for index, turn in enumerate(record['turns'])
    ),
  )


def _turn(turn: Any, chunks: int, where: str) -> Turn:
  """A turn in a record."""
  turn = fields.whole(turn, _TURN_KINDS, where)
  return Turn(
    fields.between(turn['chunk'], 1, chunks - 1, f'{where}: chunk'),
    fields.between(turn['seed'], 0, MOST_SEED, f'{where}: seed'),
    _settings(turn['settings'], f'{where}: settings'),
  )


def _settings(values: Mapping[str, Any], where: str) -> settings_lib.Settings:
  """The settings in a record."""
  values = fields.whole(values, fields.SETTINGS, where)
  return fields.settings(settings_lib.Settings(), values, where)


def _settings_record(settings: settings_lib.Settings) -> dict[str, Any]:
  return {**settings._asdict(), 'times': list(settings.times)}


def _start(folder: pathlib.Path, record: Mapping[str, Any]) -> np.ndarray:
  """The starting frames, which must be what the record says."""
  where = f'{folder / RECORD}: start'
  start = fields.whole(record['start'], _START_KINDS, where)
  path = folder / _START
  frames = frames_lib.read_strip(path, start['frames'])
  if frames_lib.digest(frames) != start['sha256']:
    raise ValueError(f'{path}: is not the start that {RECORD} was told from')
  return frames
