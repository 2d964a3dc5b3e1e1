"""A converted folder is there whole, or not at all."""

from collections.abc import Iterator
import contextlib
import json
import pathlib
import shutil
from typing import Any

from launch import weights


def is_there(out: pathlib.Path, head: dict[str, Any]) -> bool:
  """Whether `out` was made of the same files, to the same end.

  Raises:
    ValueError: it holds something else.
  """
  if not out.exists() or (out.is_dir() and not any(out.iterdir())):
    return False
  try:
    held = json.loads((out / weights.REPORT).read_bytes())
    same = all(held[name] == value for name, value in head.items())
  except (OSError, ValueError, KeyError, TypeError):
    same = False
  if not same:
    raise ValueError(
      f'{out}: is there, and not made of these files; choose another --out, '
      'or delete it'
    )
  return True


@contextlib.contextmanager
def folder(out: pathlib.Path) -> Iterator[pathlib.Path]:
  """A folder beside `out` that becomes it at the end, or is taken away."""
  partial = out.with_name(f'.{out.name}.partial')
  shutil.rmtree(partial, ignore_errors=True)
  partial.mkdir(parents=True)
  try:
    yield partial
    partial.rename(out)
  except BaseException:
    shutil.rmtree(partial, ignore_errors=True)
    raise


def files(paths: set[pathlib.Path]) -> list[dict[str, Any]]:
  """Names, sizes and times of files, by which they are known again."""
  stats = {path.name: path.stat() for path in paths}
  return [
    {'name': name, 'bytes': stat.st_size, 'changed_ns': stat.st_mtime_ns}
    for name, stat in sorted(stats.items())
  ]
