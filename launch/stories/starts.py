"""How a story may begin: a kept frame, a picture, recorded film, a clip."""

import math
import pathlib
import re
from typing import NamedTuple

import numpy as np
from PIL import Image

from data_pipelines import film
from data_pipelines import records
from launch import storyteller as storyteller_lib

_CLIP = 1.0  # seconds of a video, where nothing is said
_PIXELS = 2**26  # of a picture: a damaged header may ask for all memory


class Places(NamedTuple):
  """Where starts are looked for.

  Attributes:
    workdir: of launch.train, which keeps some.
    records: a dataset of takes, for SPLIT:TAKE; None if there is none.
    seconds: of a start clip; None: a video's first second, and else a frame.
  """

  workdir: pathlib.Path
  records: str | None = None
  seconds: float | None = None


def read(
  start: str,
  places: Places,
  teller: storyteller_lib.Storyteller,
  where: str,
) -> storyteller_lib.Start:
  """The frames that a start names, of the model's size, and its prompt.

  Args:
    start: a number, the path of a picture or of a video, or SPLIT:TAKE.
    places: where it is looked for.
    teller: that is to go on from there.
    where: the start is named, for errors.

  Raises:
    ValueError: none of these, of another size, or shorter than asked for.
  """
  found = _found(start, places, teller, where)
  rows, columns = found.frames.shape[1:3]
  if (rows, columns) != teller.size:
    raise ValueError(
      f'{where}: a starting frame of {columns}x{rows}: this model films '
      f'{teller.size[1]}x{teller.size[0]}; scale or crop it'
    )
  return found


def _found(
  start: str,
  places: Places,
  teller: storyteller_lib.Storyteller,
  where: str,
) -> storyteller_lib.Start:
  """The start, of whatever size."""
  if re.fullmatch(r'\d{1,9}', start, re.ASCII):
    _check_frame(places, where)
    return storyteller_lib.kept_start(places.workdir, int(start))
  match = re.fullmatch(r'(\w+):(\d{1,18})', start, re.ASCII)
  if match:
    return _recorded(match[1], int(match[2]), places, teller, where)
  try:
    with Image.open(start) as picture:
      if picture.width * picture.height > _PIXELS:
        raise ValueError(
          f'{where}: a picture of {picture.width}x{picture.height} is too large'
        )
      frame = np.asarray(picture.convert('RGB'))
  except Image.UnidentifiedImageError:
    return storyteller_lib.Start(_clip(start, places, teller, where), '')
  except (OSError, SyntaxError, Image.DecompressionBombError) as error:
    raise ValueError(
      f'{where}: no picture ({error}); give a number, a picture or video file, '
      'or SPLIT:TAKE, as in test:0'
    ) from error
  _check_frame(places, where)
  return storyteller_lib.Start(frame[None], '')


def _check_frame(places: Places, where: str) -> None:
  """ValueError if a clip is asked for where there is one frame."""
  if places.seconds is not None:
    raise ValueError(
      f'{where} is one frame: --start_seconds={places.seconds:g} needs a video '
      'file or SPLIT:TAKE'
    )


def _recorded(
  split: str,
  number: int,
  places: Places,
  teller: storyteller_lib.Storyteller,
  where: str,
) -> storyteller_lib.Start:
  """The first frames of recorded film."""
  if places.records is None:
    raise ValueError(f'{where} needs --records DIR to look in')
  takes = records.Takes(places.records, split)
  if number >= len(takes):
    raise ValueError(
      f'{where}: {places.records} has {len(takes)} takes in {split}'
    )
  take = takes[number]
  count = _frames(places.seconds, teller) if places.seconds else 1
  if count > take.frame_count:
    raise ValueError(
      f'{where}: has {take.frame_count} frames, '
      f'--start_seconds={places.seconds:g} needs {count}'
    )
  if count > 1 and take.rate != teller.rate:
    raise ValueError(
      f'{where}: was recorded at {take.rate:g} frames/s, this model films '
      f'{teller.rate:g}: begin with one frame'
    )
  return storyteller_lib.Start(take.frames(0, count), take.prompt)


def _clip(
  path: str,
  places: Places,
  teller: storyteller_lib.Storyteller,
  where: str,
) -> np.ndarray:
  """The first frames of a video, at the model's rate: as many as are whole."""
  wanted = _frames(places.seconds or _CLIP, teller)
  frames = []
  try:
    for _, frame in film.frames(path, rate=teller.rate):
      frames.append(frame)
      if len(frames) == wanted:
        break
  except ValueError as error:
    raise ValueError(f'{where}: no picture and no video ({error})') from None
  if places.seconds and len(frames) < wanted:
    raise ValueError(
      f'{where}: has {len(frames)} frames at {teller.rate:g} frames/s, '
      f'--start_seconds={places.seconds:g} needs {wanted}'
    )
  whole = 1 + (len(frames) - 1) // teller.step * teller.step
  return np.stack(frames[:whole])


def _frames(seconds: float, teller: storyteller_lib.Storyteller) -> int:
  """Of a start clip: 1, and whole chunks after it."""
  chunks = math.ceil(seconds * teller.rate / teller.step - 0.5)
  return 1 + teller.step * max(0, chunks)
