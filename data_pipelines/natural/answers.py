"""Answers of a model on disk, so that nothing is asked twice.

A file an answer, named by a hash of the whole question: the model, what it is
told, the pictures and how it shall answer. A file is there whole or not at
all, so processes and runs may share the folder and die at any time.
"""

from collections.abc import Mapping
import hashlib
import json
import os
import pathlib
from typing import Any

from data_pipelines.prepare import dataset


class Answers:
  """The answers in a folder, which is made when the first one is kept."""

  def __init__(self, directory: str | os.PathLike):
    self._directory = pathlib.Path(directory)

  def find(self, question: Mapping[str, Any]) -> str | None:
    """The answer to a question; None if it is not there, or damaged."""
    try:
      found = json.loads(self._path(question).read_text('utf-8'))
    except (FileNotFoundError, ValueError):
      return None
    answer = found.get('answer') if isinstance(found, dict) else None
    return answer if isinstance(answer, str) else None

  def keep(self, question: Mapping[str, Any], answer: str):
    """Keeps the answer to a question; OSError if it cannot be written."""
    path = self._path(question)
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {'model': question.get('model'), 'answer': answer}
    dataset.write_text(path, json.dumps(kept) + '\n')

  def _path(self, question) -> pathlib.Path:
    key = hashlib.sha256(
      json.dumps(question, sort_keys=True).encode()
    ).hexdigest()
    # Folders of thousands of files rather than of millions.
    return self._directory / key[:3] / f'{key}.json'
