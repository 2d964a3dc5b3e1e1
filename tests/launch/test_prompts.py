"""A file of prompts is whole, or the line and field that is wrong is named."""

import json

import pytest

from launch import says
from launch.stories import prompts
from tests.launch import fake_teller

_DEFAULTS = prompts.Defaults(start='0', seed=3, seconds=6.0, hold=1.0)


def _read(tmp_path, *lines):
  path = tmp_path / 'p.jsonl'
  texts = (x if isinstance(x, (str, bytes)) else json.dumps(x) for x in lines)
  path.write_bytes(
    b'\n'.join(x if isinstance(x, bytes) else x.encode() for x in texts)
  )
  return prompts.read(path, _DEFAULTS)


def _told(tmp_path, line, begun=1, **changes):
  (line,) = _read(tmp_path, {'prompt': 'doom', **line})
  return prompts.told(line, fake_teller.Storyteller(**changes), begun)


def test_a_line_says_what_differs_from_the_flags(tmp_path):
  whole = {
    'id': 'a-1',
    'prompt': 'doom hall',
    'start': 'test:4',
    'seed': 2**32 - 1,
    'seconds': 2,
    'says': [[1, 'go'], [1.5, '', 0.5]],
    'ending': 'attack',
    'settings': {'guidance': 1, 'steps': 4},
  }
  one, two = _read(tmp_path, {'prompt': ''}, '', whole)
  assert one[1:] == ('1', '', '0', 3, 6.0, (), None, {})
  assert two.name == 'a-1' and two.prompt == 'doom hall'
  assert (two.start, two.seed, two.seconds) == ('test:4', 2**32 - 1, 2.0)
  assert [each.say for each in two.said] == [(1.0, 'go', 1.0), (1.5, '', 0.5)]
  assert two.said[1].where == f'{tmp_path / "p.jsonl"}:3: says[1]'
  assert two.ending == says.Said(
    f'{tmp_path / "p.jsonl"}:3: ending', (0.0, 'attack', 1.0)
  )
  assert two.settings == {'guidance': 1, 'steps': 4}


@pytest.mark.parametrize(
  'line,complaint',
  [
    ('{"prompt": "a"', ':1: no JSON: '),
    ('[1]', ':1: is [1]; expected an object'),
    (b'{"prompt": "\xff"}', ':1: no UTF-8 (byte 0xff at 12)'),
    ('{"prompt": "a", "prompt": "b"}', ":1: no JSON: 'prompt' is there twice"),
    ('{"prompt": "a", "seconds": NaN}', ':1: no JSON: NaN is no number'),
    ('{"prompt": ' + '[' * 10**5 + ']' * 10**5 + '}', 'too many brackets'),
    ({}, ':1: prompt is missing'),
    ({'prompt': 3}, ':1: prompt is 3; expected a text'),
    ({'prompt': '\ud800'}, ':1: prompt is '),
    ({'prompt': 'a', 'sede': 3}, ":1: 'sede' is no field; fields: id, prompt"),
    ({'prompt': 'a', 'seed': -1}, ':1: seed is -1; expected 0 to 4294967295'),
    ({'prompt': 'a', 'seed': 1.0}, ':1: seed is 1.0; expected a whole number'),
    ({'prompt': 'a', 'seed': True}, ':1: seed is True; expected a whole'),
    ({'prompt': 'a', 'seed': 10**400}, ':1: seed is 1000'),
    ({'prompt': 'a', 'seconds': 0}, ':1: seconds is 0.0; expected 0.25 to'),
    ({'prompt': 'a', 'seconds': 10**400}, ':1: seconds is inf'),
    ({'prompt': 'a', 'id': '../b'}, ":1: id is '../b'; it names a folder"),
    ({'prompt': 'a', 'id': '.b'}, ":1: id is '.b'; it names a folder"),
    ({'prompt': 'a', 'id': 'b\n'}, ":1: id is 'b\\n'; it names a folder"),
    ({'prompt': 'a', 'id': 'b' * 101}, 'it names a folder'),
    ({'prompt': 'a', 'id': ''}, 'it names a folder'),
    ({'prompt': 'a', 'start': -1}, ':1: start is -1; expected the number'),
    ({'prompt': 'a', 'start': 'a\0b'}, ':1: start is '),
    ({'prompt': 'a', 'start': None}, ':1: start is None; expected'),
    ({'prompt': 'a', 'says': 'go'}, ":1: says is 'go'; expected a list"),
    ({'prompt': 'a', 'says': [1]}, ':1: says[0] is 1; expected a list'),
    ({'prompt': 'a', 'says': [[1]]}, ':1: says[0] is [1]; expected [seconds'),
    ({'prompt': 'a', 'says': [['1', 'a']]}, ":1: says[0][0] is '1'; expected"),
    ({'prompt': 'a', 'says': [[1, 'a', 'b']]}, ":1: says[0][2] is 'b'"),
    ({'prompt': 'a', 'settings': {'stepz': 1}}, ":1: settings: 'stepz' is no"),
    ({'prompt': 'a', 'settings': {'steps': 0}}, ':1: settings: steps is 0'),
    ({'prompt': 'a', 'settings': {'times': [1]}}, ':1: settings: times is'),
    ({'prompt': 'a', 'layout': 't2v'}, ":1: 'layout' is no field"),
  ],
)
def test_a_line_that_is_wrong_is_named(tmp_path, line, complaint):
  with pytest.raises(ValueError) as caught:
    _read(tmp_path, line)
  said = str(caught.value)
  assert complaint in said
  assert said.startswith(f'{tmp_path / "p.jsonl"}:1: ')
  assert len(said) < 400 and '\n' not in said


