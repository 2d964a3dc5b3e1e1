"""Two sets become pairs, and a page that does not say whose film is whose."""

import json
import shutil

import av
import numpy as np
import pytest

from data_pipelines import film as film_lib
from launch.judging import key as key_lib
from launch.judging import pairs
from launch.judging import questions
from tests.launch import judged
from tests.launch import programs


@pytest.fixture(scope='module')
def sets(tmp_path_factory):
  """Two sets of 12 stories."""
  return judged.told(tmp_path_factory.mktemp('sets'), 12)


@pytest.fixture(scope='module')
def page(sets, tmp_path_factory):
  """A page with its films beside it, and two checks."""
  out = tmp_path_factory.mktemp('judging') / 'out'
  said, key = judged.made(out, sets, checks=2, most=0)
  return out, said, key


@pytest.fixture
def two(tmp_path):
  """Two sets of two stories, to be spoilt."""
  return judged.told(tmp_path, 2)


def _films(out):
  return sorted((out / 'page' / 'films').iterdir())


def test_every_story_is_shown_once_and_checks_besides(page):
  out, said, key = page
  real = [entry for entry in key.pairs.values() if not entry.check]
  assert sorted(int(entry.name) for entry in real) == list(range(12))
  assert len(key.pairs) == 14
  numbers = [n for entry in key.pairs.values() for n in entry.films]
  assert sorted(numbers) == [path.stem for path in _films(out)]
  assert numbers != sorted(numbers)
  assert said.startswith(f'{out / "page"}: 14 pairs, 2 of them checks')
  assert str(out / 'key.json') in said


def test_nothing_that_a_judge_gets_tells_the_sets_apart(page, sets):
  out, _, _ = page
  text = (out / 'page' / 'index.html').read_text()
  shown = [path.name for path in (out / 'page').rglob('*')]
  for secret in (*judged.NAMES, *map(str, sets), key_lib.DAMAGED, 'layout'):
    assert secret not in text
    assert secret not in shown
  data = judged.data(text)
  assert data.keys() == {'page', 'questions', 'pairs', 'films'}
  for pair in data['pairs'].values():
    assert pair['films'] == sorted(pair['films'])
    assert not pair['words']
  # What the files say of themselves is the same, and so is the order in time.
  tags = set()
  for path in _films(out):
    with av.open(str(path)) as film:
      stream = film.streams.video[0]
      tags.add(json.dumps([film.metadata, stream.metadata, stream.codec.name]))
    begin = path.read_bytes().find(b'x264 - core')
    tags.add(path.read_bytes()[begin : begin + 500].partition(b'\0')[0])
  assert len(tags) == 2
  times = [path.stat().st_mtime_ns for path in _films(out)]
  assert times == sorted(times)


def test_numbers_and_order_are_drawn(sets, tmp_path):
  first = []
  for seed in range(3):
    out = tmp_path / str(seed)
    _, key = judged.made(out, sets, seed=seed, count=8, most=0)
    first.append(
      [entry.films[min(entry.films)] for entry in key.pairs.values()]
    )
    order = [int(entry.name) for entry in key.pairs.values()]
    assert order != sorted(order)
  assert 6 <= sum(each.count('tv2tv') for each in first) <= 18
  assert len(set(map(tuple, first))) == 3


def test_films_are_what_the_key_says_and_damage_is_seen(page):
  out, _, key = page
  for entry in key.pairs.values():
    means = {}
    for number, of in entry.films.items():
      path = out / 'page' / 'films' / f'{number}.mp4'
      frames = np.stack([frame for _, frame in film_lib.frames(path)])
      assert len(frames) == 9
      means[of] = frames[-1].mean((0, 1))
    if entry.check:
      assert np.ptp(means[key_lib.DAMAGED]) < 9  # grey, as its first frame is
      assert np.ptp(means[key_lib.WHOLE]) > 99
    else:
      assert means['tv2tv'].argmax() == 0
      assert means['think2v'].argmax() == 2


def test_films_are_in_the_page_unless_it_grows_too_large(two, tmp_path):
  judged.made(tmp_path / 'in', two)
  assert [path.name for path in (tmp_path / 'in' / 'page').iterdir()] == [
    'index.html'
  ]
  text = (tmp_path / 'in' / 'page' / 'index.html').read_text()
  films = judged.data(text)['films']
  assert len(films) == 4
  for uri in films.values():
    assert uri.startswith('data:video/mp4;base64,')
  assert 'http' not in text


def test_a_drawn_part_is_shown(sets, tmp_path):
  _, key = judged.made(tmp_path / 'out', sets, count=3, most=0)
  assert len(key.pairs) == 3
  with pytest.raises(ValueError, match=r'--pairs=13: there are 12'):
    judged.made(tmp_path / 'more', sets, count=13)
  assert not (tmp_path / 'more').exists()


def test_what_was_told_is_shown_with_its_time_and_words_if_asked(two, tmp_path):
  judged.made(tmp_path / 'out', two, show_words=True)
  data = judged.data((tmp_path / 'out' / 'page' / 'index.html').read_text())
  told = {len(p['told']): p for p in data['pairs'].values()}
  assert told[1]['told'] == [{'begin': 0.125, 'end': 0.625, 'text': 'go'}]
  assert told[1]['questions'][0] == 'instruction'
  assert told[0]['questions'][0] == 'alignment'
  for pair in data['pairs'].values():
    for film in pair['films']:  # Restated words stand there once.
      assert pair['words'][film] == [
        {'begin': 0.125, 'end': 1.125, 'text': 'left'}
      ]


