"""What is written beside a video: its title and what it is about.

Beside `match.mp4` may lie `match.json` or `match.info.json` (an object, as
video downloaders write it) and `match.txt`.
"""

from collections.abc import Iterator, Sequence
import pathlib
import re
from typing import Any, NamedTuple

from data_pipelines import texts

# Of the object: texts, or lists of texts.
_FIELDS = ('title', 'description', 'keywords', 'tags', 'categories')


class Metadata(NamedTuple):
  """What is known of a video before it is opened.

  Attributes:
    title: '' if there is none.
    license: '' if there is none.
    text: all that is searched for keywords, the name of the file included.
  """

  title: str
  license: str
  text: str


def read(video: pathlib.Path) -> Metadata:
  """The metadata of a video.

  Raises:
    ValueError: a file beside it is no UTF-8, no JSON or no object.
  """
  found, said = {}, {'title': '', 'license': ''}
  for suffix in ('.info.json', '.json'):
    path = video.with_suffix(suffix)
    about = texts.json_object(_bytes(path), str(path))
    found |= {name: value for name, value in about.items() if value is not None}
    for name, text in said.items():
      said[name] = texts.field(about, name, str(path)) or text
  notes = video.with_suffix('.txt')
  written = texts.utf8(_bytes(notes) or b'', str(notes))
  searched = [video.stem, *_texts(found), *([written] if written else [])]
  return Metadata(**said, text='\n'.join(searched))


def mentions(text: str, keywords: Sequence[str]) -> bool:
  """Whether any of the keywords stands in the text, as whole words."""
  return any(
    re.search(rf'(?<!\w){re.escape(keyword)}(?!\w)', text, re.IGNORECASE)
    for keyword in keywords
  )


def _texts(found: dict[str, Any]) -> Iterator[str]:
  for name in _FIELDS:
    value = found.get(name)
    for text in value if isinstance(value, list) else [value]:
      if isinstance(text, str):
        yield text


def _bytes(path: pathlib.Path) -> bytes | None:
  return path.read_bytes() if path.is_file() else None
