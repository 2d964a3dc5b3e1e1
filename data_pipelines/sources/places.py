"""Where a corpus lies: in a folder, or in a TAR file."""

from collections.abc import Iterator, Mapping
import contextlib
import hashlib
import os
import pathlib
import posixpath
import tarfile
from typing import Any, NamedTuple, Protocol

# Of names of videos.
VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.webm')

# A file ends with blocks of zeros.
_BLOCK = 512
# The reader lets errors of what it calls through.
_DAMAGE = (tarfile.TarError, ValueError, OverflowError, EOFError, OSError)


def files(path: str | os.PathLike, *suffixes: str) -> dict[str, int]:
  """Names and sizes of the files below a folder, in order, or of one file.

  Hidden ones are left out.

  Args:
    path: of the folder, or of the file.
    suffixes: of the names; none: any.

  Raises:
    ValueError: there is neither.
  """
  path = pathlib.Path(path)
  if not path.exists():
    raise ValueError(f'input is {os.fspath(path)!r}: no such file or folder')
  if path.is_file():
    found = {path.name: path}
  else:
    found = {
      name: file
      for file in sorted(path.rglob('*'))
      if not (name := file.relative_to(path).as_posix()).startswith('.')
      and '/.' not in name
      and file.is_file()
    }
  return {
    name: file.stat().st_size
    for name, file in found.items()
    if not suffixes or suffix(name) in suffixes
  }


def root(path: str | os.PathLike) -> pathlib.Path:
  """The folder that the names of `files` are relative to."""
  path = pathlib.Path(path)
  return path.parent if path.is_file() else path


def recipe(files: Mapping[str, int]) -> dict[str, Any]:
  """What a recipe says of files: how many, and a digest of names and sizes.

  Not where they lie, so that a corpus may be moved.
  """
  digest = hashlib.sha256()
  for name, size in files.items():
    digest.update(f'{name}\0{size}\0'.encode())
  return {'files': len(files), 'digest': digest.hexdigest()}


def suffix(name: str) -> str:
  """The ending of a file's name, in small letters: '.mp4'."""
  return posixpath.splitext(name)[1].lower()


class Place(Protocol):
  """Files by names with slashes."""

  def where(self, name: str) -> str:
    """A file's name for errors."""
    ...

  def read(self, name: str) -> bytes | None:
    """The bytes of a file; None if there is none."""
    ...

  def video(self, name: str) -> str | bytes:
    """A file as `film` reads it: its path, or its bytes."""
    ...


class Folder(NamedTuple):
  """A folder and the folders in it."""

  path: pathlib.Path

  def where(self, name: str) -> str:
    """A file's name for errors."""
    return os.fspath(self.path / name)

  def read(self, name: str) -> bytes | None:
    """The bytes of a file; None if there is none."""
    file = self.path / name
    return file.read_bytes() if file.is_file() else None

  def video(self, name: str) -> str:
    """The path of a file."""
    return self.where(name)


class Shard(NamedTuple):
  """An open TAR file.

  Attributes:
    path: of it.
    tar: its reader.
    members: its files by name, in their order; links and devices are none.
    damage: where it is cut short or broken; '' if it is whole.
  """

  path: pathlib.Path
  tar: tarfile.TarFile
  members: dict[str, tarfile.TarInfo]
  damage: str

  def where(self, name: str) -> str:
    """A file's name for errors."""
    return f'{self.path}: {name}'

  def read(self, name: str) -> bytes | None:
    """The bytes of a file; None if there is none."""
    if name not in self.members:
      return None
    try:
      return self.tar.extractfile(self.members[name]).read()
    except _DAMAGE as error:
      raise ValueError(
        f'{self.where(name)}: cannot be read ({error})'
      ) from None

  def video(self, name: str) -> bytes:
    """The bytes of a file."""
    return self.read(name) or b''


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[Shard]:
  """A TAR file, without compression, up to where it is damaged.

  Raises:
    ValueError: it is none.
  """
  with contextlib.ExitStack() as stack:
    try:
      tar = stack.enter_context(tarfile.open(path, 'r:'))
    except _DAMAGE as error:
      raise ValueError(f'{path}: not a TAR file ({error})') from None
    members = {}
    damage = _listed(tar, path.stat().st_size, members)
    yield Shard(path, tar, members, damage and f'{path}: {damage}')


def _listed(
  tar: tarfile.TarFile, size: int, members: dict[str, tarfile.TarInfo]
) -> str:
  """Collects the files of a TAR file; what is wrong after them, or ''."""
  try:
    for member in tar:
      end = member.offset_data + member.size
      if end > size:
        return f'{member.name} ends at byte {end} of {size}'
      # A sparse file may be of any size.
      if member.isfile() and not member.issparse():
        members[member.name.removeprefix('./')] = member
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(_BLOCK) != bytes(_BLOCK):
      return f'at byte {tar.offset} is neither a file nor the end'
  except _DAMAGE as error:
    return f'damaged after {len(members)} files ({error})'
  return ''
