"""Windows cover clips, and their text is known before it is read."""

import hypothesis
from hypothesis import strategies
import numpy as np
import pytest

from data_pipelines import windows as windows_lib
from tests.data_pipelines import tiny_stories
from tv2tv_jax.interleave import story as story_lib

_CLIPS = tiny_stories.clips([1, 3, 9, 17, 26, 4, 40])
_SIZES = tiny_stories.Held(_CLIPS).sizes()


def test_training_draws_a_window_for_every_row_that_a_clip_fills():
  windows = windows_lib.drawn(_SIZES, 9)
  assert windows.clip.tolist() == list(range(7))
  assert windows.times.tolist() == [1, 1, 1, 1, 2, 1, 4]
  assert windows.chunks.tolist() == [1, 3, 9, 9, 9, 4, 9]
  assert windows.spare.tolist() == [0, 0, 0, 8, 17, 0, 31]


def test_evaluation_has_every_latent_once():
  windows = windows_lib.tiled(_SIZES, 9)
  held = [
    (clip, first + i)
    for clip, first, chunks in zip(
      windows.clip, windows.first, windows.chunks, strict=True
    )
    for i in range(chunks)
  ]
  assert held == [
    (clip, latent)
    for clip, count in enumerate(_SIZES.chunks)
    for latent in range(count)
  ]
  assert not windows.spare.any() and (windows.times == 1).all()


@pytest.mark.parametrize('layout', ['tv2tv', 'think2v', 't2v'])
@pytest.mark.parametrize('cut', [windows_lib.drawn, windows_lib.tiled])
@hypothesis.settings(max_examples=15)
@hypothesis.given(
  lengths=strategies.lists(strategies.integers(1, 12), min_size=1, max_size=6),
  seed=strategies.integers(0, 99),
)
def test_the_text_of_a_window_is_what_its_row_has(layout, cut, lengths, seed):
  clips = tiny_stories.clips(lengths, seed)
  windows = cut(tiny_stories.Held(clips).sizes(), 5)
  found = windows_lib.lengths(windows, tiny_stories.Held(clips).sizes(), layout)
  each = zip(*(field.tolist() for field in windows), strict=True)
  for i, (clip, first, spare, chunks, _) in enumerate(each):
    whole, before, other = [], [], []
    for offset in range(first, first + spare + 1):
      row = _row(clips[clip], offset, chunks, layout)
      whole.append(int((row.story >= 0).sum()))
      places = row.index[row.story >= 0]
      counts = [int((places < begin).sum()) for begin in row.chunk_index]
      before.append(counts[0])
      other += np.diff(counts).tolist()
    # One more where it is not the longest window that ends the story.
    assert 0 <= found.whole[i] - max(whole) <= (spare > 0 and clips[clip].ended)
    assert found.first[i] == max(before)
    assert found.other[i] >= max(other, default=0)


def _row(clip, offset, chunks, layout):
  stop = offset + chunks
  story = story_lib.Story(
    clip.prompt_ids,
    ((), *clip.word_ids[offset + 1 : stop]),
    clip.ended and stop == len(clip.words),
  )
  return story_lib.lay_out(
    [story],
    layout,
    special=tiny_stories.SPECIAL,
    text_length=100,
    chunks=chunks,
    span=1,
  )


def test_many_clips_are_looked_at_in_blocks(monkeypatch):
  whole = windows_lib.drawn(_SIZES, 9)
  one = windows_lib.lengths(whole, _SIZES, 'tv2tv')
  monkeypatch.setattr(windows_lib, '_BLOCK', 2)
  two = windows_lib.lengths(whole, _SIZES, 'tv2tv')
  for a, b in zip(one, two, strict=True):
    np.testing.assert_array_equal(a, b)
