"""Words are told at the right time, each of them once."""

import itertools
import json

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import numpy as np
import pytest

from data_pipelines.prepare import words

NAMES = ('turn left', 'attack')
ROWS = np.array(
  [[0, 0]] + [[1, 0]] * 4 + [[1, 1]] * 8 + [[0, 0]] * 4 + [[0, 1]] * 4,
  np.uint8,
)
_CHUNK = 0.25  # s
_TICK = 1 / 32  # s, an eighth of a chunk


def _caption(start, end, text='look'):
  return words.Segment(start=start, end=end, kind='caption', text=text)


def test_stretches_merge_and_gaps_stay_empty():
  segments = words.segments_of(ROWS, NAMES, 4.0)
  assert [(s['start'], s['end'], s['text']) for s in segments] == [
    (0.0, 1.0, 'turn left'),
    (1.0, 3.0, 'turn left, attack'),
    (4.0, 5.0, 'attack'),
  ]


def test_a_chunk_is_told_what_holds_over_most_of_it():
  segments = words.segments_of(ROWS, NAMES, 4.0)
  both = 'turn left, attack'
  told = words.words_of_chunks(segments, 0.0, 5, 1.0)
  assert told == ('', 'turn left', both, both, '', 'attack')
  late = words.words_of_chunks(segments, 0.75, 4, 1.0)
  assert late == ('', both, both, '', 'attack')
  assert words.words_of_chunks(segments, 0.25, 1, 1.0) == ('', 'turn left')


def test_controls_that_never_change_are_one_segment():
  rows = np.ones((9, 2), np.uint8)
  (segment,) = words.segments_of(rows, NAMES, 2.0)
  assert (segment['start'], segment['end']) == (0.0, 4.0)
  assert words.segments_of(rows[:1], NAMES, 2.0) == []


@pytest.mark.parametrize(
  ('start', 'place'),
  [(0.0, 1), (0.01, 2), (1.0, 2), (1.01, 3), (2.0, 3), (2.01, 9), (2.99, 9)],
)
def test_a_caption_comes_before_the_next_chunk(start, place):
  told = words.words_of_chunks([_caption(start, 3.0)], 0.0, 3, 1.0)
  assert told == tuple('look' if i == place else '' for i in range(4))


def test_words_of_the_last_chunk_of_a_take_come_before_it():
  told = words.words_of_chunks([_caption(2.5, 3.1)], 0.0, 3, 1.0, last=3.0)
  assert told == ('', '', '', 'look')
  assert words.words_of_chunks([_caption(0, 3)], 3.0, 0, 1.0, 3.0) == ('',)


def test_what_holds_where_a_clip_begins_is_told_again():
  segments = [_caption(0.0, 2.1, 'one'), _caption(0.5, 2.0, 'two')]
  assert words.words_of_chunks(segments, 2.0, 2, 1.0) == ('', 'one', '')


def test_captions_come_before_what_is_held():
  control = words.Segment(start=0.0, end=2.0, kind='control', text='run')
  prompt = words.Segment(start=0.0, end=2.0, kind='prompt', text='doom')
  segments = [prompt, control, _caption(0.0, 1.0), _caption(0.0, 2.0, 'door')]
  told = words.words_of_chunks(segments, 0.0, 2, 1.0)
  assert told == ('', 'look; door; run', 'run')
  assert words.prompt_of(segments) == 'doom'


def test_time_with_words_counts_once():
  segments = [_caption(0.0, 2.0), _caption(0.5, 1.0), _caption(3.0, 9.0)]
  assert words.covered(segments, 4.0) == 3.0


@st.composite
def _takes(draw):
  """Chunks of a take; captions in ticks; the chunks at which clips begin."""
  chunks = draw(st.integers(1, 12))
  ticks = 8 * chunks
  captions = draw(
    st.lists(
      st.tuples(st.integers(0, ticks - 1), st.integers(1, ticks)), max_size=8
    )
  )
  cuts = draw(st.sets(st.integers(1, chunks), max_size=4)) - {chunks}
  captions = sorted((a, min(a + long, ticks)) for a, long in captions)
  return chunks, captions, [0, *sorted(cuts), chunks]