def test_other_names_are_matched_by_what_was_asked(two, tmp_path):
  (two[1] / '0').rename(two[1] / 'zero')
  pairing = pairs.paired(*two)
  assert not pairing.left_out
  names = {p.name: p.stories[1].folder.name for p in pairing.pairs}
  assert names == {'0': 'zero', '1': '1'}
  # Of two with one task none is taken for the other.
  shutil.copytree(two[1] / 'zero', two[1] / 'null')
  assert len(pairs.paired(*two).left_out) == 3


@pytest.mark.parametrize(
  ('change', 'said'),
  [
    ({'chunks': 4}, 'frames is 9 and 13 in'),
    ({'start': 30}, 'the starting frames in'),
    ({'wide': 20}, 'size is (80, 60) and (100, 60) in'),
    ({'rate': 4.0}, 'rate is 8.0 and 4.0 in'),
    ({'prompt': 'doom'}, 'prompt differs in'),
    ({'asks': {2: 'go'}}, 'told differs in'),
  ],
)
def test_films_that_cannot_be_compared_are_named(two, change, said):
  shutil.rmtree(two[1] / '0')
  judged.tell(two[1] / '0', judged.BLUE, seed=0, **change)
  pairing = pairs.paired(*two)
  (line,) = pairing.left_out
  assert line.startswith('0: ')
  assert said in line
  assert str(two[1] / '0') in line
  assert [pair.name for pair in pairing.pairs] == ['1']


def test_another_wording_of_the_task_is_chosen(two):
  shutil.rmtree(two[1] / '0')
  judged.tell(two[1] / '0', judged.BLUE, prompt='doom; then go', asks={})
  for side, prompt in enumerate(('doom hall', 'doom; then go')):
    pairing = pairs.paired(*two, side)
    assert not pairing.left_out
    assert pairing.pairs[0].task.prompt == prompt


def test_missing_failed_and_broken_stories_are_named(two):
  judged.tell(two[0] / '2', judged.RED, seed=2)
  failed = {'id': '2', 'error': 'no memory'}
  (two[1] / '.2.failed.json').write_text(json.dumps(failed))
  judged.tell(two[1] / '3', judged.BLUE, seed=3)
  film = two[1] / '1' / 'story.mp4'
  film.write_bytes(film.read_bytes()[:-300])
  lines = pairs.paired(*two).left_out
  for wanted in (
    f'{two[1] / "2"}: could not be told (no memory)',
    f'{two[0] / "2"}: has no partner in {two[1]}',
    f'{two[1] / "3"}: has no partner in {two[0]}',
    f'{two[0] / "1"}: has no partner in {two[1]}',
  ):
    assert wanted in lines
  assert len(lines) == 5
  with pytest.raises(ValueError, match=r'^5 stories are no pair; ') as error:
    pairs.check_whole(pairs.paired(*two))
  assert all(line in str(error.value) for line in lines)
  assert any(line.startswith(str(film)) for line in lines)


@pytest.mark.parametrize(
  ('text', 'said'),
  [
    ('', 'no question'),
    ('{"id": "a"}', ':1: text is missing'),
    ('{"id": "A", "text": "?"}', "id is 'A'"),
    ('{"id": "comment", "text": "?"}', "id is 'comment'"),
    ('{"id": "a", "text": " "}', 'text is empty'),
    ('{"id": "a", "text": "?", "asked": "no"}', "asked is 'no'"),
    ('{"id": "a", "text": "?"}\n{"id": "a", "text": "!"}', ':2: id is'),
    ('{"id": "a", "text": 1}', 'text is 1'),
  ],
)
def test_a_wrong_question_is_named(tmp_path, text, said):
  path = tmp_path / 'questions.jsonl'
  path.write_text(text)
  with pytest.raises(ValueError, match=str(path)) as error:
    questions.read(path)
  assert said in str(error.value)


def test_own_questions_are_asked(two, tmp_path):
  path = tmp_path / 'questions.jsonl'
  path.write_text('{"id": "fun", "text": "Which is <more> fun?"}\n\n')
  asked = questions.read(path)
  _, key = judged.made(tmp_path / 'out', two, questions=asked)
  assert key.questions == asked
  page = (tmp_path / 'out' / 'page' / 'index.html').read_text()
  assert judged.data(page)['questions'] == {'fun': 'Which is <more> fun?'}
  with pytest.raises(ValueError, match='no question is asked of pair 1'):
    told = (asked[0]._replace(asked='told'),)
    judged.made(tmp_path / 'none', two, questions=told)


def test_the_program_makes_a_page_and_a_tally(two, tmp_path):
  judged.tell(two[0] / '2', judged.RED, seed=2)
  command = ['launch.judge', 'page', *two, '--out', tmp_path / 'out']
  done = programs.run(*command, '--common', '--checks=1')
  assert done.returncode == 0, done.stderr
  assert f'left out: {two[0] / "2"}' in done.stdout
  key = key_lib.load(tmp_path / 'out' / 'key.json')
  assert key.names == judged.NAMES
  assert len(key.left_out) == 1

  rows = [
    judged.row(key, 'ann', pair, question.id, 'tv2tv')
    for pair, entry in key.pairs.items()
    if not entry.check
    for question in key.asked(pair)
  ]
  judged.write(tmp_path / 'ann.csv', rows)
  done = programs.run(
    'launch.judge',
    'tally',
    tmp_path / 'out' / 'key.json',
    tmp_path / 'ann.csv',
    '--out',
    tmp_path / 'tally',
  )
  assert done.returncode == 0, done.stderr
  assert '| overall (2 answers, 2 pairs) | 100 % [100, 100] |' in done.stdout
  assert sorted(path.name for path in (tmp_path / 'tally').iterdir()) == [
    'tally.html',
    'tally.json',
    'tally.md',
  ]
