"""A story's events as a stream that a browser's EventSource reads."""

from collections.abc import AsyncIterator

from fastapi import responses
from starlette import types

from launch import embed
from launch.serving import schema
from launch.serving import story as story_lib

DESCRIPTION = """Server-sent events: all so far, then each as it happens.

Data is JSON: `queued`, `wrote` and `filmed` are followed by one of `ended`,
`failed` and `cancelled`, and the stream ends. `id` counts them; with
`Last-Event-ID` they begin after that one, and if that was the last the answer
is 204. A comment comes now and then as a sign of life. A fork's stream begins
with the past that it shares with its parent.
"""


class Events(responses.StreamingResponse):
  """A stream of a story's events, which reads it as long as it is open."""

  media_type = 'text/event-stream'

  def __init__(self, story: story_lib.Story, after: int):
    super().__init__(_lines(story, after))
    self._story = story

  async def __call__(
    self, scope: types.Scope, receive: types.Receive, send: types.Send
  ) -> None:
    """Of ASGI."""
    with self._story.read():
      await super().__call__(scope, receive, send)


async def _lines(story: story_lib.Story, after: int) -> AsyncIterator[str]:
  """Events as they go over the wire."""
  yield 'retry: 1000\n\n'
  async for numbered in story.follow(after):
    if numbered is None:
      yield ': still here\n\n'
      continue
    number, event = numbered
    data = event.data
    if isinstance(data, schema.Filmed):
      strip = embed.uri('image/webp', event.strip)
      data = data.model_copy(update={'strip': strip})
    text = data.model_dump_json()
    yield f'id: {number}\nevent: {event.name}\ndata: {text}\n\n'
