"""With the engine itself: forks, lanes and replays agree bit for bit."""

import numpy as np
import pytest

from launch import story_folder
from launch import storyteller as storyteller_lib
from launch.stories import batch
from launch.stories import filming
from launch.stories import prompts
from launch.stories import replay
from launch.stories import starts
from tests import tiny
from tests.launch import watched
from tv2tv_jax.sample import roll as roll_lib

_STEP = 4


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  """A workdir as training leaves it, but for its checkpoints."""
  folder = tmp_path_factory.mktemp('sources')
  sample = dict(steps=2, window=4, kept=2, words_budget=12, lanes=2)
  return watched.untrained(folder, **sample)


@pytest.fixture(scope='module')
def teller(workdir):
  """Tells with weights of chance."""
  run = watched.run(workdir)
  return storyteller_lib.Storyteller(workdir, model=tiny.drawn(run.model))


def _start(teller, seed, count=1):
  rng = np.random.default_rng(seed)
  shape = (count, *teller.size, 3)
  return storyteller_lib.Start(rng.integers(0, 256, shape, np.uint8), '')


def _job(teller, name, start, **changes):
  script = story_folder.Script(
    prompt='a film',
    seed=1,  # Of those whose stories go on.
    settings=teller.config.settings,
    layout=teller.layout,
    chunks=7,
    asks={},
  )
  return filming.Job(name, script._replace(**changes), lambda: start)


def _told(teller, *jobs):
  return {job.name: told for job, told in filming.films(teller, jobs)}


def test_neighbours_and_lanes_change_no_bit(teller):
  settings = teller.config.settings
  jobs = [
    _job(teller, 'a', _start(teller, 1), asks={2: 'attack', 3: ''}),
    _job(teller, 'b', _start(teller, 2, 1 + 2 * _STEP), seed=3),
    _job(teller, 'c', _start(teller, 1), chunks=4, prompt=''),
    _job(
      teller, 'd', _start(teller, 3), settings=settings._replace(guidance=1.0)
    ),
  ]
  together = _told(teller, *jobs)
  for job in jobs:
    alone = _told(teller, job)[job.name]
    assert alone.words == together[job.name].words
    np.testing.assert_array_equal(alone.frames, together[job.name].frames)
  assert together['a'].words[2:4] == ['attack', '']
  chunks = {name: len(each.words) for name, each in together.items()}
  assert chunks == {'a': 7, 'b': 4, 'c': 4, 'd': 7}
  assert together['b'].ended == 'eos' and together['c'].ended == 'length'
  for name, each in together.items():
    assert len(each.frames) == 1 + _STEP * (chunks[name] - 1)


def test_a_saved_story_is_told_again_and_forked(
  teller, workdir, tmp_path, monkeypatch
):
  start = _start(teller, 1, 1 + _STEP)
  finished = _told(teller, _job(teller, 'a', start, asks={3: 'attack'}))['a']
  assert finished.ended == 'length' and len(finished.words) == 7
  story_folder.save(tmp_path / 'a', finished, teller)
  told = dict(model=tiny.drawn(watched.run(workdir).model))
  made = storyteller_lib.Storyteller
  monkeypatch.setattr(
    storyteller_lib,
    'Storyteller',
    lambda workdir, **changes: made(workdir, **told, **changes),
  )
  saved = replay.loaded(tmp_path / 'a', workdir)
  assert saved.teller.config == teller.config
  again = _told(saved.teller, replay.job(saved, saved.script))
  assert 'the same, bit for bit' in replay.verdict(saved, *again.values())

  script = replay.fork(
    saved, 5, {5: 'turn left'}, lambda turn: turn._replace(seed=9)
  )
  (fork,) = _told(saved.teller, replay.job(saved, script)).values()
  assert replay.first_difference(saved, fork) == 5
  # As the studio forks: from the story as it was then, not from its script.
  past = _telling(teller, finished.script, start, 6).until(5)
  past = past._replace(roll=past.roll._replace(seed=9))
  ask = roll_lib.Ask(words=teller.encode('turn left'))
  events = []
  teller.teller.advance([past], [ask], events.append)
  teller.teller.wait()
  wrote, filmed = events
  assert (wrote.chunk, filmed.chunk) == (5, 5)
  shown = 1 + _STEP * 4
  np.testing.assert_array_equal(
    filmed.frames, fork.frames[shown : shown + _STEP]
  )


def _telling(teller, script, start, chunks):
  """The story when it has so many chunks."""
  telling = teller.begin(start, script.prompt, script.seed, script.settings)
  while len(telling.roll.latents) < chunks:
    text = script.asks.get(len(telling.roll.latents))
    words = None if text is None else teller.encode(text)
    ask = roll_lib.Ask(words=words)
    (telling,) = teller.teller.advance([telling], [ask], lambda _: None)
  return telling


def test_shares_of_a_file_are_the_whole(teller, workdir, tmp_path):
  frames = [_start(teller, seed).frames[0] for seed in (1, 2)]
  path = workdir / storyteller_lib.STARTS
  np.savez(path, frames=np.stack(frames), prompts=['', ''])
  file = tmp_path / 'p.jsonl'
  file.write_text(
    '{"id": "a", "prompt": "a film", "start": 1, "says": [[0.3, "attack"]]}\n'
    '{"id": "b", "prompt": "a film", "seed": 4, "settings": {"steps": 1}}\n'
    '{"id": "c", "prompt": "turn left"}\n'
  )
  defaults = prompts.Defaults('0', 1, teller.time_of(5), 0.2)
  lines = prompts.read(file, defaults)
  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  for out, order, shares in (
    (whole, lines, [batch.Share()]),
    (parts, lines[::-1], [batch.Share(host=i, hosts=2) for i in (1, 0)]),
  ):
    tasks = batch.tasks(order, starts.Places(workdir), teller)
    for share in shares:
      batch.run(out, tasks, share, teller)
  files = [path.relative_to(whole) for path in whole.rglob('*.*')]
  assert len(files) == 3 * 4 + 2
  for file in files:
    assert (whole / file).read_bytes() == (parts / file).read_bytes()
