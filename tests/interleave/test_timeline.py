"""The table of `timeline` holds, token by token."""

import numpy as np

from tests import tiny
from tv2tv_jax.interleave import timeline

_TOKENS = 4


def _places(span: int):
  row = tiny.row(tiny.STORY, span=span)
  shape = dict(tokens=_TOKENS, span=span)
  return (
    timeline.of_text(row.index, row.story),
    timeline.of_clean(row.chunk_index, row.chunk_story, **shape),
    timeline.of_noisy(row.chunk_index, row.chunk_story, **shape),
    row,
  )


def test_who_sees_whom_is_the_papers_table():
  for span in (1, _TOKENS):
    text, clean, noisy, row = _places(span)
    said = int((row.story >= 0).sum())
    starts = row.chunk_index[0]
    for q in range(said):
      at = row.index[0, q]
      sees = np.asarray(timeline.visible(text, text))[0, q]
      assert list(np.flatnonzero(sees)) == list(range(q + 1))
      sees = np.asarray(timeline.visible(text, clean))[0, q]
      expected = [i for i in range(4 * _TOKENS) if starts[i // _TOKENS] < at]
      assert list(np.flatnonzero(sees)) == expected
      assert not np.asarray(timeline.visible(text, noisy))[0, q].any()
    for q in range(4 * _TOKENS):
      chunk = q // _TOKENS
      before = [i for i in range(said) if row.index[0, i] < starts[chunk]]
      for stream in (clean, noisy):
        sees = np.asarray(timeline.visible(stream, text))[0, q]
        assert list(np.flatnonzero(sees)) == before
      own = list(range(chunk * _TOKENS, (chunk + 1) * _TOKENS))
      sees = np.asarray(timeline.visible(clean, clean))[0, q]
      assert list(np.flatnonzero(sees)) == list(range(own[-1] + 1))
      sees = np.asarray(timeline.visible(noisy, clean))[0, q]
      assert list(np.flatnonzero(sees)) == list(range(own[0]))
      sees = np.asarray(timeline.visible(noisy, noisy))[0, q]
      assert list(np.flatnonzero(sees)) == own
      assert not np.asarray(timeline.visible(clean, noisy))[0, q].any()


def test_padding_is_seen_by_none():
  text, clean, noisy, row = _places(_TOKENS)
  padding = np.flatnonzero(row.story[0] < 0)
  assert padding.size
  for stream in (text, clean, noisy):
    assert not np.asarray(timeline.visible(stream, text))[0][:, padding].any()
