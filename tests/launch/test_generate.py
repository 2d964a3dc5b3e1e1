"""The program that films a story: what it takes, tells, and refuses."""

import json

import numpy as np
from PIL import Image
import pytest

from launch import story_folder
from launch import storyteller as storyteller_lib
from tests.launch import fake_teller
from tests.launch import made_up


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  """A workdir that keeps two starts."""
  folder = tmp_path_factory.mktemp('workdir')
  frames = np.stack([start.frames[0] for start in fake_teller.starts(2)])
  path = folder / storyteller_lib.STARTS
  np.savez(path, frames=frames, prompts=['doom hall', 'hall'])
  return folder


def _lines(workdir, *lines):
  return [[f'--workdir={workdir}', *line] for line in lines]


def test_a_story_is_told_told_again_and_told_another_way(workdir, tmp_path):
  one, two, three = (tmp_path / name for name in ('one', 'two', 'three'))
  told = ('--seconds=3', '--seed=4', '--say=1: left', '--ending=go', '--hold=0')
  answers = made_up.answers(
    *_lines(
      workdir,
      (f'--out={one}', '--start=1', '--temperature=0.5', *told),
      (f'--replay={one}',),
      (f'--out={two}', f'--from={one}', '--at=2', '--say=2.1:', '--seed=5'),
      (f'--replay={two}',),
      (f'--out={three}', f'--from={two}', '--at=3.1', '--seconds=4'),
    )
  )
  assert [answer[0] for answer in answers] == [0] * 5
  said = [answer[1].splitlines() for answer in answers]
  assert said[0] == [
    '  1.12 s  left',
    '  2.62 s  go',
    f'{one / "story.mp4"}: 25 frames, 3.12 s',
  ]
  assert said[1][-1] == f'{one}: the same, bit for bit'
  assert said[3][-1] == f'{two}: the same, bit for bit'
  assert '100%' in answers[0][2] and 'chunk/s' in answers[0][2]
  first, start, _ = story_folder.load(one)
  assert first.prompt == 'hall' and (start == 120).all()
  assert (first.seed, first.settings.temperature) == (4, 0.5)
  assert first.asks == {3: 'left', 6: 'go'}
  second, _, _ = story_folder.load(two)
  assert second.asks == {3: 'left', 5: '', 6: ''}
  assert second.turns == (story_folder.Turn(5, 5, first.settings),)
  third, _, record = story_folder.load(three)
  assert third == second._replace(chunks=9)
  digests = [
    story_folder.load(folder)[2]['digests']['chunks']
    for folder in (one, two, three)
  ]
  assert digests[0][:5] == digests[1][:5] and digests[0][5] != digests[1][5]
  assert digests[2][:7] == digests[1] and record['frames'] == 33


def test_a_replay_says_what_is_not_the_same(workdir, tmp_path):
  one, two = tmp_path / 'one', tmp_path / 'two'
  told, *_ = made_up.answers(*_lines(workdir, (f'--out={one}', '--seconds=2')))
  assert told[0] == 0
  record = json.loads((one / 'story.json').read_text())
  record['checkpoint']['fingerprint'] = 'beef'
  record['digests']['chunks'][2] = '0' * 16
  (one / 'story.json').write_text(json.dumps(record))
  again, fork = made_up.answers(
    *_lines(
      workdir,
      (f'--replay={one}',),
      (f'--out={two}', f'--from={one}', '--at=1.6', '--say=1.6: go'),
    )
  )
  line = (
    f'{one}: another story from chunk 2 on, at 0.62 s: '
    "checkpoint.fingerprint is 'f00d', was 'beef'"
  )
  assert made_up.complaint(again) == f'error: {line}'
  # A fork is told all the same, but not in silence.
  assert fork[0] == 0 and line in fork[1].splitlines()


