"""A studio in the browser: ask for stories, watch them, fork them.

  python -m launch.studio --workdir DIR

The workdir is of launch.train. Once the page's address is printed, open it:
type a prompt, choose a start frame, watch words and frames arrive, click any
moment, change its words, and see another future. Several people may ask at
once: stories that do not fit side by side wait in a queue. `/openapi.json`
describes the API.

It listens on this machine alone unless `--host` says otherwise; there is no
password, so whoever reaches it may use it. With `--mesh=1,1,8` eight devices
of this machine share the model, its heads split over them. Finished stories are
written to `--stories`, a folder each, which `launch.generate --replay` films
again; without it nothing is. Ctrl-C ends it.
"""

import contextlib
import pathlib
import time

from absl import flags

from launch import card as card_lib
from launch import run as run_lib
from launch import storyteller as storyteller_lib
from launch.serving import app as app_lib
from launch.serving import guards
from launch.serving import limits as limits_lib
from launch.serving import server as server_lib
from tv2tv_jax.sample import roll as roll_lib

_WORKDIR = flags.DEFINE_string('workdir', None, 'Workdir of launch.train.')
_HOST = flags.DEFINE_string(
  'host', '127.0.0.1', 'Where it listens; 0.0.0.0: for every machine.'
)
_PORT = flags.DEFINE_integer(
  'port', 8000, '0: any that is free.', lower_bound=0, upper_bound=65535
)
_LIMIT = flags.DEFINE_integer(
  'limit', limits_lib.Limits.waiting, 'Stories in the queue.', lower_bound=1
)
_LONGEST = flags.DEFINE_float(
  'longest', limits_lib.Limits.seconds, 'Seconds of a story.', lower_bound=1
)
_STORIES = flags.DEFINE_string(
  'stories', None, 'Folder that gets a folder for each finished story.'
)
_LAYOUT = flags.DEFINE_enum(
  'layout', None, ['tv2tv', 'think2v', 't2v'], 'Where words are; as trained.'
)
_LANES = flags.DEFINE_integer(
  'lanes',
  None,
  'Stories filmed side by side; the config has a default.',
  lower_bound=1,
)
flags.mark_flag_as_required('workdir')


def main(_) -> None:
  """Serves until it is interrupted."""
  listener, address = server_lib.bound(_HOST.value, _PORT.value)
  with contextlib.closing(listener):
    workdir = pathlib.Path(_WORKDIR.value)
    folder = _STORIES.value and pathlib.Path(_STORIES.value)
    if folder:
      folder.mkdir(parents=True, exist_ok=True)
    teller = storyteller_lib.Storyteller(
      workdir, layout=_LAYOUT.value, lanes=_LANES.value
    )
    starts = storyteller_lib.kept_starts(workdir)
    warm_up(teller, storyteller_lib.kept_start(workdir, 0))
    title, card = card_lib.described(workdir)
    limits = limits_lib.Limits(waiting=_LIMIT.value, seconds=_LONGEST.value)
    studio = app_lib.studio(
      teller, starts, limits, title=title, card=card, folder=folder
    )
    application = app_lib.application(studio, guards.hosts_of(_HOST.value))
    greeting = f'open {address} (Ctrl-C ends it)'
    server = server_lib.Server(application, studio.stories, greeting)
    with contextlib.suppress(KeyboardInterrupt):
      server.run([listener])
    print('\nclosed')


def warm_up(
  teller: storyteller_lib.Storyteller, start: storyteller_lib.Start
) -> None:
  """Films some chunks that nobody asked for, so that all is compiled.

  One that is written, one that is told, and one without guidance.
  """
  began = time.monotonic()
  settings = teller.config.settings
  telling = teller.begin(start, start.prompt, 0, settings)
  takes = (
    (roll_lib.Ask(), settings),
    (roll_lib.Ask(()), settings),
    (roll_lib.Ask(), settings._replace(guidance=1.0)),
  )
  for number, (ask, chosen) in enumerate(takes, 1):
    print(f'warming up: chunk {number} of {len(takes)}', flush=True)
    roll = telling.roll._replace(settings=chosen, seat=None)
    telling = telling._replace(roll=roll)
    (telling,) = teller.teller.advance([telling], [ask], lambda _: None)
    teller.teller.wait()
  print(f'warm after {time.monotonic() - began:.0f} s', flush=True)


if __name__ == '__main__':
  run_lib.app(main, mesh='here')
