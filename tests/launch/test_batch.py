"""A file of stories: the same folders whoever tells them, and in what order."""

import json
import os
import signal

import numpy as np
from PIL import Image
import pytest

from launch import story_folder
from launch import storyteller as storyteller_lib
from launch.stories import batch
from launch.stories import prompts
from launch.stories import starts
from tests.launch import fake_teller
from tests.launch import made_up

_DEFAULTS = prompts.Defaults(start='0', seed=0, seconds=2.0, hold=1.0)
_STORIES = [
  {'id': 'one', 'prompt': 'doom hall', 'seconds': 3, 'says': [[1, 'go']]},
  {'id': 'two', 'prompt': 'doom', 'start': 1, 'settings': {'steps': 4}},
  {'id': '10', 'prompt': 'doom', 'seed': 5, 'seconds': 1},
  {'id': '9', 'prompt': 'doom end', 'seconds': 9},
  {'id': 'same', 'prompt': 'doom hall', 'seconds': 3, 'says': [[1, 'go']]},
  {'id': 'last', 'prompt': '', 'seconds': 4, 'ending': 'left'},
]


@pytest.fixture
def workdir(tmp_path):
  """A workdir that keeps two starts."""
  folder = tmp_path / 'workdir'
  folder.mkdir()
  frames = np.stack([start.frames[0] for start in fake_teller.starts(2)])
  path = folder / storyteller_lib.STARTS
  np.savez(path, frames=frames, prompts=['doom'] * 2)
  return folder


def _file(path, stories):
  path.write_text(''.join(json.dumps(each) + '\n' for each in stories))
  return path


def _told(workdir, out, stories, share=None, **changes):
  """A run; the teller, and what the run said."""
  teller = fake_teller.Storyteller(**changes)
  lines = prompts.read(_file(workdir / 'p.jsonl', stories), _DEFAULTS)
  tasks = batch.tasks(lines, starts.Places(workdir), teller)
  return teller, batch.run(out, tasks, share or batch.Share(), teller)


def _bytes(folder):
  """All files below a folder."""
  files = (path for path in folder.rglob('*') if path.is_file())
  return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def whole(workdir, tmp_path):
  """What one host makes, one story after another."""
  _told(workdir, tmp_path / 'whole', _STORIES, lanes=4)
  return _bytes(tmp_path / 'whole')


def test_stories_are_in_their_folders(workdir, tmp_path):
  out = tmp_path / 'out'
  _, said = _told(workdir, out, _STORIES)
  assert said == f'{out}: 6 stories, 122 frames; {out / "sheet.webp"}'
  names = {each['id'] for each in _STORIES}
  assert {p.name for p in out.iterdir()} == names | {batch.SUMMARY, batch.SHEET}
  lines = (out / batch.SUMMARY).read_text().splitlines()
  summary = {each['id']: each for each in map(json.loads, lines)}
  assert [*summary] == ['9', '10', 'last', 'one', 'same', 'two']
  assert summary['9']['ended'] == 'eos' and summary['9']['frames'] == 13
  assert summary['one']['film'] == summary['same']['film']
  assert summary['one']['words'] == [
    [1.125, 'go'],
    [1.625, 'go'],
    [2.625, 'turn'],
  ]
  script, start, _ = story_folder.load(out / 'two')
  assert script.settings.steps == 4 and (start == 120).all()
  with Image.open(out / batch.SHEET) as sheet:
    assert sheet.width == 8 * 168 + 8


def test_lanes_are_full_while_stories_wait(workdir, tmp_path):
  teller, _ = _told(workdir, tmp_path / 'out', _STORIES, lanes=2)
  chunks = sum(
    len(
      story_folder.load(tmp_path / 'out' / each['id'])[2]['digests']['chunks']
    )
    for each in _STORIES
  )
  # One is filmed less than it has, and one is asked once more, and ends.
  assert sum(teller.engine.batches) == chunks - len(_STORIES) + 1
  assert len(teller.engine.batches) <= sum(teller.engine.batches) / 2 + 3


def test_hosts_order_and_lanes_change_no_byte(workdir, tmp_path, whole):
  out = tmp_path / 'shuffled'
  _told(workdir, out, _STORIES[::-1])
  assert _bytes(out) == whole
  out = tmp_path / 'hosts'
  _, said = _told(workdir, out, _STORIES, batch.Share(host=1, hosts=2))
  assert said.startswith(f'{out}: this share is done; other hosts have 3 of 6')
  assert not (out / batch.SUMMARY).exists()
  assert {p.name for p in out.iterdir()} == {'two', '9', 'last'}
  _told(workdir, out, _STORIES, batch.Share(host=0, hosts=2))
  assert _bytes(out) == whole


def test_what_is_told_is_not_told_again(workdir, tmp_path, whole):
  out = tmp_path / 'out'
  _told(workdir, out, _STORIES[:4])
  times = {p: p.stat().st_mtime_ns for p in out.glob('*/story.json')}
  teller, _ = _told(workdir, out, _STORIES)
  assert max(teller.engine.batches) == 2
  assert _bytes(out) == whole
  assert {p: p.stat().st_mtime_ns for p in times} == times
  teller, _ = _told(workdir, out, _STORIES)
  assert not teller.engine.batches
  assert _bytes(out) == whole
  (out / '10' / 'story.mp4').unlink()
  _told(workdir, out, _STORIES)
  assert _bytes(out) == whole


