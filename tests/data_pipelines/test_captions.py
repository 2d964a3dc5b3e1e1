"""Every word of a caption file is kept at its time, or a line is named."""

import random

import hypothesis
from hypothesis import strategies as st
import pytest

from data_pipelines.prepare import words
from data_pipelines.sources import captions
from tests.data_pipelines import mutants

_SRT = """1
00:00:00,500 --> 00:00:01,000
A <i>fox</i> &amp; a {\\an8}dog

2
00:00:01.000 --> 00:01:02,000 X1:10 X2:20
in
two lines
"""
_VTT = """WEBVTT - of a fox
Kind: captions

NOTE
not said

STYLE
::cue { color: red }

first
00:00.500 --> 00:01.000 line:0 align:start
<v Ann>A <c.loud>fox</c> &amp; a<00:00.700> dog

00:01.000 --> 01:00:02.000
in
two lines
"""
_JSONL = """{"start": 0.5, "end": 1, "text": "A fox & a dog"}

{"start": 1, "end": 62.0, "text": " in\\ntwo  lines ", "speaker": "Ann"}
"""


def _read(text, suffix, seconds=100.0):
  data = text if isinstance(text, bytes) else text.encode()
  found = captions.read(data, suffix, f'a{suffix}')
  return captions.of_video(found, seconds)


def _told(found):
  return [(s['start'], s['end'], s['text']) for s in found.segments]


@pytest.mark.parametrize('ends', ['\n', '\r\n', '\r'])
@pytest.mark.parametrize('mark', ['', '\ufeff'])
@pytest.mark.parametrize(
  ('text', 'suffix', 'end'),
  [(_SRT, '.srt', 62.0), (_VTT, '.vtt', 100.0), (_JSONL, '.jsonl', 62.0)],
)
def test_words_and_times_are_kept(text, suffix, end, mark, ends):
  found = _read(mark + text.replace('\n', ends), suffix)
  assert _told(found) == [
    (0.5, 1.0, 'A fox & a dog'),
    (1.0, end, 'in two lines'),
  ]
  assert all(s['kind'] == words.CAPTION for s in found.segments)
  assert not found.empty
  assert found.cut == (['a.vtt: line 14'] if suffix == '.vtt' else [])


def test_a_caption_of_one_time_holds_until_a_later_one():
  text = ''.join(
    f'{{"time": {at}, "text": "{said}"}}\n'
    for at, said in ((0, 'a'), (2, 'b'), (2, 'c'), (5, ''), (7.5, 'd'))
  )
  found = _read(text, '.jsonl', seconds=9.0)
  assert _told(found) == [
    (0, 2, 'a'), (2, 5, 'b'), (2, 5, 'c'), (7.5, 9, 'd')
  ]  # fmt: skip
  assert not found.empty and not found.cut


def test_captions_without_words_are_left_out_and_said():
  for suffix, text in (
    ('.srt', '1\n00:00:01,000 --> 00:00:02,000\n\n2\n00:00:03,000 --> '
             '00:00:04,000\n<i></i> &nbsp;\n'),
    ('.vtt', 'WEBVTT\n\n00:01.000 --> 00:02.000\n\n\n00:03.000 --> 00:04.000'
             '\n<b> </b>'),
    ('.jsonl', '{"start": 1, "end": 2, "text": " "}\n\n\n\n\n'),
  ):  # fmt: skip
    found = _read(text, suffix)
    assert not found.segments
    assert found.empty[0].startswith(f'a{suffix}: line ')
  assert _read('', '.srt') == _read('WEBVTT', '.vtt') == _read('', '.jsonl')


def test_less_than_is_no_tag():
  found = _read(
    'WEBVTT\n\n00:01.000 --> 00:02.000\nI <3 you & 1 < 2 > 0', '.vtt'
  )
  assert found.segments[0]['text'] == 'I <3 you & 1 < 2 > 0'


