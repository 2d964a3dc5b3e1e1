"""A story has one place for everything, in each of three layouts."""

import hypothesis
from hypothesis import strategies
import numpy as np
import pytest

from tests import tiny
from tv2tv_jax.interleave import lengths
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


def test_several_stories_stand_one_after_another_from_place_zero():
  other = tiny.STORY._replace(prompt=(5,), words=((), (6,)), ended=False)
  kwargs = dict(special=tiny.SPECIAL, span=4)
  row = story_lib.lay_out(
    [tiny.STORY, other], 'tv2tv', text_length=30, chunks=7, **kwargs
  )
  text = chunk = 0
  for number, story in enumerate((tiny.STORY, other)):
    alone = story_lib.lay_out(
      [story], 'tv2tv', text_length=30, chunks=7, **kwargs
    )
    count = int((alone.story >= 0).sum())
    mine = slice(text, text + count)
    for field in ('tokens', 'kind', 'index'):
      np.testing.assert_array_equal(
        getattr(row, field)[mine], getattr(alone, field)[:count]
      )
    segment = alone.segment[:count]
    np.testing.assert_array_equal(
      row.segment[mine], np.where(segment < 0, -1, segment + chunk)
    )
    chunks = slice(chunk, chunk + len(story.words))
    np.testing.assert_array_equal(
      row.chunk_index[chunks], alone.chunk_index[: len(story.words)]
    )
    assert (row.story[mine] == number).all()
    assert (row.chunk_story[chunks] == number).all()
    text, chunk = mine.stop, chunks.stop
  assert (row.story[text:] == story_lib.NOBODY).all()
  assert (row.chunk_story[chunk:] == story_lib.NOBODY).all()


def test_slots_keep_room_before_every_chunk():
  slots = story_lib.Slots(prompt=3, words=5)
  close = _lay_out('tv2tv')
  roomy = _lay_out('tv2tv', text_length=26, slots=slots)
  assert _said(roomy) == _said(close)
  for field in ('index', 'segment', 'kind'):
    np.testing.assert_array_equal(
      getattr(roomy, field)[roomy.story >= 0],
      getattr(close, field)[close.story >= 0],
    )
  np.testing.assert_array_equal(roomy.chunk_index, close.chunk_index)
  for chunk in range(4):
    end = 3 + 5 * (chunk + 1)
    before = roomy.index[:end][roomy.story[:end] >= 0]
    after = roomy.index[end:][roomy.story[end:] >= 0]
    assert before.max() < roomy.chunk_index[chunk] < after.min()


def test_words_over_a_slot_are_named():
  with pytest.raises(
    ValueError, match=r'before chunk 1 of story 0 does not fit its slot'
  ):
    _lay_out('tv2tv', text_length=26, slots=story_lib.Slots(3, 3))


def _slowly(stories, layout, *, text_length, chunks, span, slots):
  """Rows token by token: slot, kind, token, segment, place and story of each.

  And, of each chunk, place and story. None where something does not fit.
  """
  special, film, text = tiny.SPECIAL, [], []
  slot = 0
  for number, story in enumerate(stories):
    place, first = 0, len(film)
    for kind, token, segment in _events(story, layout, special):
      if kind is None:
        film.append((place, number))
        place += span
        slot = slots.prompt + slots.words * len(film) if slots else slot
        continue
      end = text_length
      if slots and len(film) < chunks:
        end = slots.prompt + slots.words * (len(film) + 1)
      if slot >= min(end, text_length):
        return None
      segment = segment if segment < 0 else first + segment
      text.append((slot, token, kind, segment, place, number))
      place, slot = place + 1, slot + 1
  return (text, film) if len(film) <= chunks else None


def _events(story, layout, special):
  kinds = story_lib.Kind
  yield kinds.PROMPT, special.bos, -1
  yield from ((kinds.PROMPT, token, -1) for token in story.prompt)
  if layout == 'think2v':
    for i, words in enumerate(story.words[1:], start=1):
      yield from ((kinds.WORD, token, i) for token in words)
      yield kinds.EOF, special.eof, -1
  for i, words in enumerate(story.words):
    if layout == 'tv2tv':
      yield from ((kinds.WORD, token, i) for token in words)
    yield kinds.BOF, special.bof, -1
    yield None, 0, i
    yield kinds.EOF, special.eof, -1
  if story.ended:
    yield kinds.EOS, special.eos, -1


_IDS = strategies.lists(strategies.integers(5, 30), max_size=4).map(tuple)
_STORIES = strategies.builds(
  story_lib.Story,
  _IDS,
  strategies.lists(_IDS, max_size=5).map(tuple),
  strategies.booleans(),
)


@pytest.mark.parametrize('layout', ['tv2tv', 'think2v', 't2v'])
@hypothesis.settings(max_examples=100)
@hypothesis.given(
  stories=strategies.lists(_STORIES, max_size=3),
  slots=strategies.none()
  | strategies.builds(
    story_lib.Slots, strategies.integers(0, 8), strategies.integers(1, 9)
  ),
  text_length=strategies.integers(4, 70),
  chunks=strategies.integers(1, 9),
  span=strategies.integers(1, 4),
)
def test_rows_are_what_they_are_token_by_token(layout, stories, **sizes):
  wanted = _slowly(stories, layout, **sizes)
  if wanted is None:
    with pytest.raises(ValueError, match='does not fit'):
      story_lib.lay_out(stories, layout, special=tiny.SPECIAL, **sizes)
    return
  row = story_lib.lay_out(stories, layout, special=tiny.SPECIAL, **sizes)
  text, film = wanted
  fields = (row.tokens, row.kind, row.segment, row.index, row.story)
  found = [
    (int(slot), *(int(field[slot]) for field in fields))
    for slot in np.flatnonzero(row.story >= 0)
  ]
  assert found == text
  count = len(film)
  places = zip(row.chunk_index.tolist(), row.chunk_story.tolist(), strict=True)
  assert [*places] == film + (sizes['chunks'] - count) * [(0, -1)]
  empty = row.story < 0
  assert (row.tokens[empty] == tiny.SPECIAL.pad).all()
  assert not row.kind[empty].any() and (row.segment[empty] == -1).all()


@pytest.mark.parametrize('layout', ['tv2tv', 'think2v', 't2v'])
@hypothesis.settings(max_examples=30)
@hypothesis.given(story=_STORIES.filter(lambda story: story.words))
def test_the_length_of_text_is_known_before_it_is_laid_out(layout, story):
  story = story._replace(words=((), *story.words[1:]))
  counts = [len(words) for words in story.words]
  prompt, chunks = len(story.prompt), len(counts)
  length = lengths.whole(
    layout, prompt=prompt, words=sum(counts), chunks=chunks, ended=story.ended
  )
  kwargs = dict(special=tiny.SPECIAL, chunks=chunks, span=4)
  row = story_lib.lay_out([story], layout, text_length=length, **kwargs)
  assert (row.story == 0).all()
  first, other = lengths.between_chunks(
    layout, prompt=prompt, words=sum(counts), most=max(counts), chunks=chunks
  )
  before = np.searchsorted(row.index, row.chunk_index)
  assert before[0] == first
  assert max(np.diff(before), default=other) == other
