"""The studio as an application: addresses, guards, errors of one line."""

import asyncio
from collections.abc import AsyncIterator, Sequence
import contextlib
import pathlib

import fastapi
from fastapi import exceptions
from fastapi import responses
from starlette import exceptions as starlette_exceptions
from starlette import types

from launch import storyteller as storyteller_lib
from launch.serving import guards
from launch.serving import limits as limits_lib
from launch.serving import orders
from launch.serving import refused
from launch.serving import routes
from launch.serving import stories as stories_lib

_ABOUT = """Ask for a story, follow its events, put words in, fork it.

Every error is `{"error": "one line"}`. Times are seconds into a story; a story
is filmed in chunks of frames, and chunk 0 is its start frame.
"""
# No word of a request leaves this machine, whatever its environment says.
_SILENT = {
  'tracing': False,
  'metrics': False,
  'logs': False,
  'auto_configure': False,
}


def studio(
  teller: storyteller_lib.Storyteller,
  starts: Sequence[storyteller_lib.Start],
  limits: limits_lib.Limits,
  *,
  title: str,
  card: str = '',
  folder: pathlib.Path | None = None,
) -> routes.Studio:
  """A studio around a storyteller.

  Args:
    teller: films.
    starts: frames that a story may start with.
    limits: the most that is done.
    title: of the model.
    card: what is told of it.
    folder: gets a folder for each finished story; None: nothing is written.
  """
  desk = orders.Desk(teller, starts, limits)
  model = limits_lib.model(
    teller, limits, starts=len(starts), title=title, card=card
  )
  stories = stories_lib.Stories(teller, desk, limits, folder)
  return routes.Studio(teller, stories, starts, model, asyncio.Semaphore(1))


def application(
  studio: routes.Studio, hosts: Sequence[str] | None
) -> types.ASGIApp:
  """Answers requests.

  Args:
    studio: that it opens and closes.
    hosts: names that it may be called by; None: any.
  """

  @contextlib.asynccontextmanager
  async def opened(_: fastapi.FastAPI) -> AsyncIterator[None]:
    async with studio.stories.open():
      yield

  api = fastapi.FastAPI(
    title='The studio of tv2tv_jax',
    version='1',
    description=_ABOUT,
    docs_url=None,  # They would load their programs from elsewhere.
    redoc_url=None,
    redirect_slashes=False,
    lifespan=opened,
    telemetry=_SILENT,
    exception_handlers={
      refused.RefusedError: _refused,
      exceptions.RequestValidationError: _invalid,
      starlette_exceptions.HTTPException: _http,
      Exception: _defect,
    },
  )
  api.state.studio = studio
  api.include_router(routes.router)
  return guards.Guard(api, hosts)


async def _refused(
  _: fastapi.Request, error: refused.RefusedError
) -> fastapi.Response:
  return _error(str(error), error.status)


async def _invalid(
  _: fastapi.Request, error: exceptions.RequestValidationError
) -> fastapi.Response:
  """The first thing that is wrong with a body."""
  first = error.errors()[0]
  field, value = _field(first['loc']), first.get('input')
  shown = ascii(value)[:80]
  match first['type']:
    case 'json_invalid':
      return _error(f'body: no JSON ({first["ctx"]["error"]})', 400)
    case _ if isinstance(value, bytes) or field == 'body':
      return _error('body: send a JSON object, as application/json', 400)
    case 'missing':
      return _error(f'{field}: missing', 422)
    case 'extra_forbidden':
      return _error(f'{field}: no such field', 422)
    case _:
      return _error(f'{field} = {shown}: {first["msg"]}', 422)


def _field(place: Sequence[str | int]) -> str:
  """`says[0].time` of ('body', 'says', 0, 'time')."""
  name = ''
  for part in place[1:]:
    name += f'[{part}]' if isinstance(part, int) else f'.{part}'
  return ascii(name.removeprefix('.'))[1:-1][:80] or 'body'


async def _http(
  request: fastapi.Request, error: starlette_exceptions.HTTPException
) -> fastapi.Response:
  """No such address, no such method, no body that can be read."""
  if error.status_code == 404:
    return _error(f'nothing at {ascii(request.url.path)[1:-1][:120]}', 404)
  return _error(f'{error.detail}', error.status_code)


async def _defect(_: fastapi.Request, error: Exception) -> fastapi.Response:
  return _error(f'a defect of the studio: {type(error).__name__}', 500)


def _error(line: str, status: int) -> fastapi.Response:
  line = line.encode('utf-8', 'backslashreplace').decode()
  return responses.JSONResponse({'error': line}, status)
