"""A story has one place for everything, in each of three layouts."""

import numpy as np
import pytest

from tests import tiny
from tv2tv_jax.interleave import story as story_lib


def _said(row: story_lib.Row) -> list[int]:
  return [int(t) for t, s in zip(row.tokens, row.story, strict=False) if s >= 0]


def _lay_out(layout: str, **changes) -> story_lib.Row:
  kwargs = dict(special=tiny.SPECIAL, text_length=24, chunks=5, span=4)
  return story_lib.lay_out([tiny.STORY], layout, **kwargs | changes)


@pytest.mark.parametrize(
  'layout,expected',
  [
    ('tv2tv', [1, 7, 8, 3, 4, 9, 10, 3, 4, 3, 4, 11, 3, 4, 2]),
    ('think2v', [1, 7, 8, 9, 10, 4, 4, 11, 4, 3, 4, 3, 4, 3, 4, 3, 4, 2]),
    ('t2v', [1, 7, 8, 3, 4, 3, 4, 3, 4, 3, 4, 2]),
  ],
)
def test_layouts_put_words_where_they_belong(layout, expected):
  assert _said(_lay_out(layout)) == expected


@pytest.mark.parametrize('layout', ['tv2tv', 'think2v', 't2v'])
@pytest.mark.parametrize('span', [1, 4])
def test_places_are_taken_once_and_none_is_left_out(layout, span):
  row = _lay_out(layout, span=span)
  places = [
    int(i) for i, s in zip(row.index, row.story, strict=False) if s >= 0
  ]
  for start, story in zip(row.chunk_index, row.chunk_story, strict=False):
    if story >= 0:
      places += range(start, start + span)
  assert sorted(places) == list(range(len(places)))


def test_each_chunk_stands_right_after_its_bof():
  row = _lay_out('tv2tv')
  begins = row.index[row.kind == story_lib.Kind.BOF]
  np.testing.assert_array_equal(row.chunk_index[:4], begins + 1)


@pytest.mark.parametrize('small', [dict(text_length=14), dict(chunks=3)])
def test_a_story_that_does_not_fit_is_named(small):
  with pytest.raises(
    ValueError, match=r'15 text tokens.*4 chunks does not fit'
  ):
    _lay_out('tv2tv', **small)
