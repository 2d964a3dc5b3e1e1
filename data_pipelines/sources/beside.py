"""What lies beside a video: captions, a prompt and a licence.

Beside `a.mp4`, in the same folder or the same TAR file, may lie

| file | is |
|---|---|
| `a.jsonl`, `a.vtt`, `a.srt` | captions; the first of these that is there |
| `a.en.jsonl`, `a.en.vtt`, `a.en.srt` | the same, where none of them is |
| `a.json` | an object: `prompt` and `license`, texts, and `captions`, a list of what is a line in JSONL, where there is no file of captions |
| `a.txt` | the prompt, where `a.json` has none |
"""  # noqa: E501 - a row of a table is one line

from collections.abc import Iterator
import posixpath
from typing import NamedTuple

from data_pipelines import texts
from data_pipelines.sources import captions as captions_lib
from data_pipelines.sources import places


class Beside(NamedTuple):
  """What is said of a video.

  Attributes:
    captions: in order of time; None if there is no file of them.
    prompt: '' if there is none.
    license: '' if there is none.
  """

  captions: list[captions_lib.Caption] | None
  prompt: str
  license: str


def read(place: places.Place, video: str, language: str) -> Beside:
  """What lies beside a video.

  Args:
    place: where it lies.
    video: its name there.
    language: of captions whose names have one, such as 'en'.

  Raises:
    ValueError: a file is no UTF-8 or not what it should be; names the line or
      the field.
  """
  stem = posixpath.splitext(video)[0]
  where = place.where(f'{stem}.json')
  about = texts.json_object(place.read(f'{stem}.json'), where)
  captions = None
  for name, suffix in _caption_files(stem, language):
    data = place.read(name)
    if data is not None:
      captions = captions_lib.read(data, suffix, place.where(name))
      break
  else:
    if 'captions' in about:
      captions = captions_lib.listed(about['captions'], f'{where}: captions')
  prompt = texts.field(about, 'prompt', where)
  if not prompt:
    notes = place.read(f'{stem}.txt') or b''
    prompt = texts.utf8(notes, place.where(f'{stem}.txt'))
  return Beside(
    captions, ' '.join(prompt.split()), texts.field(about, 'license', where)
  )


def of_caption_file(name: str) -> list[str]:
  """What videos' names begin with, for which a file of captions may be."""
  stem, suffix = posixpath.splitext(name)
  if suffix.lower() not in captions_lib.SUFFIXES:
    return []
  return [stem, posixpath.splitext(stem)[0]]


def _caption_files(stem: str, language: str) -> Iterator[tuple[str, str]]:
  """Names that captions may have, and their suffixes, first choice first."""
  for middle in ('', f'.{language}'):
    for suffix in captions_lib.SUFFIXES:
      yield f'{stem}{middle}{suffix}', suffix
