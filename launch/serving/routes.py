"""The studio's addresses."""

import asyncio
from collections.abc import Callable, Sequence
import pathlib
from typing import Annotated, Any, NamedTuple

import fastapi
from fastapi import responses

from launch import storyteller as storyteller_lib
from launch.serving import downloads
from launch.serving import events
from launch.serving import pictures
from launch.serving import refused
from launch.serving import schema
from launch.serving import stories as stories_lib
from launch.serving import story as story_lib

_PAGE = pathlib.Path(__file__).parent / 'page'
_KINDS = {'.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript'}


class Studio(NamedTuple):
  """What the addresses lead to.

  Attributes:
    teller: films.
    stories: that were asked for.
    starts: frames that a story may start with.
    model: what is told of the model.
    exports: held while something is made for a client to take home.
  """

  teller: storyteller_lib.Storyteller
  stories: stories_lib.Stories
  starts: Sequence[storyteller_lib.Start]
  model: schema.Model
  exports: asyncio.Semaphore


def _studio(request: fastapi.Request) -> Studio:
  return request.app.state.studio


def _story(request: fastapi.Request, name: str) -> story_lib.Story:
  return request.app.state.studio.stories[name]


_Studio = Annotated[Studio, fastapi.Depends(_studio)]
_Story = Annotated[story_lib.Story, fastapi.Depends(_story)]
_REFUSALS: dict[int | str, dict[str, Any]] = {
  400: {'description': 'No JSON, no UTF-8, or not a name of this studio.'},
  404: {'description': 'Not there.'},
  409: {'description': 'Not now.'},
  413: {'description': 'Too large.'},
  422: {'description': 'A value that cannot be.'},
  503: {'description': 'Too many stories wait.'},
}
router = fastapi.APIRouter()


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
  return {
    status: {'model': schema.Refusal, **_REFUSALS[status]}
    for status in statuses
  }


def _file(*kinds: str) -> dict[int | str, dict[str, Any]]:
  binary = {'schema': {'type': 'string', 'format': 'binary'}}
  return {200: {'content': dict.fromkeys(kinds, binary)}}


@router.get('/', response_class=responses.HTMLResponse)
def page() -> fastapi.Response:
  """The page."""
  return part('index.html')


@router.get(
  '/{name}',
  response_class=fastapi.Response,
  responses=_file('text/css', 'text/javascript') | _refusals(404),
)
def part(name: str) -> fastapi.Response:
  """A part of the page: how it looks, what it does."""
  kind = _KINDS.get(pathlib.PurePath(name).suffix)
  # What is there is listed; no path is made of what a client says.
  found = [path for path in _PAGE.iterdir() if path.name == name]
  if not kind or not found:
    raise refused.RefusedError(f'nothing at /{ascii(name)[1:-1][:80]}', 404)
  return fastapi.Response(found[0].read_bytes(), media_type=kind)


@router.get('/api/model')
def model(studio: _Studio) -> schema.Model:
  """What films, and what may be asked of it."""
  return studio.model


@router.get('/api/starts')
def starts(studio: _Studio) -> list[schema.Start]:
  """The frames that a story may start with."""
  return [
    schema.Start(number=number, prompt=start.prompt)
    for number, start in enumerate(studio.starts)
  ]


@router.get(
  '/api/starts/{number:int}.png',
  response_class=fastapi.Response,
  responses=_file('image/png') | _refusals(404),
)
def start(number: int, studio: _Studio) -> fastapi.Response:
  """A start frame at its own size."""
  if number >= len(studio.starts):
    raise refused.RefusedError(
      f'start {number}: there are {len(studio.starts)}, from 0 on', 404
    )
  data = pictures.png(studio.starts[number].frames[0])
  return fastapi.Response(data, media_type='image/png')


@router.post(
  '/api/stories', status_code=202, responses=_refusals(400, 413, 422, 503)
)
async def ask(asked: schema.Asked, studio: _Studio) -> schema.Place:
  """Asks for a story; it is filmed when its turn comes."""
  story = await studio.stories.ask(asked)
  return schema.Place(id=story.id, position=story.position)


@router.post(
  '/api/stories/{name}/fork',
  status_code=202,
  responses=_refusals(400, 404, 409, 413, 422, 503),
)
async def fork(
  asked: schema.ForkAsked, parent: _Story, studio: _Studio
) -> schema.ForkPlace:
  """Asks for another future of a story; its past is shared, not filmed again.

  The chunk must be one that begins no later than what is filmed so far ends.
  """
  story = await studio.stories.fork(parent, asked)
  return schema.ForkPlace(
    id=story.id,
    position=story.position,
    parent=parent.id,
    chunk=story.branch.chunk,
  )


@router.get('/api/stories/{name}', responses=_refusals(404))
async def state(story: _Story) -> schema.Story:
  """A story so far, without its pictures."""
  return story.state()


@router.get(
  '/api/stories/{name}/events',
  status_code=200,
  response_class=events.Events,
  responses={
    200: {'model': schema.Event, 'description': events.DESCRIPTION},
    204: {'description': 'The story is over, and its last event was read.'},
    **_refusals(404),
  },
)
async def follow(
  story: _Story,
  last_event_id: Annotated[
    str | None, fastapi.Header(description='The last event that was read.')
  ] = None,
) -> fastapi.Response:
  """The events of a story."""
  text = last_event_id or ''
  after = int(text) if text.isdecimal() and len(text) < 10 else 0
  if story.over and after >= story.last_event:
    return fastapi.Response(status_code=204)
  return events.Events(story, after)


@router.delete('/api/stories/{name}', status_code=204, responses=_refusals(404))
async def cancel(story: _Story, studio: _Studio) -> None:
  """Ends a story that waits or is filmed; what is filmed of it stays."""
  studio.stories.cancel(story, 'a client asked for it')


@router.get(
  '/api/stories/{name}/story.mp4',
  response_class=fastapi.Response,
  responses=_file('video/mp4') | _refusals(404, 409),
)
async def film(story: _Story, studio: _Studio) -> fastapi.Response:
  """A story that is over, as a film."""
  data = await _made(downloads.mp4, story, studio)
  return _attached(data, 'video/mp4', f'story-{story.id}.mp4')


@router.get(
  '/api/stories/{name}/story.zip',
  response_class=fastapi.Response,
  responses=_file('application/zip') | _refusals(404, 409),
)
async def folder(story: _Story, studio: _Studio) -> fastapi.Response:
  """A story that is over, as the folder that `launch.generate --replay` reads.

  It holds story.json, with every word and all that replays it, start.png,
  story.mp4 and a sheet.
  """
  data = await _made(downloads.zipped, story, studio)
  return _attached(data, 'application/zip', f'story-{story.id}.zip')


async def _made(
  make: Callable[..., bytes], story: story_lib.Story, studio: Studio
) -> bytes:
  """Something to take home; one after the other."""
  async with studio.exports:
    told = await asyncio.to_thread(downloads.finished, story)
    return await asyncio.to_thread(make, told, studio.teller)


def _attached(data: bytes, kind: str, name: str) -> fastapi.Response:
  headers = {'content-disposition': f'attachment; filename="{name}"'}
  return fastapi.Response(data, media_type=kind, headers=headers)
