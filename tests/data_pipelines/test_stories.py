"""Rows say and show what clips do: every word once, in its place."""

import collections
import dataclasses
import itertools

import hypothesis
from hypothesis import strategies
import numpy as np
import pytest

from data_pipelines import stories as stories_lib
from tests.data_pipelines import tiny_stories
from tv2tv_jax.interleave import story as story_lib

_LAYOUTS = ('tv2tv', 'think2v', 't2v')


def _config(**changes) -> stories_lib.StoriesConfig:
  return stories_lib.StoriesConfig(
    **{'chunks': 12, 'text_length': 90, **changes}
  )


def _reader(held, config, span=3):
  return stories_lib.Reader(
    [held], config, special=tiny_stories.SPECIAL, span=span, with_ids=True
  )


def _told(batch, row: int) -> list[dict]:
  """The stories of a row, read back from its streams alone."""
  arrays = {name: values[row] for name, values in batch.items()}
  told = []
  for number in range(arrays['chunk_story'].max() + 1):
    mine = arrays['story'] == number
    chunks = np.flatnonzero(arrays['chunk_story'] == number)
    kind, token = arrays['kind'][mine], arrays['tokens'][mine]
    words = [
      token[(kind == story_lib.Kind.WORD) & (arrays['segment'][mine] == chunk)]
      for chunk in chunks
    ]
    # Text in the order of memory is in the order of the timeline.
    assert (np.diff(arrays['index'][mine]) > 0).all()
    told.append(
      {
        'prompt': token[(kind == story_lib.Kind.PROMPT)][1:].tolist(),
        'words': [each.tolist() for each in words],
        'before': [
          token[
            (kind == story_lib.Kind.WORD)
            & (arrays['index'][mine] < arrays['chunk_index'][chunk])
          ].tolist()
          for chunk in chunks
        ],
        'ended': bool((kind == story_lib.Kind.EOS).any()),
        'latents': arrays['latents'][chunks, 0, 0].tolist(),
        'said': int((kind == story_lib.Kind.WORD).sum()),
      }
    )
  return told


@pytest.mark.parametrize('layout', _LAYOUTS)
@pytest.mark.parametrize('pack', [False, True])
@hypothesis.settings(max_examples=20)
@hypothesis.given(
  lengths=strategies.lists(strategies.integers(1, 20), min_size=1, max_size=9),
  seed=strategies.integers(0, 999),
)
def test_clips_come_back_from_their_streams(layout, pack, lengths, seed):
  clips = tiny_stories.clips(lengths, seed)
  held, config = tiny_stories.Held(clips), _config(layout=layout, pack=pack)
  rows = stories_lib.rows(held, config)  # Every latent once.
  batch = _reader(held, config).batch([rows[i] for i in range(len(rows))])
  seen = collections.defaultdict(list)
  for row in range(len(rows)):
    for story in _told(batch, row):
      numbers, places = zip(*story['latents'], strict=True)
      (number,) = set(map(int, numbers))
      clip, start, stop = clips[number], int(places[0]), int(places[-1]) + 1
      seen[number] += map(int, places)
      words = [(), *clip.word_ids[start + 1 : stop]]
      wanted = [[] if layout == 't2v' else list(each) for each in words]
      assert story['words'] == wanted
      assert story['said'] == sum(map(len, wanted))  # Each word exactly once.
      for chunk, before in enumerate(story['before']):
        heard = wanted if layout == 'think2v' else wanted[: chunk + 1]
        assert before == list(itertools.chain(*heard))
      assert story['prompt'] == list(clip.prompt_ids)
      assert story['ended'] == (clip.ended and stop == len(clip.words))
  # No latent is lost or shown twice, and each clip is in its order.
  assert seen == {i: list(range(n)) for i, n in enumerate(lengths)}


@pytest.mark.parametrize(
  'layout,slots',
  # The slots of think2v would hold all words before one chunk.
  [*((layout, ()) for layout in _LAYOUTS), ('tv2tv', (14, 6)), ('t2v', (9, 6))],
)
def test_packed_rows_hold_what_each_story_holds_alone(layout, slots):
  clips = tiny_stories.clips([1, 3, 5, 2, 8, 4, 4, 1, 2, 30])
  held = tiny_stories.Held(clips)
  packed = _config(layout=layout, pack=True, slots=slots, text_length=90)
  rows = stories_lib.rows(held, packed, seed=3)
  batch = _reader(held, packed).batch([rows[i] for i in range(rows.count)])
  assert rows.count < len(clips) and batch['chunk_story'].max() > 0
  alone = _reader(held, dataclasses.replace(packed, slots=()))
  for row in range(rows.count):
    for window, story in zip(rows[row], _told(batch, row), strict=True):
      (other,) = _told(alone.batch([(window,)]), 0)
      assert story == other