@given(_takes())
@settings(max_examples=200)
def test_over_the_clips_of_a_take_every_caption_is_told_once(take):
  chunks, captions, cuts = take
  segments = [
    _caption(a * _TICK, b * _TICK, str(n)) for n, (a, b) in enumerate(captions)
  ]
  told = []
  for start, stop in itertools.pairwise(cuts):
    clip = words.told_before_chunks(
      segments, start * _CHUNK, stop - start, _CHUNK, chunks * _CHUNK
    )
    assert clip[0] == words.Told()
    for i, each in enumerate(clip[1:]):
      numbers = [int(text) for text in each.captions]
      assert numbers == sorted(numbers), 'not in the order of time'
      told.extend((number, start + i) for number in numbers)
  wanted = []
  for number, (a, b) in enumerate(captions):
    first = min(-(-a // 8), chunks - 1)
    again = {cut for cut in cuts[1:-1] if first < cut and 8 * cut < b}
    wanted.extend((number, chunk) for chunk in {first, *again})
  assert sorted(told) == sorted(wanted)


@given(
  st.lists(st.sampled_from(['', 'run', 'jump', 'run, jump']), min_size=1),
  st.data(),
)
@settings(max_examples=200)
def test_a_take_is_read_back_from_what_its_chunks_are_told(held, data):
  """Controls that change with chunks exactly, captions to the next chunk."""
  ticks = 8 * len(held)
  starts = sorted(data.draw(st.lists(st.integers(0, ticks - 1), max_size=8)))
  captions = [
    _caption(a * _TICK, (a + 1) * _TICK, f'c{n}') for n, a in enumerate(starts)
  ]
  controls, begin = [], 0
  for text, group in itertools.groupby(held):
    end = begin + len(list(group))
    if text:
      controls.append(
        words.Segment(
          start=begin * _CHUNK, end=end * _CHUNK, kind='control', text=text
        )
      )
    begin = end
  segments = sorted(controls + captions, key=lambda s: s['start'])
  seconds = len(held) * _CHUNK
  assert words.parse_segments(json.dumps(segments), seconds) == segments
  told = words.told_before_chunks(segments, 0.0, len(held), _CHUNK, seconds)
  assert [each.control for each in told[1:]] == held
  read = [
    (i - 1, text) for i, each in enumerate(told) for text in each.captions
  ]
  assert read == [
    (min(-(-a // 8), len(held) - 1), f'c{n}') for n, a in enumerate(starts)
  ]


@pytest.mark.parametrize(
  ('segment', 'named'),
  [
    (3, r'segments\[0\] is 3'),
    ({'start': None}, r'segments\[0\].start is None'),
    ({'start': True, 'end': 1}, r'segments\[0\].start is True'),
    ({'start': 0, 'end': '1'}, r"segments\[0\].end is '1'"),
    ({'kind': 'song'}, "kind is 'song'; choose from prompt, caption, control"),
    ({'text': None}, r'segments\[0\].text is None'),
    ({'text': ' '}, r"segments\[0\].text is ' '"),
    ({'start': 2, 'end': 1}, r'\(caption\) runs from 2 to 1 s'),
    ({'start': -1, 'end': 1}, 'runs from -1 to 1 s'),
    ({'start': 0, 'end': 3.1}, 'runs from 0 to 3.1 s of a take of 3 s'),
    ({'start': float('nan')}, 'runs from nan'),
    ({'kind': 'prompt', 'start': 0, 'end': 1}, 'a prompt holds from 0 to 3 s'),
  ],
)
def test_a_bad_segment_is_named(segment, named):
  if isinstance(segment, dict):
    segment = {'start': 0, 'end': 1, 'kind': 'caption', 'text': 'a'} | segment
  with pytest.raises(ValueError, match=named):
    words.parse_segments(json.dumps([segment]), 3)


@pytest.mark.parametrize(
  ('text', 'named'),
  [('[', 'JSON'), ('[' * 10**5, 'JSON'), ('{}', 'list'), ('7', 'list')],
)
def test_what_is_no_list_is_named(text, named):
  with pytest.raises(ValueError, match=named):
    words.parse_segments(text, 1.0)


@pytest.mark.parametrize(
  ('kind', 'second', 'named'),
  [
    ('control', 0.5, 'after a control that ends at 1 s'),
    ('caption', -0.1, 'runs from -0.1'),
    ('caption', 0.0, None),
    ('caption', 0.5, None),
    ('control', 1.0 - 1e-7, None),
  ],
)
def test_controls_stand_in_line_and_captions_may_overlap(kind, second, named):
  first = {'start': 0, 'end': 1, 'kind': kind, 'text': 'a'}
  segments = [first, first | {'start': second, 'end': 2}]
  if named is None:
    return words.check_segments(segments, 2)
  with pytest.raises(ValueError, match=named):
    words.check_segments(segments, 2)


def test_segments_are_in_the_order_of_time():
  with pytest.raises(ValueError, match=r'\[1\].*after one that begins at 1 s'):
    words.check_segments([_caption(1, 2), _caption(0, 2)], 2)


@given(st.binary(max_size=40), st.integers(0, 200))
@settings(max_examples=300)
def test_damage_is_an_error_or_segments(noise, place):
  text = json.dumps([_caption(0.0, 1.0), _caption(0.5, 2.0)]).encode()
  damaged = text[:place] + noise + text[place + len(noise) :]
  try:
    segments = words.parse_segments(damaged.decode(errors='replace'), 3.0)
  except ValueError as error:
    assert 'segments' in str(error)
  else:
    words.check_segments(segments, 3.0)