@pytest.mark.parametrize(
  ('suffix', 'text', 'named'),
  [
    ('.srt', 'hello', "line 1 is 'hello', a number is wanted"),
    ('.srt', '1\nhello', "line 2 is 'hello', times such as 00:00:01,500 -->"),
    ('.srt', '1\n', 'line 2 is empty, times such as'),
    ('.srt', '1\n00:61:00,000 --> 00:62:00,000\na', 'line 2 is .*times such'),
    ('.srt', '1\n-0:00:01,000 --> 0:00:02,000\na', 'line 2 is .*times such'),
    ('.srt', '1\n00:00:01,000 --> 00:00:02\na', 'line 2 is .*times such as'),
    ('.srt', '1\n0:00:02,000 --> 0:00:01,000\na', 'line 2: a caption ends at'),
    ('.srt', '1\n0:00:02,000 --> 0:00:02,000\na', 'line 2: a caption ends at'),
    (
      '.srt',
      '1\n0:00:02,000 --> 0:00:03,000\na\n\n2\n0:00:01,000 --> 0:00:09,000\nb',
      'line 6: a caption begins at 1.0 s, the one before it at 2.0 s',
    ),
    (
      '.srt',
      '1\n0:00:02,000 --> 0:00:03,000\na\n2\n0:00:04,000 --> 0:00:09,000\nb',
      'line 5 is .*: an empty line is wanted',
    ),
    (
      '.srt',
      '1\n0:00:02,000 --> 0:00:03,000\na\n\nb\n',
      "line 5 is 'b', a number is wanted",
    ),
    ('.srt', '1\n0:02:00,000 --> 0:02:03,000\na', 'line 2: a caption begins at '
     r'120.0 s, the video ends at 100.000 s'),
    ('.srt', _VTT, "line 1 is 'WEBVTT - of a fox', a number is wanted"),
    ('.vtt', '', "line 1 is '', WebVTT begins with WEBVTT"),
    ('.vtt', _SRT, "line 1 is '1', WebVTT begins with WEBVTT"),
    ('.vtt', '\nWEBVTT', 'line 1 is .*WebVTT begins with WEBVTT'),
    ('.vtt', 'WEBVTTT\n', 'line 1 is .*WebVTT begins with WEBVTT'),
    ('.vtt', 'WEBVTT\n00:01.000 --> 00:02.000', 'line 2 is .*an empty line'),
    ('.vtt', 'WEBVTT\n\n00:01,000 --> 00:02,000\na', 'line 3 is .*times such'),
    ('.vtt', 'WEBVTT\n\n00:01.0 --> 00:02.000\na', 'line 3 is .*times such'),
    ('.vtt', 'WEBVTT\n\na\nb\nc', "line 4 is 'b', times such as 00:01.500"),
    ('.vtt', 'WEBVTT\n\nNOTE\n00:01.000 --> 00:02.000', 'line 4 is .*an empty'),
    ('.jsonl', 'hello', 'line 1 is not JSON'),
    ('.jsonl', '\n[]', r'line 2 is \[\], not an object'),
    ('.jsonl', '{"start": 1, "text": "a"}', 'line 1: end is None: give sec'),
    ('.jsonl', '{"time": 1, "end": 2, "text": "a"}', 'line 1: start is None'),
    ('.jsonl', '{"start": "1", "end": 2, "text": "a"}', "line 1: start is '1'"),
    ('.jsonl', '{"time": true, "text": "a"}', 'line 1: time is True'),
    ('.jsonl', '{"time": NaN, "text": "a"}', 'line 1: time is nan'),
    ('.jsonl', '{"time": 1e999, "text": "a"}', 'line 1: time is inf'),
    ('.jsonl', '{"time": -1, "text": "a"}', 'line 1: time is -1: give seconds'),
    ('.jsonl', '{"time": 1, "text": 2}', 'line 1: text is 2, not a text'),
    ('.jsonl', '{"time": 1}', 'line 1: text is None, not a text'),
    ('.jsonl', '{"time": 1, "text": "\\ud800"}', r'line 1: text .*surrogates'),
    ('.jsonl', '[' * 100_000, 'line 1 is not JSON'),
    ('.jsonl', f'{{"time": {"9" * 5000}, "text": "a"}}', 'line 1 is not JSON'),
    ('.jsonl', b'\xef\xbb\xbf\n\nab\xff', 'line 3: byte 0xff is no UTF-8'),
    ('.srt', _SRT.encode('utf-16'), 'line 1: byte 0xff is no UTF-8'),
    ('.vtt', 'WEBVTT\n\nä'.encode('latin-1'), 'line 3: byte 0xe4 is no UTF-8'),
  ],
)  # fmt: skip
def test_a_line_that_does_not_fit_is_named(suffix, text, named):
  with pytest.raises(ValueError, match=f'a{suffix}: {named}') as caught:
    _read(text, suffix)
  assert '\n' not in str(caught.value)


def test_a_list_beside_the_video_is_read_likewise():
  found = captions.listed([{'time': 1, 'text': 'a'}], 'a.json: captions')
  assert _told(captions.of_video(found, 3)) == [(1, 3, 'a')]
  with pytest.raises(ValueError, match=r'a\.json: captions\[1\]: time is -2'):
    captions.listed(
      [{'time': 1, 'text': 'a'}, {'time': -2, 'text': 'b'}], 'a.json: captions'
    )
  with pytest.raises(ValueError, match="captions is 'a', not a list"):
    captions.listed('a', 'a.json: captions')


_TIMES = st.lists(
  st.tuples(st.integers(0, 900), st.integers(1, 400)), max_size=12
).map(sorted)


@hypothesis.given(_TIMES, st.integers(1, 6))
@hypothesis.settings(max_examples=100)
def test_takes_together_hold_every_caption_once(times, chunks):
  """Joined where one is told again, they are those of the video."""
  rate, count = 10.0, 91
  said = [
    captions.Caption(start / 100, (start + length) / 100, f'c{index}', 'a')
    for index, (start, length) in enumerate(times)
  ]
  whole = captions.of_video(said, count / rate).segments
  step = 4 * chunks
  starts = list(range(0, count - 1, step))
  joined, begun = {}, []
  for take, first in enumerate(starts):
    last = take == len(starts) - 1
    frames = count - first if last else step + 1
    end = (first + frames if last else first + step) / rate
    told = captions.of_take(whole, first / rate, end, frames / rate)
    words.check_segments(told, frames / rate)
    for segment in told:
      start = first / rate + segment['start']
      stop = first / rate + segment['end']
      if segment['text'] in joined:
        before = joined[segment['text']]
        assert segment['start'] == 0 and before[1] >= start - 1e-9
        joined[segment['text']] = before[0], stop
      else:
        assert start < end, 'it begins in the next take'
        begun.append(segment['text'])
        joined[segment['text']] = start, stop
  assert begun == [segment['text'] for segment in whole]
  for segment in whole:
    want = segment['start'], segment['end']
    assert joined[segment['text']] == pytest.approx(want)


def test_a_mutated_file_gives_captions_or_names_the_line():
  rng = random.Random(0)
  refused = 0
  for _ in range(600):
    suffix, text = rng.choice(
      [('.srt', _SRT), ('.vtt', _VTT), ('.jsonl', _JSONL)]
    )
    try:
      found = _read(mutants.mutated(text.encode(), rng), suffix)
    except ValueError as error:
      assert str(error).startswith(f'a{suffix}: line ')
      refused += 1
    else:
      words.check_segments(found.segments, 100.0)
  assert 200 < refused < 580, 'the mutations are too tame, or too wild'