def test_what_cannot_follow_in_slots_stands_first():
  long = [tiny_stories.clip(i, [(), (9,) * 4], True) for i in range(4)]
  prompt = tuple(range(10, 18))
  clips = [clip._replace(prompt_ids=prompt) for clip in long]
  clips += [tiny_stories.clip(4 + i, [(), (9,)]) for i in range(8)]
  held = tiny_stories.Held(clips)
  config = _config(pack=True, chunks=6, slots=(8, 6), text_length=60)
  rows = stories_lib.rows(held, config, seed=0)
  assert rows.count == 4
  for number in range(4):
    kinds = [window.clip < 4 for window in rows[number]]
    assert kinds == [True, False, False]
    _reader(held, config).batch([rows[number]])


def test_rows_of_nothing_are_padding():
  held = tiny_stories.Held(tiny_stories.clips([3]))
  batch = _reader(held, _config()).batch([(), ()])
  assert (batch['story'] == story_lib.NOBODY).all()
  assert (batch['chunk_story'] == story_lib.NOBODY).all()
  assert (batch['kind'] == story_lib.Kind.PAD).all()
  assert not batch['latents'].any() and batch['latents'].shape[:2] == (2, 12)
  assert (batch['ids'] == -1).all()


def test_what_no_row_holds_is_named_or_left_out():
  clips = tiny_stories.clips([3, 4, 20, 5])
  clips[1] = tiny_stories.clip(1, [(), (9,) * 60, (), (9,) * 30])
  clips[2] = clips[2]._replace(word_ids=((),) * 19 + ((9,) * 85,))
  held = tiny_stories.Held(clips)
  named = (
    r'memory: train record 1: take take-1: a prompt of 2 tokens and words of '
    r'60, 0, 30 before .* 12 chunks and 90 text tokens; raise data.text_length'
  )
  with pytest.raises(ValueError, match=named):
    stories_lib.rows(held, _config(), seed=0)
  some = _config(oversize='leave_out', pack=True)
  for seed in (None, 0):
    rows = stories_lib.rows(held, some, seed=seed)
    told = {w.clip for i in range(rows.count) for w in rows[i]}
    assert told == {0, 3} and rows.clips == 2
  with pytest.raises(ValueError, match='no clip fits a row'):
    stories_lib.rows(held, _config(text_length=5, oversize='leave_out'), seed=0)


def test_a_slot_that_is_too_short_is_named():
  held = tiny_stories.Held([tiny_stories.clip(0, [(), (9,) * 5])])
  with pytest.raises(ValueError, match=r'in slots of \(6, 6\)'):
    stories_lib.rows(held, _config(slots=(6, 6)), seed=0)
  with pytest.raises(ValueError, match=r'is 78; data.slots of 12 .* need 80'):
    stories_lib.rows(held, _config(slots=(6, 6), text_length=78), seed=0)
  with pytest.raises(ValueError, match=r'data\.slots is \(1,\); give two'):
    stories_lib.plan(_config(slots=(1,)))


def test_clips_of_several_sizes_are_named():
  clips = tiny_stories.clips([3, 3])
  clips[1] = clips[1]._replace(latents=np.zeros((3, 2, 1, 2)))
  held, config = tiny_stories.Held(clips), _config()
  rows = stories_lib.rows(held, config)
  with pytest.raises(ValueError, match=r'record 1: latents of \(2, 1, 2\)'):
    _reader(held, config).batch([rows[0], rows[1]])


def test_sizes_of_other_clips_are_found_out():
  small, large = (tiny_stories.clips([3], seed) for seed in (0, 1))
  large[0] = tiny_stories.clip(0, [(), (9,) * 80, (9,) * 9])
  rows = stories_lib.rows(tiny_stories.Held(small), _config())
  with pytest.raises(ValueError, match=r'train records 0: a story .* sizes'):
    _reader(tiny_stories.Held(large), _config()).batch([rows[0]])
