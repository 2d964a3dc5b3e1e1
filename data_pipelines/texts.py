"""Bytes of files as text and as JSON objects, or an error that names them."""

import json
import re
from typing import Any

LINES = re.compile('\r\n|\n|\r')


def utf8(data: bytes, where: str) -> str:
  """The text of a file, which may begin with a byte order mark.

  Raises:
    ValueError: the bytes are no UTF-8; names the line.
  """
  try:
    return data.decode('utf-8-sig')
  except UnicodeDecodeError as error:
    line = len(LINES.split(error.object[: error.start].decode()))
    raise ValueError(
      f'{where}: line {line}: byte {error.object[error.start]:#04x} is no UTF-8'
    ) from None


def json_object(data: bytes | None, where: str) -> dict[str, Any]:
  """The object of a JSON file; empty if there is no file.

  Raises:
    ValueError: it is no UTF-8, no JSON, or another value.
  """
  if data is None:
    return {}
  try:
    found = json.loads(utf8(data, where))
  except (json.JSONDecodeError, RecursionError) as error:
    raise ValueError(f'{where}: is not JSON ({error})') from None
  if not isinstance(found, dict):
    raise ValueError(f'{where}: is {found!r:.80}, not an object')
  return found


def field(found: dict[str, Any], name: str, where: str) -> str:
  """A text of an object; '' if it has none, or null.

  Raises:
    ValueError: it is another value, or no Unicode: JSON allows half of a pair.
  """
  value = found.get(name)
  if value is None:
    return ''
  try:
    if isinstance(value, str):
      value.encode()
      return value
  except UnicodeEncodeError:
    pass
  raise ValueError(f'{where}: {name} is {value!r:.80}, not a text')
