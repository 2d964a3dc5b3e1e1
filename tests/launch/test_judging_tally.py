"""What answers come to: figures with a known truth, and rows that are wrong."""

import json

import numpy as np
import pytest
from scipy import stats

from launch.judging import answers
from launch.judging import key as key_lib
from launch.judging import preferences
from launch.judging import tally
from tests.launch import judged

_FIRST, _SECOND = judged.NAMES


def _read(tmp_path, key, *files):
  paths = [
    judged.write(tmp_path / f'{number}.csv', rows)
    for number, rows in enumerate(files)
  ]
  return answers.read(paths, key)


def _votes(rng, chances, judges):
  """Votes of pairs, each with its own chances of the three answers."""
  return rng.multinomial(judges, chances)


@pytest.mark.parametrize('judges', [1, 3])
def test_the_interval_covers_the_truth(judges):
  """Pairs differ in how clear they are; the lead of all of them is 0.2."""
  rng = np.random.default_rng(0)
  covered = 0
  for seed in range(200):
    clear = rng.uniform(-0.4, 0.4, 40) + 0.2
    chances = np.stack([0.4 + clear / 2, np.full(40, 0.2), 0.4 - clear / 2], 1)
    votes = _votes(rng, chances, judges)
    lead = preferences.preference(votes, seed, 400).lead
    covered += lead.low <= 0.2 <= lead.high
  assert 0.9 <= covered / 200 <= 1


def test_with_a_judge_a_pair_it_is_scipys_bootstrap():
  rng = np.random.default_rng(1)
  votes = _votes(rng, [0.5, 0.2, 0.3], np.ones(60, int))
  found = preferences.preference(votes, 2)
  theirs = stats.bootstrap(
    (votes[:, 0] - votes[:, 2],), np.mean, method='percentile', rng=rng
  ).confidence_interval
  assert found.lead.value == pytest.approx((votes[:, 0] - votes[:, 2]).mean())
  assert found.lead[1:] == pytest.approx(theirs, abs=0.02)
  assert found.win.value + found.tie.value + found.loss.value == 1


def test_agreement_is_krippendorffs():
  """His example of four observers and twelve units: 0.743 (2011, C)."""
  observers = (
    '123321412...',
    '1233224125.3',
    '.3332342251.',
    '12332441251.',
  )
  votes = np.array(
    [
      [column.count(str(value)) for value in range(1, 6)]
      for column in zip(*observers, strict=True)
    ]
  )
  assert preferences.agreement(votes) == pytest.approx(0.743, abs=5e-4)
  assert preferences.agreement(3 * np.eye(3, dtype=int)) == 1
  assert np.isnan(preferences.agreement(np.eye(3, dtype=int)))
  assert np.isnan(preferences.agreement(np.array([[2, 0, 0]])))


def test_the_sign_test_counts_pairs_that_were_won():
  votes = np.array([[2, 0, 1]] * 9 + [[0, 3, 0], [1, 1, 1], [0, 0, 1]])
  found = preferences.sign_test(votes)
  assert found[:3] == (9, 2, 1)
  assert found.p == pytest.approx(22 / 1024)
  assert preferences.sign_test(votes[9:11]).p == 1


def test_a_tally_says_who_won_who_agreed_and_who_looked(tmp_path):
  key = judged.key(8, checks=2)

  def rows(judge, wanted, checks):
    for pair, entry in key.pairs.items():
      for question in key.asked(pair):
        want = checks if entry.check else wanted(question.id, int(pair))
        first = (int(pair) + len(judge)) % 2 == 0
        yield judged.row(key, judge, pair, question.id, want, first_left=first)

  def ann(question, pair):
    return {'overall': _FIRST, 'quality': 'tie'}.get(question, _SECOND)

  def bob(question, pair):
    return _FIRST if pair <= 2 else ann(question, pair)

  given = _read(
    tmp_path,
    key,
    list(rows('ann', ann, key_lib.WHOLE)),
    list(rows('bobby', bob, key_lib.DAMAGED))[:-1],
  )
  found = tally.report(key, given, seed=1)
  by_id = {each['id']: each for each in found['questions']}
  overall = by_id['overall']
  assert overall['answers'] == 16
  assert overall['shares']['win'] == {'value': 1, 'low': 1, 'high': 1}
  assert overall['agreement'] is None
  assert overall['sign_test']['p'] == pytest.approx(2 / 2**8)
  quality = by_id['quality']['shares']
  assert quality['win']['value'] == 2 / 16
  assert 0 == quality['win']['low'] < 2 / 16 < quality['win']['high']
  assert -1 < by_id['realism']['agreement'] < 1
  assert by_id['instruction']['pairs'] == by_id['alignment']['pairs'] == 4
  judges = {each['judge']: each for each in found['judges']}
  assert judges['ann']['checks_passed'] == judges['ann']['checks'] == 8
  assert judges['bobby']['checks_passed'] == 0
  assert judges['bobby']['answers'] == judges['bobby']['of'] - 1 == 39
  assert found['sides']['shown'] == 16
  assert found['sides']['first_on_left'] == 8

  # The order of files and rows changes nothing, nor does a second time.
  texts = []
  for name in ('a', 'b'):
    table = tally.write(tmp_path / name, key, given, seed=1)
    texts.append((tmp_path / name / 'tally.json').read_text())
    given = _read(
      tmp_path,
      key,
      list(rows('bobby', bob, key_lib.DAMAGED))[:-1][::-1],
      list(rows('ann', ann, key_lib.WHOLE)),
    )
  assert texts[0] == texts[1]
  assert json.loads(texts[0]) == found
  assert '| overall (16 answers, 8 pairs) | 100 % [100, 100] |' in table
  assert '| bobby | 39 of 40 |' in table
  assert '0 of 7' in table