def test_a_file_of_stories_is_told(workdir, tmp_path):
  file = tmp_path / 'p.jsonl'
  file.write_text('{"prompt": "doom"}\n{"prompt": "fail", "seconds": 1}\n')
  flags = (f'--prompts={file}', f'--out={tmp_path / "out"}', '--seconds=2')
  share, rest = made_up.answers(
    *_lines(
      workdir,
      (*flags, '--hosts=2', '--host=0', '--steps=4', '--start=1'),
      (*flags, '--steps=4', '--start=1'),
    )
  )
  assert share[0] == 0 and 'other hosts have 1 of 2 stories' in share[1]
  assert '2: RuntimeError: no memory for this story' in made_up.complaint(rest)
  script, start, _ = story_folder.load(tmp_path / 'out' / '1')
  assert script.chunks == 5 and script.settings.steps == 4
  assert (start == 120).all()


def test_what_cannot_be_told_is_one_line(workdir, tmp_path):
  out = f'--out={tmp_path / "out"}'
  picture = tmp_path / 'large.png'
  Image.new('RGB', (20, 12)).save(picture)
  (tmp_path / 'p.jsonl').write_text('{"prompt": "doom", "sed": 1}')
  prompts = f'--prompts={tmp_path / "p.jsonl"}'
  refused = {
    (): '--out is missing',
    (out, '--say=left'): 'write it as "SECONDS: WORDS"',
    (out, '--say=7: go'): '7 s is after the end of the story',
    (out, '--say=1: go', '--say=1.1:'): "and --say '1.1:' begin with the same",
    (out, '--say=5.9: go', '--ending=go'): "would be said during --ending 'go'",
    (out, '--ending=' + 'go ' * 20): "--ending 'go go",
    (out, '--prompt=' + 'go ' * 40): '--prompt has 40 tokens, over the budget',
    (out, '--prompt=a\tb'): "--prompt: 'a\\tb' has the character '\\t'",
    (out, '--prompt=a\udcffb'): "has the character '\\udcff'",
    (out, '--seconds=nan'): '--seconds is nan; expected 0.25 to 3600',
    (out, '--seconds=1e9'): 'seconds',
    (out, '--steps=0'): 'steps is 0: give 1 to 128',
    (out, '--layout=spiral'): 'layout',
    (out, '--start=2'): 'keeps 2 starting frames: no number 2',
    (out, f'--start={picture}'): 'frame of 20x12: this model films 16x12',
    (out, '--start=nowhere.png'): "--start 'nowhere.png': no picture",
    (out, '--start=test:0'): "--start 'test:0' needs --records DIR",
    (out, '--start_seconds=1'): "--start '0' is one frame",
    (out, '--at=1'): '--at needs --from',
    (out, '--host=1'): '--host needs --prompts',
    (out, '--from=nowhere'): '--from=nowhere needs --at',
    (out, '--from=nowhere', '--at=1'): 'nowhere/story.json: no story there',
    (out, f'--from={tmp_path}/out', '--at=1'): 'is the story of --from',
    (out, '--from=x', '--start=1'): '--from and --start contradict one another',
    (out, '--from=x', '--solver=heun'): '--from and --solver contradict',
    ('--replay=x', out): '--replay and --out contradict one another',
    ('--replay=x', '--seed=1'): '--replay and --seed contradict one another',
    ('--replay=nowhere',): 'nowhere/story.json: no story there',
    (prompts, out): "p.jsonl:1: 'sed' is no field",
    (prompts, out, '--say=1: go'): '--prompts and --say contradict',
    (prompts, out, '--hosts=2', '--host=2'): '--host=2 is none of --hosts=2',
    (prompts,): '--out is missing',
    (f'--out={workdir}',): 'there is something else; name another',
  }
  answers = made_up.answers(*_lines(workdir, *refused))
  for complaint, answer in zip(refused.values(), answers, strict=True):
    assert complaint in made_up.complaint(answer)
  assert not (tmp_path / 'out').exists()
  assert {p.name for p in tmp_path.iterdir()} == {'large.png', 'p.jsonl'}
