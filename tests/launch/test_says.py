"""Instructions become words before chunks, or an error that names them."""

import math

import pytest

from launch import says
from launch import storyteller as storyteller_lib
from tests.launch import fake_teller

# 8 frames a second, 4 a chunk: chunk n begins at 0.125 + 0.5 (n - 1) s.
_SPAN = says.Span(1, 12)


def _said(*texts, hold=1.0):
  return [says.parsed(text, hold) for text in texts]


def _by_chunk(*texts, hold=1.0, span=_SPAN, **changes):
  teller = fake_teller.Storyteller(**changes)
  return says.by_chunk(_said(*texts, hold=hold), teller, span)


@pytest.mark.parametrize(
  'text,time,words',
  [
    ('1.0: turn left', 1.0, 'turn left'),
    (' .5 :  go  ', 0.5, 'go'),
    ('2.:go', 2.0, 'go'),
    ('3: at 4:00 go', 3.0, 'at 4:00 go'),
    ('1.0:', 1.0, ''),
  ],
)
def test_an_instruction_is_a_time_and_words(text, time, words):
  (said,) = _said(text)
  assert said.say == storyteller_lib.Say(time, words, 1.0)


@pytest.mark.parametrize('text', ['turn left', '-1: go', 'nan: go', '1,5: go'])
def test_without_a_time_it_is_none(text):
  with pytest.raises(ValueError, match='write it as "SECONDS: WORDS"'):
    _said(text)


def test_words_are_restated_while_they_hold():
  assert _by_chunk('1.1: turn left') == {3: 'turn left', 4: 'turn left'}
  assert _by_chunk('1.1: turn left', hold=0) == {3: 'turn left'}
  assert _by_chunk('1.1:', hold=0) == {3: ''}
  assert _by_chunk('5.2: go', hold=9) == {11: 'go', 12: 'go'}


def test_the_later_of_two_is_told():
  told = _by_chunk('1.6: right', '1.1: left', hold=2)
  assert told == {3: 'left', **dict.fromkeys(range(4, 8), 'right')}


@pytest.mark.parametrize(
  'texts,complaint',
  [
    (['7: go'], "--say '7: go': 7 s is after the end of the story, whose last"),
    (['1' + '0' * 40 + ': go'], 'is after the end of the story'),
    (
      ['1.0: go', '1.1: left'],
      "--say '1.0: go' and --say '1.1: left' begin with the same chunk, at "
      '1.12 s',
    ),
    (['1: go\x07'], "has the character '\\x07'"),
    (['1: \ud800'], "has the character '\\ud800'"),
    (['1: ' + 'go ' * 17], '17 tokens of words before one chunk are over'),
  ],
)
def test_what_cannot_be_told_is_named(texts, complaint):
  with pytest.raises(ValueError) as caught:
    _by_chunk(*texts)
  assert complaint in str(caught.value)


def test_what_is_filmed_cannot_be_told():
  with pytest.raises(ValueError, match='the first new chunk begins at 2'):
    _by_chunk('1: go', span=says.Span(5, 12))


@pytest.mark.parametrize('hold', [-1.0, math.nan, math.inf])
def test_a_hold_is_a_length_of_time(hold):
  with pytest.raises(ValueError, match='is no length of time'):
    _by_chunk('1: go', hold=hold)


@pytest.mark.parametrize('layout', ['tv2tv', 'think2v', 't2v'])
def test_words_are_told_in_every_layout(layout):
  assert _by_chunk('1: go', layout=layout) == {3: 'go', 4: 'go'}
  assert _by_chunk('1:', layout=layout) == {3: '', 4: ''}


def _ending(*texts, hold=1.0, span=_SPAN):
  teller = fake_teller.Storyteller()
  end = says.Said('--ending', storyteller_lib.Say(0.0, 'go', hold))
  said = says.with_ending(_said(*texts, hold=3), end, teller, span)
  return says.by_chunk(said, teller, span)


def test_an_ending_is_told_last():
  assert _ending() == {11: 'go', 12: 'go'}
  assert _ending(hold=0) == {12: 'go'}
  assert _ending(hold=99) == dict.fromkeys(range(1, 13), 'go')
  assert _ending('4.2: left') == {9: 'left', 10: 'left', 11: 'go', 12: 'go'}


def test_nothing_contradicts_an_ending():
  with pytest.raises(ValueError, match="left' would be said during"):
    _ending('5.7: left')
  with pytest.raises(ValueError, match="left' and --ending begin with"):
    _ending('5.1: left')