def test_a_judge_who_always_takes_the_left_is_seen(tmp_path):
  key = judged.key(20)
  rows = [
    judged.row(key, 'ann', pair, 'overall', wanted, first_left=left)
    for pair, left in zip(key.pairs, [True, False] * 10, strict=True)
    for wanted in [_FIRST if left else _SECOND]
  ]
  found = tally.report(key, _read(tmp_path, key, rows), seed=0)
  assert (found['sides']['left'], found['sides']['right']) == (20, 0)
  assert found['sides']['left_p'] < 1e-5
  (overall,) = (q for q in found['questions'] if q['id'] == 'overall')
  lead = overall['shares']['lead']
  assert lead['low'] < 0 == lead['value'] < lead['high']


@pytest.mark.parametrize(
  ('change', 'said'),
  [
    ({'page': 'beef'}, "page is 'beef'; expected 'c0ffee': these are answers"),
    ({'judge': ' '}, "judge is ' '"),
    ({'pair': '9'}, "pair is '9'; expected one of the 4 pairs"),
    ({'left': '9a'}, "left is '9a'; expected 1a and 1b"),
    ({'right': '1a'}, "left is '1a'; expected 1a and 1b"),
    ({'question': 'alignment'}, "question is 'alignment'; expected one of ins"),
    ({'question': 'taste'}, "question is 'taste'"),
    ({'answer': 'Left'}, "answer is 'Left'; expected left, tie, right"),
    ({'question': 'overall'}, "0.csv:3: 'ann' answered question 'overall' of"),
  ],
)
def test_a_wrong_row_is_named_with_file_and_line(tmp_path, change, said):
  key = judged.key(4)
  rows = [
    judged.row(key, 'ann', '1', 'overall', _FIRST),
    judged.row(key, 'ann', '1', 'quality', _FIRST) | change,
  ]
  with pytest.raises(ValueError, match=r'0\.csv:3: ') as error:
    _read(tmp_path, key, rows)
  assert said in str(error.value)


def test_an_answer_in_two_files_is_named_in_both(tmp_path):
  key = judged.key(1)
  rows = [judged.row(key, 'ann', '1', 'overall', _FIRST)]
  with pytest.raises(ValueError, match=r'1\.csv:2: .* before, in .*0\.csv:2'):
    _read(tmp_path, key, rows, rows)


@pytest.mark.parametrize(
  ('data', 'said'),
  [
    (b'', ":1: column 'page' is missing"),
    (b'a,b\n1,2\n', ":1: column 'page' is missing"),
    (b'page,judge,pair,place,left,right,question,answer\n', 'no answer in it'),
    (b'page,judge,pair,place,left,right,question,answer\n1\n', ':2: has 1 '),
    (b'\xff\xfe', 'no CSV in UTF-8'),
    (b'page,judge,pair,place,left,right,question,answer\n"1', 'no CSV'),
  ],
)
def test_what_are_no_answers_is_named(tmp_path, data, said):
  path = tmp_path / 'answers.csv'
  path.write_bytes(data)
  with pytest.raises(ValueError, match=r'answers\.csv') as error:
    answers.read([path], judged.key(1))
  assert said in str(error.value)


def test_a_key_comes_back_and_a_damaged_one_is_named(tmp_path):
  key, path = judged.key(2, checks=1), tmp_path / 'key.json'
  path.write_text(key_lib.text(key))
  assert key_lib.load(path) == key
  whole = json.loads(path.read_text())
  for field, value, said in (
    ('names', ['a'], 'names has 1, expected 2'),
    ('version', 2, 'version is not 1'),
    ('seed', '', 'seed is'),
    ('pairs', {'1': {}}, 'pairs.1: name is missing'),
    ('questions', [{'id': 'a'}], r'questions\[0\]: text is missing'),
  ):
    path.write_text(json.dumps({**whole, field: value}))
    with pytest.raises(ValueError, match=said):
      key_lib.load(path)
  whole['pairs']['1']['films']['1a'] = 'other'
  path.write_text(json.dumps(whole))
  with pytest.raises(ValueError, match=r'pairs\.1: films is'):
    key_lib.load(path)