def test_a_killed_run_goes_on(workdir, tmp_path, whole):
  out = tmp_path / 'out'
  file = _file(tmp_path / 'p.jsonl', _STORIES)
  arguments = [f'--workdir={workdir}', f'--prompts={file}', f'--out={out}']
  arguments += ['--seconds=2']
  with made_up.begun(pause=0.1) as program:
    program.stdin.write(json.dumps(arguments) + '\n')
    program.stdin.flush()
    while not list(out.glob('*/story.json')):
      assert program.poll() is None, 'it ended before it could be killed'
      os.sched_yield()
    program.kill()
  assert program.returncode == -signal.SIGKILL
  told = len(list(out.glob('*/story.json')))
  assert told < 6 and not (out / batch.SUMMARY).exists()
  # What a story was in the middle of being written would have left.
  (out / '.last.99-7.partial').mkdir()
  ((status, said, _),) = made_up.answers(arguments)
  assert status == 0 and '6 stories' in said
  assert _bytes(out) == whole
  assert not list(out.glob('.*'))


def test_one_that_fails_leaves_the_others_alone(workdir, tmp_path, whole):
  out = tmp_path / 'out'
  bad = [
    {'id': 'bad', 'prompt': 'fail'},
    {'id': 'worse', 'prompt': 'doom', 'says': [[1, 'dark']]},
  ]
  stories = [_STORIES[0], bad[0], *_STORIES[1:], bad[1]]
  with pytest.raises(ValueError) as caught:
    _told(workdir, out, stories)
  assert str(caught.value) == (
    f'{out}: 2 of 8 stories could not be told: bad: RuntimeError: no memory '
    'for this story; worse: RuntimeError: nothing to be seen'
  )
  names = {each['id'] for each in _STORIES}
  found = _bytes(out)
  for path, data in whole.items():
    if path.partition('/')[0] in names:
      assert found[path] == data
  lines = (out / batch.SUMMARY).read_text().splitlines()
  assert len(lines) == 8
  error = {'id': 'bad', 'error': 'RuntimeError: no memory for this story'}
  assert json.loads(lines[2]) == error
  assert not (out / 'bad').exists() and not (out / 'worse').exists()
  # It is tried again, and can be told now.
  mended = [{**each, 'prompt': 'doom', 'says': []} for each in bad]
  _, said = _told(workdir, out, [*_STORIES, *mended])
  assert said.startswith(f'{out}: 8 stories')
  assert not list(out.glob('.*'))


def test_a_story_that_cannot_be_written_is_one_that_fails(
  workdir, tmp_path, monkeypatch
):
  save, out = story_folder.save, tmp_path / 'out'

  def full(folder, finished, teller):
    if folder.name == 'two':
      raise OSError('no space left')
    save(folder, finished, teller)

  monkeypatch.setattr(story_folder, 'save', full)
  with pytest.raises(ValueError, match='two: OSError: no space left'):
    _told(workdir, out, _STORIES)
  assert len(list(out.glob('*/story.json'))) == 5


@pytest.mark.parametrize(
  'change,complaint',
  [
    ({'seed': 3}, 'one is another story: seed is 3, was 0'),
    ({'prompt': 'go'}, "one is another story: prompt is 'go', was 'doom hall'"),
    ({'start': 1}, 'one is another story: start is another'),
  ],
)
def test_another_story_is_not_overwritten(workdir, tmp_path, change, complaint):
  out = tmp_path / 'out'
  _told(workdir, out, _STORIES[:1])
  before = _bytes(out)
  with pytest.raises(ValueError) as caught:
    _told(workdir, out, [{**_STORIES[0], **change}, _STORIES[1]])
  assert complaint in str(caught.value)
  assert _bytes(out) == before


def test_other_weights_do_not_go_on(workdir, tmp_path, monkeypatch):
  out = tmp_path / 'out'
  _told(workdir, out, _STORIES[:1])
  with pytest.raises(ValueError, match=r'sample\.window is 8, was 16'):
    _told(workdir, out, _STORIES, window=8)
  record = json.loads((out / 'one' / 'story.json').read_text())
  record['checkpoint']['fingerprint'] = 'beef'
  (out / 'one' / 'story.json').write_text(json.dumps(record))
  with pytest.raises(ValueError, match=r"fingerprint is 'f00d', was 'beef'"):
    _told(workdir, out, _STORIES)


@pytest.mark.parametrize(
  'line,complaint',
  [
    ({'prompt': 'a', 'start': 2}, 'keeps 2 starting frames: no number 2'),
    ({'prompt': 'a', 'start': 'no'}, ":3: start 'no': no picture"),
    ({'prompt': 'a', 'says': [[9, 'go']]}, ':3: says[0]: 9 s is after the end'),
    ({'prompt': 'a', 'says': [[1, 'go ' * 20]]}, ':3: says[0]: 20 tokens'),
    ({'prompt': 'go ' * 40}, ':3: prompt has 40 tokens'),
    ({'prompt': 'a', 'seconds': 'x'}, ":3: seconds is 'x'; expected a number"),
  ],
)
def test_every_line_is_checked_before_any_is_told(
  workdir, tmp_path, line, complaint
):
  with pytest.raises(ValueError) as caught:
    _told(workdir, tmp_path / 'out', [*_STORIES[:2], line])
  assert complaint in str(caught.value)
  assert not (tmp_path / 'out').exists()


def test_hosts_count_from_0():
  with pytest.raises(ValueError, match='--host=2 is none of --hosts=2'):
    batch.Share(host=2, hosts=2)
