"""A corpus of videos that count, with all that may lie beside them."""

import fractions
import io
import pathlib
import tarfile
from typing import Any

from data_pipelines.sources import source
from data_pipelines.sources import videos
from tests.data_pipelines import counter

_EXACT = fractions.Fraction(25, 2)
RATE = 12.5  # frames/s
_COUNT = 43  # frames: takes of 17, 17 and 11, the last of them cut to 9
_VTT = """WEBVTT

00:00.100 --> 00:00.500
one

00:01.000 --> 00:01.400
two

00:01.280 --> 00:09.000
three
"""


def files() -> dict[str, bytes]:
  """Names and bytes of a corpus in which nothing is wrong."""
  film = counter.film(_COUNT, rate=_EXACT)
  return {
    'a.mp4': film,
    'a.vtt': _VTT.encode(),
    'a.json': b'{"prompt": "a counter", "license": "CC0", "key": 7}',
    'b/a.b.MP4': film,
    'b/a.b.en.srt': b'1\n00:00:00,000 --> 00:00:01,000\nfour\n',
    'b/a.b.de.srt': b'1\n00:00:00,000 --> 00:00:01,000\nvier\n',
    'b/a.b.txt': b' another\ncounter ',
    'c.webm': counter.film(9, ('webm', 'libvpx'), rate=_EXACT),
    'c.json': b'{"captions": [{"time": 0.2, "text": "five"}]}',
    'notes.txt': b'no video',
  }


def write(folder: pathlib.Path, files: dict[str, bytes]) -> pathlib.Path:
  """A folder of files."""
  for name, data in files.items():
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
  return folder


def pack(path: pathlib.Path, files: dict[str, bytes]) -> pathlib.Path:
  """A TAR file of files."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with tarfile.open(path, 'w') as tar:
    for name, data in files.items():
      member = tarfile.TarInfo(name)
      member.size = len(data)
      tar.addfile(member, io.BytesIO(data))
  return path


def corpus(path: pathlib.Path, **settings: Any) -> videos.Videos:
  """The source of takes of 17 frames, none of them held out."""
  return videos.Videos(
    input=str(path), **{'seconds': 1.3, 'test_share': 0.0, **settings}
  )


def made(
  corpus: videos.Videos,
) -> tuple[list[source.Film], list[source.Dropped]]:
  """Takes and what is left out, of all units."""
  found = [each for unit in corpus.units() for each in corpus.takes(unit)]
  takes = [each for each in found if isinstance(each, source.Film)]
  return takes, [each for each in found if isinstance(each, source.Dropped)]
