"""A storyteller that needs no model, and a studio around it.

Its engine and film are made up; all else is the real thing. A chunk's colour is
a digest of all that the chunk depends on, so that frames tell pasts apart.
`python -m tests.launch.fake_teller PORT` serves it, for a look at the page.
"""

import contextlib
import hashlib
import re
import sys
import threading
import time

import numpy as np

from launch import storyteller as storyteller_lib
from launch.serving import app as app_lib
from launch.serving import guards
from launch.serving import limits as limits_lib
from launch.serving import server as server_lib
from tests import tiny
from tv2tv_jax.sample import film as film_lib
from tv2tv_jax.sample import roll as roll_lib
from tv2tv_jax.sample import rollout
from tv2tv_jax.sample import settings as settings_lib
from tv2tv_jax.sample import telling as telling_lib

SIZE = 12, 16  # rows, columns
STEP = 4
_WORDS = 'turn', 'left', 'right', 'go', 'attack', 'forward', 'doom', 'hall'
_FAILS, _ENDS, _DARK = 40, 41, 42  # tokens


class Words:
  """A tokenizer of words; `fail`, `end` and `dark` do what they say."""

  special = tiny.SPECIAL

  def __init__(self):
    self._ids = {word: 10 + i for i, word in enumerate(_WORDS)}
    self._ids |= {'fail': _FAILS, 'end': _ENDS, 'dark': _DARK}

  def encode(self, text):
    ids = self._ids
    return [
      ids.setdefault(word, 50 + len(ids)) for word in re.findall(r'\S+', text)
    ]

  def decode(self, ids):
    names = {number: word for word, number in self._ids.items()}
    return ' '.join(names[number] for number in ids)


class Engine(rollout.Engine):
  """Writes and films at once, or when it is let.

  Attributes:
    gate: closed, chunks wait,
    held: from this one on.
    batches: how many stories each advance had.
  """

  def __init__(self, config, layout='tv2tv', pause=0.0):
    self.config, self.layout, self.lanes = config, layout, config.lanes
    self.gate = threading.Event()
    self.gate.set()
    self.held = 0
    self.batches = []
    self._pause = pause

  def begin(self, latents, prompt, seed, settings=None, words=None):
    return roll_lib.Roll(
      prompt=tuple(prompt),
      seed=seed,
      settings=(settings or self.config.settings).checked(),
      words=((),) * len(latents),
      latents=tuple(latents),
      plans=((),) * len(latents),
    )

  def advance(self, rolls, asks=None, wrote=lambda index, words: None):
    if max(len(roll.latents) for roll in rolls) >= self.held:
      self.gate.wait()
    time.sleep(self._pause)
    self.batches.append(len(rolls))
    asks = asks or [roll_lib.Ask()] * len(rolls)
    out = []
    for index, (roll, ask) in enumerate(zip(rolls, asks, strict=True)):
      chunk = len(roll.latents)
      if _ENDS in roll.prompt and chunk == 4:
        out.append(roll._replace(ended=True))
        continue
      words = ask.words
      if words is None:
        words = (10 + (roll.seed + chunk) % 6,) if chunk % 3 == 0 else ()
      wrote(index, words)
      # The whole batch raises, as a compiled program does.
      if _FAILS in (*roll.prompt, *words):
        raise RuntimeError('no memory for\nthis story')
      told = (*roll.words, words)
      dark = np.nan if _DARK in words else 0
      latent = _latent(roll, told) + dark
      out.append(
        roll._replace(
          words=told,
          latents=(*roll.latents, latent),
          plans=(*roll.plans, ()),
          seat=None,
        )
      )
    return out


class Film(film_lib.Film):
  """A latent is a colour; a chunk brightens frame by frame."""

  stride = 4, 12, 16

  def __init__(self):
    pass

  def encode(self, frames):
    means = frames[::STEP].astype(np.float32).mean((1, 2)) / 255
    return means[:, None, None].astype(np.float32)

  def shown(self, latent, past=None):
    if np.isnan(latent).any():
      raise RuntimeError('nothing to be seen')
    count = 1 if past is None else STEP
    bright = np.linspace(0.7, 1, count)[:, None, None, None]
    colour = np.clip(latent[None] * 255, 0, 255) * bright
    shape = (count, *SIZE, 3)
    slope = np.linspace(0, 1, SIZE[1])[:, None]
    frames = np.broadcast_to(colour * (0.5 + 0.5 * slope), shape)
    return frames.astype(np.uint8), np.zeros(1)


class Storyteller(storyteller_lib.Storyteller):
  """Of made-up stories at 8 frames a second."""

  def __init__(self, *, layout='tv2tv', pause=0.0, **changes):
    self.config = settings_lib.SampleConfig(**changes)
    self.layout, self.mesh = layout, None
    self.checkpoint = {'step': 7, 'fingerprint': 'f00d'}
    self.rate, self.step, self.size = 8.0, STEP, SIZE
    self.tokenizer = Words()
    engine = Engine(self.config, layout, pause)
    self.teller = telling_lib.Teller(engine, Film())


def starts(count=3):
  """Grey frames."""
  return [
    storyteller_lib.Start(np.full((1, *SIZE, 3), 60 * n, np.uint8), 'doom hall')
    for n in range(1, count + 1)
  ]


@contextlib.contextmanager
def served(teller, limits=None, frames=None, host='127.0.0.1', port=0):
  """A studio that answers at an address, until it is left."""
  limits, frames = limits or limits_lib.Limits(patience=600), frames or starts()
  listener, address = server_lib.bound(host, port)
  listener.listen()  # Whoever comes early waits.
  studio = app_lib.studio(teller, frames, limits, title='Made up')
  application = app_lib.application(studio, guards.hosts_of(host))
  server = server_lib.Server(application, studio.stories)
  thread = threading.Thread(target=server.run, args=([listener],))
  thread.start()
  try:
    yield address
  finally:
    if isinstance(teller.engine, Engine):
      teller.engine.gate.set()
    server.should_exit = True
    thread.join()
    listener.close()


def _latent(roll, told):
  history = (
    roll.prompt,
    roll.seed,
    roll.settings,
    told,
    roll.latents[-1].tobytes(),
  )
  digest = hashlib.sha256(repr(history).encode()).digest()
  numbers = np.frombuffer(digest[:3], np.uint8) / 255
  return (0.25 + 0.75 * numbers).astype(np.float32)[None, None]


if __name__ == '__main__':
  with served(Storyteller(pause=0.2), port=int(sys.argv[1])) as place:
    print(place, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
      threading.Event().wait()
