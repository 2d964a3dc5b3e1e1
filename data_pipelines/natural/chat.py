"""A model that sees and writes, behind the chat API that OpenAI made common.

vLLM and others serve it at `ADDRESS/chat/completions`. The library `openai`
sends, hangs up in time, and tries again after errors and silence: it waits
longer each time, or as long as the server says in Retry-After, up to two
minutes. This module asks nothing twice, keeps to a rate, and takes no answer
that is not what was asked for.
"""

import base64
from collections.abc import Callable, Sequence
import contextlib
import dataclasses
import io
import json
import math
import os
import pathlib
from typing import Any, TypeVar

import numpy as np
import openai
from PIL import Image

from data_pipelines.natural import answers
from data_pipelines.natural import pace
from data_pipelines.sources import source

T = TypeVar('T')

# No chance in the answers; a model that goes on and on is cut short.
OPTIONS = {'temperature': 0, 'seed': 0, 'max_tokens': 512}

_JPEG_QUALITY = 90
_TIMES = 2  # that a question is asked before its answers count as nonsense
_SHOWN = 200  # characters of an answer, in errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
  """Who is asked, and how patiently.

  Attributes:
    address: of the server's API, such as http://localhost:8000/v1.
    model: its name at the server.
    api_key_env: the environment variable that holds the key of the server; ''
      for a server that wants none.
    requests_per_minute: to the server, of all processes together; 0 for no
      limit.
    requests_at_once: of one process.
    timeout: s without a word from the server after which it is asked again.
    retries: how often it is asked again after an error or silence.
    cache: folder of the model's answers, so that nothing is asked twice; they
      are good for any server.
  """

  address: str = ''
  model: str = ''
  api_key_env: str = ''
  requests_per_minute: float = 0.0
  requests_at_once: int = 4
  timeout: float = 120.0
  retries: int = 5
  cache: str = '~/.cache/tv2tv_jax/answers'

  def check_server(self):
    """ValueError names what is missing or out of range."""
    if not self.address.startswith(('http://', 'https://')):
      raise ValueError(
        f'address is {self.address!r}: give --address of a server with the '
        'OpenAI chat API, such as http://localhost:8000/v1'
      )
    if not self.model:
      raise ValueError(
        f'model is empty: give --model, a name at {self.address}'
      )
    if self.api_key_env and not os.environ.get(self.api_key_env):
      raise ValueError(
        f'api_key_env is {self.api_key_env!r}, and that environment variable '
        'is not set'
      )
    if not self.cache:
      raise ValueError('cache is empty: give --cache, a folder for answers')
    least = {
      'requests_per_minute': 0,
      'requests_at_once': 1,
      'timeout': 1e-3,
      'retries': 0,
    }
    for name, bound in least.items():
      if not bound <= getattr(self, name) < math.inf:
        raise ValueError(f'{name} is {getattr(self, name)}, below {bound}')


class Chat:
  """Questions to one server; threads may share it."""

  def __init__(self, server: Server):
    server.check_server()
    cache = pathlib.Path(server.cache).expanduser()
    turns = pace.Pace(
      cache / pace.file_of(server.address), server.requests_per_minute
    )
    self._server = server
    self._answers = answers.Answers(cache)
    self._client = openai.OpenAI(
      base_url=server.address,
      # The library wants one; a server without keys does not look.
      api_key=os.environ.get(server.api_key_env) or 'none',
      timeout=server.timeout,
      max_retries=server.retries,
      # Of the connection and not of the question, so that retries count too.
      http_client=openai.DefaultHttpx2Client(
        event_hooks={'request': [lambda _: turns.wait()]}
      ),
    )

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._client.close()

  def ask(
    self,
    parts: Sequence[str | np.ndarray],
    parse: Callable[[str], T],
    where: str,
  ) -> T:
    """What the model says to texts and pictures.

    Args:
      parts: of the question, in order: texts, and pictures uint8 [Y, X, 3].
      parse: makes of the answer what is wanted; ValueError says what is wrong
        with it. The model is then told so and asked once more.
      where: what it is about, for errors.

    Raises:
      source.NoAnswerError: the server answers with an error, with nonsense or
        not at all; names it, `where` and what came.
      OSError: the cache cannot be written.
    """
    question = {
      'model': self._server.model,
      'messages': [
        {'role': 'user', 'content': [_part(part) for part in parts]}
      ],
      **OPTIONS,
    }
    kept = self._answers.find(question)
    with contextlib.suppress(ValueError):  # of what older code took
      if kept is not None:
        return parse(kept)
    objection = []
    for _ in range(_TIMES):
      body = self._post(question, objection, where)
      answer = ''
      try:
        answer = _content(body)
        parsed = parse(answer)
      except ValueError as error:
        problem = str(error)
        objection = _objection(answer, problem) if answer else []
        continue
      self._answers.keep(question, answer)
      return parsed
    raise source.NoAnswerError(
      f'{self._who(where)} {problem}; it sent {_shown(body)}'
    )

  def _post(self, question: dict, objection: list, where: str) -> bytes:
    """The body of the server's answer; NoAnswerError if there is none."""
    chats = self._client.chat.completions.with_raw_response
    messages = [*question['messages'], *objection]
    tries = f'{1 + self._server.retries} tries'
    try:
      return chats.create(**{**question, 'messages': messages}).content
    except openai.APIStatusError as error:
      body = _shown(error.response.content)
      problem = f'answered with the error {error.status_code}: {body}'
    except openai.APITimeoutError:
      problem = f'sent nothing for {self._server.timeout:g} s, in {tries}'
    except openai.APIConnectionError as error:
      problem = f'is not to be reached ({error.__cause__}), in {tries}'
    except openai.OpenAIError as error:
      problem = f'cannot be asked ({error})'
    raise source.NoAnswerError(f'{self._who(where)} {problem}')

  def _who(self, where: str) -> str:
    return f'{where}: {self._server.address} ({self._server.model})'


def _part(part: str | np.ndarray) -> dict[str, Any]:
  """A text or a picture as the API wants it."""
  if isinstance(part, str):
    return {'type': 'text', 'text': part}
  file = io.BytesIO()
  Image.fromarray(part).save(file, 'JPEG', quality=_JPEG_QUALITY)
  data = base64.b64encode(file.getvalue()).decode()
  url = f'data:image/jpeg;base64,{data}'
  return {'type': 'image_url', 'image_url': {'url': url}}


def _content(body: bytes) -> str:
  """The words of an answer; ValueError says why there are none."""
  try:
    found = json.loads(body)
  except (ValueError, RecursionError):
    raise ValueError('sent no JSON') from None
  try:
    choice = found['choices'][0]
    content = choice['message']['content']
  except (KeyError, IndexError, TypeError):
    raise ValueError('sent no choices[0].message.content') from None
  if not isinstance(content, str) or not content.strip():
    raise ValueError('sent an empty answer')
  if choice.get('finish_reason') == 'length':
    raise ValueError(
      f'sent an answer that is cut short at {OPTIONS["max_tokens"]} tokens'
    )
  return content


def _objection(answer: str, problem: str) -> list[dict[str, str]]:
  """What is said to the model about an answer that will not do."""
  told = f'That answer {problem}. Answer again, as you were asked to.'
  return [
    {'role': 'assistant', 'content': answer},
    {'role': 'user', 'content': told},
  ]


def _shown(body: bytes) -> str:
  """The beginning of what a server sent, on one line."""
  text = body[: 4 * _SHOWN].decode(errors='replace')
  return repr(' '.join(text.split())[:_SHOWN])
