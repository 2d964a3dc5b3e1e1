"""Texts are counted where the model was free to write them."""

import math

import pytest

from tv2tv_jax.evaluate import intervals
from tv2tv_jax.evaluate import wording


def _wording(texts, asked=(), rate=17.5):
  return wording.of_story(texts, asked, len, first=1, chunk_frames=4, rate=rate)


def test_a_story_is_counted():
  texts = ['start', 'turn left', 'turn left', '', 'go', 'turn left', '', 'go']
  found = _wording(texts, asked=[4, 6])
  assert found == wording.Wording(
    free=5,  # Not the start, not what a person wrote, not what was silenced.
    written=4,
    changed=3,  # The second says what the first said; the last, what was told
    words=7,
    tokens=29,
    frames=20,
    rate=17.5,
  )
  assert found.share == intervals.Count(4, 5)
  assert found.seconds_per_text == pytest.approx(20 / 17.5 / 4)
  assert found.seconds_per_change == pytest.approx(20 / 17.5 / 3)
  assert found.words_per_second == pytest.approx(7 * 17.5 / 20)
  assert found.tokens_per_second == pytest.approx(29 * 17.5 / 20)


def test_what_stood_last_may_have_been_told():
  assert _wording(['', 'go', 'go', 'go'], asked=[1]).changed == 0
  assert _wording(['', 'go', '', 'go']).changed == 1


def test_parts_add_up_to_the_whole():
  texts = [['', 'a b', 'c', ''], ['', '', ''], ['', 'a', 'a', 'b', 'c d e']]
  parts = [_wording(each) for each in texts]
  whole = wording.merged(parts)
  assert whole == wording.merged([wording.merged(parts[:2]), parts[2]])
  assert (whole.free, whole.written, whole.words) == (9, 6, 9)


def test_a_silent_model_has_no_time_between_texts():
  found = _wording(['', '', ''])
  assert found.share == intervals.Count(0, 2)
  assert found.words_per_second == 0
  assert math.isnan(found.seconds_per_text)
  assert math.isnan(_wording([''], []).tokens_per_second)


def test_what_cannot_be_counted_is_named():
  with pytest.raises(ValueError, match='chunk 3 of a story of 2'):
    _wording(['', 'a'], asked=[3])
  with pytest.raises(ValueError, match='rate is 0'):
    _wording(['', 'a'], rate=0.0)
  with pytest.raises(ValueError, match=r'stories of \[16.0, 17.5\]'):
    wording.merged([_wording(['a']), _wording(['a'], rate=16.0)])
  with pytest.raises(ValueError, match=r'stories of \[\]'):
    wording.merged([])
