"""A story in a folder comes back, or the field that is wrong is named."""

import hashlib
import json

import av
import numpy as np
from PIL import Image
import pytest

from launch import story_folder
from launch import storyteller as storyteller_lib
from launch.stories import filming
from launch.stories import replay
from tests.launch import fake_teller
from tv2tv_jax.sample import settings as settings_lib


def _script(**changes):
  settings = settings_lib.Settings(steps=4, guidance=1.5)
  turn = story_folder.Turn(5, 9, settings._replace(times=(0.0, 0.5)))
  script = story_folder.Script(
    prompt='doom hall',
    seed=3,
    settings=settings,
    layout='tv2tv',
    chunks=7,
    asks={2: 'go', 3: ''},
    turns=(turn,),
  )
  return script._replace(**changes)


def _start(count):
  rng = np.random.default_rng(0)
  frames = rng.integers(0, 256, (count, *fake_teller.SIZE, 3), np.uint8)
  return storyteller_lib.Start(frames, '')


def _finished(script, count=1):
  job = filming.Job('', script, lambda: _start(count))
  ((_, finished),) = filming.films(fake_teller.Storyteller(), [job])
  return finished


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A saved story."""
  folder = tmp_path_factory.mktemp('stories') / 'one'
  story_folder.save(folder, _finished(_script()), fake_teller.Storyteller())
  return folder


def _bytes(folder):
  return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize('count', [1, 5])
def test_a_story_comes_back(tmp_path, count):
  finished = _finished(_script(), count)
  story_folder.save(tmp_path / 'a', finished, fake_teller.Storyteller())
  script, start, record = story_folder.load(tmp_path / 'a')
  assert script == _script()
  np.testing.assert_array_equal(start, finished.start)
  assert record['frames'] == len(finished.frames) == 25
  assert record['ended'] == 'length'
  assert record['words'] == [
    {'chunk': 2, 'seconds': 0.625, 'text': 'go', 'told': True},
    {'chunk': 6, 'seconds': 2.625, 'text': 'go', 'told': False},
  ]
  with av.open(str(tmp_path / 'a' / 'story.mp4')) as film:
    assert len(list(film.decode(video=0))) == 25
  with Image.open(tmp_path / 'a' / 'story.png') as sheet:
    assert sheet.size == (9 * 2 * 16, 2 * 12)
  assert story_folder.is_whole(tmp_path / 'a')


def test_the_same_story_is_the_same_bytes(folder, tmp_path):
  story_folder.save(
    tmp_path / 'b', _finished(_script()), fake_teller.Storyteller()
  )
  assert _bytes(tmp_path / 'b') == _bytes(folder)


def test_a_story_takes_the_place_of_another_and_of_nothing_else(tmp_path):
  teller, finished = fake_teller.Storyteller(), _finished(_script())
  killed = tmp_path / '.a.99-7.partial'
  killed.mkdir()
  other = tmp_path / '.a.b.99-7.partial'
  other.mkdir()
  for asks in ({}, {2: 'left'}):
    finished = _finished(_script(asks=asks))
    story_folder.save(tmp_path / 'a', finished, teller)
    assert story_folder.load(tmp_path / 'a')[0].asks == asks
  assert not killed.exists() and other.exists()
  (tmp_path / 'mine').mkdir()
  (tmp_path / 'mine' / 'letter.txt').write_text('dear')
  (tmp_path / 'file').write_text('dear')
  for name in ('mine', 'file'):
    with pytest.raises(ValueError, match='there is something else'):
      story_folder.save(tmp_path / name, finished, teller)
  assert (tmp_path / 'mine' / 'letter.txt').read_text() == 'dear'
  assert sorted(p.name for p in tmp_path.iterdir()) == [
    '.a.b.99-7.partial',
    'a',
    'file',
    'mine',
  ]


def test_a_story_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
  def full(*_):
    raise OSError('no space left')

  monkeypatch.setattr(story_folder.embed, 'mp4', full)
  with pytest.raises(OSError, match='no space left'):
    story_folder.save(
      tmp_path / 'a', _finished(_script()), fake_teller.Storyteller()
    )
  assert not list(tmp_path.iterdir())


def _set(path, value):
  """A change of a record: a field, or one inside of it."""

  def change(record):
    *outer, last = path.split('.')
    for name in outer:
      record = record[int(name) if isinstance(record, list) else name]
    if value is None:
      del record[last]
    else:
      record[last] = value

  return change


@pytest.mark.parametrize(
  'change,complaint',
  [
    (_set('version', 2), 'version is 2, this program reads 1'),
    (_set('version', None), 'version is None'),
    (_set('seed', None), 'seed is missing'),
    (_set('seed', 2**32), 'seed is 4294967296; expected 0 to 4294967295'),
    (_set('seed', '1'), "seed is '1'; expected a whole number"),
    (_set('more', 1), "'more' is no field"),
    (_set('layout', 'spiral'), "layout is 'spiral'; choose one of"),
    (_set('chunks', 1), 'chunks is 1; expected 2 to'),
    (_set('asks.x', 'go'), "asks: 'x' is 0; expected 1 to 6"),
    (_set('asks.7', 'go'), "asks: '7' is 7; expected 1 to 6"),
    (_set('asks.2', 3), 'asks.2 is 3; expected a text'),
    (_set('settings.steps', None), 'settings: steps is missing'),
    (_set('settings.steps', 0), 'settings: steps is 0: give 1 to 128'),
    (_set('settings.guidance', 'a'), "settings: guidance is 'a'; expected a"),
    (_set('settings.times', [0, 2]), 'settings: times is (0.0, 2.0)'),
    (_set('turns.0.chunk', 7), 'turns[0]: chunk is 7; expected 1 to 6'),
    (_set('turns.0.seed', None), 'turns[0]: seed is missing'),
    (_set('words.0.text', 1), 'words[0]: text is 1; expected a text'),
    (_set('digests.chunks', [1]), 'digests.chunks[0] is 1; expected a text'),
    (_set('start.frames', 0), 'start.png: no 0 frames'),
    (_set('start.frames', 5), 'start.png: no 5 frames'),
    (_set('start.sha256', 'x'), 'start.png: is not the start that story.json'),
    (_set('sample', 4), 'sample is 4; expected an object'),
  ],
)
def test_a_record_that_is_wrong_is_named(folder, tmp_path, change, complaint):
  (tmp_path / 'start.png').write_bytes((folder / 'start.png').read_bytes())
  record = json.loads((folder / 'story.json').read_text())
  change(record)
  (tmp_path / 'story.json').write_text(json.dumps(record))
  with pytest.raises(ValueError) as caught:
    story_folder.load(tmp_path)
  assert complaint in str(caught.value)
  assert str(caught.value).startswith(f'{tmp_path}/')


def test_what_is_no_story_is_said(folder, tmp_path):
  with pytest.raises(ValueError, match='no story there'):
    story_folder.load(tmp_path)
  data = (folder / 'story.json').read_bytes()
  (tmp_path / 'story.json').write_bytes(data[:200])
  with pytest.raises(ValueError, match=r'story\.json: no JSON'):
    story_folder.load(tmp_path)
  (tmp_path / 'story.json').write_bytes(data)
  with pytest.raises(ValueError, match=r'start\.png: no 1 frames'):
    story_folder.load(tmp_path)
  (tmp_path / 'start.png').write_bytes(b'no picture')
  with pytest.raises(ValueError, match=r'start\.png: no 1 frames'):
    story_folder.load(tmp_path)


@pytest.fixture
def saved(folder, monkeypatch):
  """The story, and a storyteller that can tell it again."""
  monkeypatch.setattr(
    storyteller_lib,
    'Storyteller',
    lambda workdir, **changes: fake_teller.Storyteller(**changes),
  )
  return replay.loaded(folder, folder)


def _again(saved, script):
  ((_, finished),) = filming.films(saved.teller, [replay.job(saved, script)])
  return finished


def test_a_story_told_again_is_the_same(saved):
  again = _again(saved, saved.script)
  assert replay.verdict(saved, again).endswith('one: the same, bit for bit')
  saved.record['software']['jax'] = '0.1'
  line = replay.verdict(saved, again)
  assert 'the same, bit for bit, though software.jax is ' in line


@pytest.mark.parametrize(
  'changes,chunk,time',
  [
    ({'seed': 4}, 1, 0.12),
    ({'asks': {2: 'go'}}, 3, 1.12),
    ({'turns': ()}, 5, 2.12),
    ({'chunks': 6}, 6, 2.62),
    ({'chunks': 8}, 7, 3.12),
  ],
)
def test_where_another_story_begins_is_said(saved, changes, chunk, time):
  again = _again(saved, saved.script._replace(**changes))
  place = f'another story from chunk {chunk} on, at {time:.2f} s: '
  with pytest.raises(ValueError) as caught:
    replay.verdict(saved, again)
  assert place + 'though weights, versions' in str(caught.value)
  saved.record['checkpoint'] = {'step': 6, 'fingerprint': 'beef'}
  with pytest.raises(ValueError) as caught:
    replay.verdict(saved, again)
  changed = "checkpoint.fingerprint is 'f00d', was 'beef'; checkpoint.step is 7"
  assert place + changed in str(caught.value)


def test_a_fork_shares_the_past_and_nothing_more(saved):
  whole = _again(saved, saved.script)
  for chunk in range(1, 7):
    script = replay.fork(saved, chunk, {chunk: 'left'}, lambda turn: turn)
    assert script.asks.keys() == {c for c in (2, 3) if c < chunk} | {chunk}
    assert len(script.turns) == (chunk > 5)
    again = _again(saved, script)
    assert replay.first_difference(saved, again) == chunk
    shared = 1 + 4 * (chunk - 1)
    np.testing.assert_array_equal(again.frames[:shared], whole.frames[:shared])


def test_a_fork_may_change_the_seed(saved):
  def reseeded(turn):
    return turn._replace(seed=turn.seed + 1)

  script = replay.fork(saved, 3, {}, reseeded)
  assert [turn[:2] for turn in script.turns] == [(3, 4)]
  assert replay.first_difference(saved, _again(saved, script)) == 3
  script = replay.fork(saved, 6, {}, reseeded)
  assert [turn[:2] for turn in script.turns] == [(5, 9), (6, 10)]
  assert replay.first_difference(saved, _again(saved, script)) == 6


@pytest.mark.parametrize(
  'seconds,chunk', [(0, 1), (0.2, 1), (1.7, 4), (2.625, 6), (3.1, 7)]
)
def test_a_time_is_the_moment_of_a_fork(saved, seconds, chunk):
  assert replay.moment(saved, seconds, 10) == chunk


@pytest.mark.parametrize('seconds', [-0.1, 3.7, float('nan'), float('inf')])
def test_a_time_outside_is_none(saved, seconds):
  with pytest.raises(ValueError, match=r'another story from 0\.12 to 2\.62 s'):
    replay.moment(saved, seconds, 7)


def test_a_story_of_another_kind_of_teller_is_refused(saved, tmp_path):
  for path in saved.folder.iterdir():
    (tmp_path / path.name).write_bytes(path.read_bytes())
  saved.record['sample']['lames'] = 3
  (tmp_path / 'story.json').write_text(json.dumps(saved.record))
  with pytest.raises(ValueError, match=r'story\.json: sample\.lames is no'):
    replay.loaded(tmp_path, tmp_path)


def test_a_digest_is_of_size_and_bits():
  frames = np.zeros((2, 3, 4, 3), np.uint8)
  digest = story_folder.frames_lib.digest
  assert digest(frames) == hashlib.sha256(b'2x3x4x3' + bytes(72)).hexdigest()
  assert digest(frames) != digest(frames.reshape(1, 6, 4, 3))