def test_names_are_of_one_story_each(tmp_path):
  story = {'prompt': 'a'}
  with pytest.raises(ValueError, match=r":2: id is 'A', as in .*p\.jsonl:1;"):
    _read(tmp_path, {**story, 'id': 'a'}, {**story, 'id': 'A'})
  with pytest.raises(ValueError, match=r":2: id is '2', as in .*p\.jsonl:1;"):
    _read(tmp_path, {**story, 'id': '2'}, story)


def test_no_story_is_asked_for(tmp_path):
  with pytest.raises(ValueError, match='no story is asked for'):
    _read(tmp_path, '', ' \r')
  with pytest.raises(ValueError, match='cannot be read'):
    prompts.read(tmp_path / 'nowhere', _DEFAULTS)


def test_names_have_an_order():
  names = ['b', '10', '9', 'a', '1']
  assert sorted(names, key=prompts.order) == ['1', '9', '10', 'a', 'b']


def test_a_line_becomes_a_script(tmp_path):
  line = {'says': [[1.1, 'go']], 'ending': 'left', 'settings': {'steps': 4}}
  script = _told(tmp_path, {**line, 'seconds': 3}, layout='think2v')
  assert script.chunks == 7 and script.layout == 'think2v'
  assert script.asks == {3: 'go', 4: 'go', 5: 'left', 6: 'left'}
  assert (script.seed, script.settings.steps, script.prompt) == (3, 4, 'doom')


@pytest.mark.parametrize(
  'line,complaint',
  [
    ({'prompt': 'doom ' * 33}, ':1: prompt has 33 tokens, over the budget of'),
    ({'prompt': 'a\nb'}, r":1: prompt: 'a\nb' has the character"),
    ({'says': [[9, 'go']]}, ':1: says[0]: 9 s is after the end of the story'),
    ({'says': [[-1, 'go']]}, ':1: says[0]: -1 s is no time of a story'),
    (
      {'says': [[1, 'go'], [1, 'left']]},
      'p.jsonl:1: says[1] begin with the same chunk',
    ),
    ({'says': [[5.9, 'go']], 'ending': 'left'}, 'would be said during'),
    ({'seconds': 1.2}, ':1: seconds is 1.2, and its start alone is as long'),
    ({'settings': {'guidance_from': 1.5}}, ':1: settings: guidance_from is'),
  ],
)
def test_what_cannot_be_told_is_named(tmp_path, line, complaint):
  with pytest.raises(ValueError) as caught:
    _told(tmp_path, line, begun=3)
  assert complaint in str(caught.value)
