"""A contact sheet: rows of pictures, under each the words of its time."""

from collections.abc import Sequence
import textwrap
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

_WIDE = 160  # pixels of a picture
_GAP = 8
_LETTER = 13  # pixels
_LINE = 16
_LETTERS = 26  # that are about as wide as a picture
_LINES = 9  # of words under a picture


class Shot(NamedTuple):
  """A picture and what is said from then on."""

  picture: np.ndarray  # uint8 [Y, X, 3]
  seconds: float
  words: Sequence[str]


class Row(NamedTuple):
  """Some pictures of a film."""

  title: str
  shots: Sequence[Shot]


def draw(rows: Sequence[Row]) -> Image.Image:
  """The rows below one another."""
  drawn = [_row(row) for row in rows]
  width = max(image.width for image in drawn)
  height = sum(image.height for image in drawn)
  sheet = Image.new('RGB', (width, height), 'white')
  top = 0
  for image in drawn:
    sheet.paste(image, (0, top))
    top += image.height
  return sheet


def _row(row: Row) -> Image.Image:
  font = ImageFont.load_default(_LETTER)
  pictures = [_scaled(shot.picture) for shot in row.shots]
  texts = [_lines(shot, font) for shot in row.shots]
  columns = len(pictures)
  width = columns * (_WIDE + _GAP) + _GAP
  title = textwrap.wrap(row.title, columns * _LETTERS)[:3]
  below = _GAP + _LINE * len(title)
  words = below + max(picture.height for picture in pictures) + 2
  height = words + _LINE * max(map(len, texts)) + _GAP
  image = Image.new('RGB', (width, height), 'white')
  pen = ImageDraw.Draw(image)
  pen.multiline_text(
    (_GAP, _GAP // 2), '\n'.join(title), 'black', font, spacing=2
  )
  for column, (picture, lines) in enumerate(zip(pictures, texts, strict=True)):
    left = _GAP + column * (_WIDE + _GAP)
    image.paste(picture, (left, below))
    for number, line in enumerate(lines):
      colour = 'dimgray' if number == 0 else 'black'
      pen.text((left, words + number * _LINE), line, colour, font)
  return image


def _scaled(picture: np.ndarray) -> Image.Image:
  image = Image.fromarray(picture)
  size = _WIDE, max(1, round(_WIDE * image.height / image.width))
  small = image.width < _WIDE
  return image.resize(size, Image.NEAREST if small else Image.BOX)


def _lines(shot: Shot, font: ImageFont.FreeTypeFont) -> list[str]:
  """The time, and the words as lines; dots where there are more."""
  lines = [line for text in shot.words for line in _wrapped(text, font)]
  if len(lines) > _LINES:
    lines = [*lines[: _LINES - 1], '...']
  return [f'{shot.seconds:.1f} s', *lines]


def _wrapped(text: str, font: ImageFont.FreeTypeFont) -> list[str]:
  """Lines no wider than a picture; letters are not all as wide as most."""
  for letters in range(_LETTERS, 3, -1):
    lines = textwrap.wrap(text, letters, subsequent_indent='  ')
    if all(font.getlength(line) <= _WIDE for line in lines):
      break
  return lines
