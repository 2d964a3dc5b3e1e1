"""The stories of a folder: their records and frames, and those that failed.

A folder is what `launch.generate --prompts` leaves. Frames are read back from
story.mp4: at five times the size of the picture, of which the middle of each
square is taken, they are 38 dB from what the model filmed (Doom, 64 x 48). Real
film that stories are held against goes through the same file, so that no
judge tells one from the other by the codec.
"""

from collections.abc import Iterator, Mapping, Sequence
import hashlib
import json
import pathlib
from typing import Any, NamedTuple

from jaxtyping import UInt8
import numpy as np
from PIL import Image

from data_pipelines import film
from launch import embed
from launch import story_folder
from launch.stories import batch
from launch.stories import prompts

# What all stories of a folder have in common.
COMMON = ('rate', 'size', 'chunk_frames')
_NEAR = 1e-3  # by what share a file may round its rate

Frames = UInt8[np.ndarray, 'T Y X 3']


class Told(NamedTuple):
  """A story whose record was read; its film was not yet.

  Attributes:
    name: of its folder.
    record: its story.json.
    digest: of the bytes of its record and its film.
  """

  name: str
  record: Mapping[str, Any]
  digest: str


class Failed(NamedTuple):
  """A story that is not there, or cannot be read.

  Attributes:
    name: of its folder.
    error: why; the names of files in it begin in the folder of the stories.
  """

  name: str
  error: str


def stories(folder: pathlib.Path) -> list[Told | Failed]:
  """Every story that a folder has or should have, in the order of names.

  Raises:
    ValueError: no such folder, no story in it, or stories of different rates,
      sizes or chunks; names two of them.
  """
  names = _names(folder)
  found = [_read(folder, name) for name in sorted(names, key=prompts.order)]
  if not found:
    raise ValueError(
      f'{folder}: no story there; give the --out of launch.generate --prompts'
    )
  check_alike(folder, found)
  return found


def check_alike(
  where: pathlib.Path | str, found: Sequence[Told | Failed]
) -> None:
  """ValueError if some stories have another rate, size or chunks than others.

  Args:
    where: the stories are, to name.
    found: the stories.
  """
  told = [each for each in found if isinstance(each, Told)]
  for each in told[1:]:
    for field in COMMON:
      first, other = told[0].record[field], each.record[field]
      if first != other:
        raise ValueError(
          f'{where}: stories are not alike: {field} of {told[0].name} is '
          f'{first}, of {each.name} {other}; evaluate them apart'
        )


def _names(folder: pathlib.Path) -> set[str]:
  """Names of stories that are there, or failed, or are in the summary."""
  try:
    paths = list(folder.iterdir())
  except OSError as error:
    raise ValueError(f'{folder}: no stories ({error.strerror})') from None
  names = {p.name for p in paths if p.is_dir() and p.name[0] != '.'}
  names |= _failures(folder).keys()
  summary = folder / batch.SUMMARY
  if summary.exists():
    for number, line in enumerate(summary.read_bytes().splitlines(), 1):
      try:
        names.add(str(json.loads(line)['id']))
      except (ValueError, KeyError, TypeError):
        raise ValueError(f'{summary}:{number}: no line of a story') from None
  return names


def _failures(folder: pathlib.Path) -> dict[str, str]:
  """Why stories could not be told, by their names."""
  found = {}
  for path in folder.glob('.*.failed.json'):
    name = path.name.removeprefix('.').removesuffix('.failed.json')
    try:
      found[name] = str(json.loads(path.read_bytes())['error'])
    except (ValueError, KeyError, TypeError):
      found[name] = f'{path.name} does not say why'
  return found


def _read(folder: pathlib.Path, name: str) -> Told | Failed:
  """A story; what is in its film is not looked at."""
  place = folder / name
  try:
    if not place.is_dir():
      why = _failures(folder).get(name, 'it is gone')
      return Failed(name, f'was not told: {why}')
    _, _, record = story_folder.load(place)
    path = place / story_folder.FILM
    if not path.is_file():
      return Failed(name, f'{name}/{path.name}: is missing')
    digest = hashlib.sha256((place / story_folder.RECORD).read_bytes())
    digest.update(path.read_bytes())
    count, rest = divmod(record['frames'] - 1, record['chunk_frames'])
    if rest or count < 1:
      raise ValueError(
        f'{place / story_folder.RECORD}: frames is {record["frames"]}, not '
        f'1 + n * {record["chunk_frames"]}'
      )
  except (ValueError, OSError) as error:
    return failed(folder, name, error)
  return Told(name, record, digest.hexdigest())


def failed(folder: pathlib.Path, name: str, error: Exception) -> Failed:
  """A story that cannot be read, whatever the name of its folder here."""
  text = ' '.join(str(error).split())
  return Failed(name, text.replace(f'{folder}/', ''))


def frames(folder: pathlib.Path, told: Told) -> Frames:
  """The frames of a story at the size at which it was filmed.

  Raises:
    ValueError: a film that is broken, or of another size, rate or length than
      the record says; names the file and both values.
  """
  path, record = folder / told.name / story_folder.FILM, told.record
  rows, columns = record['size']
  rate = film.probe(path).rate
  if abs(rate - record['rate']) > _NEAR * record['rate']:
    raise ValueError(
      f'{path}: has {rate:g} frames a second, {story_folder.RECORD} says '
      f'{record["rate"]:g}'
    )
  found = []
  for _, picture in film.frames(path):
    found.append(_small(picture, rows, columns, path))
  if len(found) != record['frames']:
    raise ValueError(
      f'{path}: has {len(found)} frames, {story_folder.RECORD} says '
      f'{record["frames"]}'
    )
  return np.stack(found)


def as_stored(films: Sequence[Frames], rate: float) -> Iterator[Frames]:
  """Films as a story's file would give them back."""
  for each in films:
    rows, columns = each.shape[1:3]
    stored = film.frames(embed.mp4(each, rate), where='real film')
    yield np.stack([_small(one, rows, columns, '') for _, one in stored])


def _small(
  picture: UInt8[np.ndarray, 'Y X 3'],
  rows: int,
  columns: int,
  path: pathlib.Path | str,
) -> UInt8[np.ndarray, 'Y X 3']:
  """A frame of a file at its story's size.

  Bicubic enlarging by an odd number leaves a pixel's own colour in the middle
  of its square.
  """
  height, width = picture.shape[:2]
  scale = max(1, round(height / rows))
  # A file has an even number of rows and of columns.
  wanted = [scale * rows // 2 * 2, scale * columns // 2 * 2]
  if [height, width] not in (wanted, [rows, columns]):
    raise ValueError(
      f'{path}: pictures of {width}x{height} are no story of '
      f'{columns}x{rows}, which {story_folder.RECORD} says'
    )
  if scale % 2 and [height, width] == [scale * rows, scale * columns]:
    return picture[scale // 2 :: scale, scale // 2 :: scale]
  small = Image.fromarray(picture).resize((columns, rows), Image.BOX)
  return np.asarray(small)
