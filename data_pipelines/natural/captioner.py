"""What a vision-language model says of a scene and of each of its pieces.

The meta caption tells the whole scene. The caption of a piece is
*differential*: what changes from the piece before, whose pictures are shown
beside it. The paper names neither the model nor the prompts: these are ours,
and part of the recipe of a dataset.
"""

from collections.abc import Sequence
from concurrent import futures
import json
import re
from typing import Any, NamedTuple

import numpy as np

from data_pipelines.natural import chat as chat_lib

SCENE = (
  'The pictures are frames of one scene of a video, in order of time. In one '
  'or two plain sentences, of 60 words at most, say who or what is seen, '
  'where, and what happens from the first to the last. Say only what the '
  'pictures show.{judge} Answer with one JSON object and nothing else: '
  '{form}'
)
JUDGE = (
  ' Then judge how well the scene shows "{query}", from 0 (not at all) to 10 '
  '(clearly and all the time).'
)
FIRST = (
  'A video shows this: {scene}\n'
  'The pictures are frames of its beginning, in order of time. In one plain '
  'sentence, of 30 words at most, say what happens in them. Do not mention '
  'pictures or frames. Answer with one JSON object and nothing else: '
  '{{"caption": "..."}}'
)
CHANGE = (
  'A video shows this: {scene}\n'
  'The pictures are frames of two moments of it, each in order of time: '
  'first BEFORE, then NOW. In one plain sentence, of 30 words at most, say '
  'what is different NOW: what begins, ends, comes, goes or moves, and how. '
  'Leave out what stays as it was. Do not mention pictures, frames, BEFORE or '
  'NOW. Answer with one JSON object and nothing else: {{"caption": "..."}}'
)

_FORM = '{"caption": "..."}'
_JUDGED = '{"caption": "...", "score": 7}'
_FENCE = re.compile(r'\s*```(?:json)?\s*\n(.*)\n\s*```\s*', re.DOTALL)


class Scene(NamedTuple):
  """What is said of a scene as a whole.

  Attributes:
    caption: its meta caption.
    relevance: how well it shows what was asked for, 0 to 1; None if nothing
      was.
  """

  caption: str
  relevance: float | None


def recipe() -> dict[str, Any]:
  """All of this file and of the chat that captions depend on."""
  prompts = [SCENE, JUDGE, FIRST, CHANGE]
  return {'prompts': prompts, 'options': chat_lib.OPTIONS}


def scene_of(
  chat: chat_lib.Chat, pictures: Sequence[np.ndarray], query: str, where: str
) -> Scene:
  """Asks for the meta caption of a scene, and whether it shows `query`.

  Args:
    chat: who is asked.
    pictures: uint8 [Y, X, 3], of the whole scene.
    query: what is looked for; '' for nothing.
    where: the scene, for errors.

  Raises:
    source.NoAnswerError: the server gives no such answer.
  """
  prompt = SCENE.format(
    judge=JUDGE.format(query=query) if query else '',
    form=_JUDGED if query else _FORM,
  )

  def parse(answer: str) -> Scene:
    found = _object(answer)
    return Scene(_caption(found), _score(found) if query else None)

  return chat.ask([prompt, *pictures], parse, where)


def changes_of(
  chat: chat_lib.Chat,
  scene: str,
  pieces: Sequence[Sequence[np.ndarray]],
  at_once: int,
  where: str,
) -> list[str]:
  """Asks for the caption of each piece: what changes from the one before.

  Args:
    chat: who is asked.
    scene: the meta caption.
    pieces: pictures uint8 [Y, X, 3] of each piece, in order of time.
    at_once: how many questions wait for an answer at a time.
    where: the scene, for errors.

  Raises:
    source.NoAnswerError: the server gives no such answer.
  """

  def change(number: int) -> str:
    now = pieces[number]
    parts = [FIRST.format(scene=scene), *now]
    if number:
      before = pieces[number - 1]
      parts = [CHANGE.format(scene=scene), 'BEFORE', *before, 'NOW', *now]
    return chat.ask(parts, _said, f'{where} piece {number}')

  with futures.ThreadPoolExecutor(at_once) as pool:
    jobs = [pool.submit(change, number) for number in range(len(pieces))]
    try:
      return [job.result() for job in jobs]
    except BaseException:
      pool.shutdown(cancel_futures=True)
      raise


def _object(answer: str) -> dict[str, Any]:
  """The JSON object of an answer, which may stand in a fence of Markdown."""
  fenced = _FENCE.fullmatch(answer)
  try:
    found = json.loads(fenced[1] if fenced else answer)
  except (ValueError, RecursionError):
    raise ValueError('is not one JSON object') from None
  if not isinstance(found, dict):
    raise ValueError('is not one JSON object')
  return found


def _said(answer: str) -> str:
  return _caption(_object(answer))


def _caption(found: dict[str, Any]) -> str:
  """The words of "caption", on one line."""
  caption = found.get('caption')
  words = ' '.join(caption.split()) if isinstance(caption, str) else ''
  if not words:
    raise ValueError('has no words in "caption"')
  try:
    words.encode()
  except UnicodeEncodeError:  # half of a pair, which JSON allows
    raise ValueError('has a "caption" that is no Unicode text') from None
  return words


def _score(found: dict[str, Any]) -> float:
  """The number in "score", 0 to 10, as 0 to 1."""
  score = found.get('score')
  if isinstance(score, bool) or not isinstance(score, int | float):
    raise ValueError('has no number in "score"')
  if not 0 <= score <= 10:
    raise ValueError('has a "score" that is not from 0 to 10')
  return score / 10
