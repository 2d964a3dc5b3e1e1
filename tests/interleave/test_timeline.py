"""Who sees whom is the paper's table, and BAGEL's, on any row of stories."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests import tiny
from tv2tv_jax.interleave import plan as plan_lib
from tv2tv_jax.interleave import story as story_lib
from tv2tv_jax.interleave import streams as streams_lib
from tv2tv_jax.interleave import timeline

_TOKENS = 3
_SEEDS = range(12)


def _random_row(seed):
  """A row of one to three stories, some chunks with words and some without."""
  rng = np.random.default_rng(seed)

  def words(most):
    return tuple(map(int, rng.integers(5, 30, size=rng.integers(0, most))))

  stories = [
    story_lib.Story(
      prompt=words(5),
      words=tuple(words(4) for _ in range(rng.integers(1, 4))),
      ended=bool(rng.integers(2)),
    )
    for _ in range(rng.integers(1, 4))
  ]
  layout = ('tv2tv', 'think2v', 't2v')[rng.integers(3)]
  span = (1, _TOKENS)[rng.integers(2)]
  slots = story_lib.Slots(6, 12) if seed % 3 == 0 else None
  chunks = 10
  length = 6 + 12 * chunks + 2
  if layout == 'think2v':
    slots = None
  row = tiny.row(
    stories,
    layout=layout,
    text_length=length,
    chunks=chunks,
    span=span,
    slots=slots,
  )
  return row, span, slots


def _streams(row, span):
  shape = dict(tokens=_TOKENS, span=span)
  places = (row.chunk_index, row.chunk_story)
  return streams_lib.Streams(
    timeline.of_text(row.index, row.story),
    timeline.of_clean(*places, **shape),
    timeline.of_noisy(*places, **shape),
  )


def _sequence(row):
  """The paper's sequence: (stream, token, story, chunk or None), in order.

  `[text_1, noisy_1, clean_1, text_2, ...]`, story after story.
  """
  out = []
  stories = [int(s) for s in np.unique(row.story[0]) if s >= 0]
  for story in stories:
    events = [
      (int(row.index[0, i]), 'text', i)
      for i in range(row.tokens.shape[1])
      if row.story[0, i] == story
    ] + [
      (int(row.chunk_index[0, c]), 'chunk', c)
      for c in range(row.chunk_index.shape[1])
      if row.chunk_story[0, c] == story
    ]
    for _, kind, number in sorted(events):
      if kind == 'text':
        out.append(('text', number, story, None))
        continue
      for stream in ('noisy', 'clean'):
        tokens = range(number * _TOKENS, (number + 1) * _TOKENS)
        out += [(stream, token, story, number) for token in tokens]
  return out


def _papers_rule(query, at, key, before):
  """The table of the paper, in its words; positions in the sequence."""
  stream, _, story, chunk = query
  key_stream, _, key_story, key_chunk = key
  if story != key_story:
    return False
  if key_stream == 'noisy':  # Seen by nothing but its own chunk.
    return stream == 'noisy' and chunk == key_chunk
  if stream == 'text':
    return before <= at
  if stream == 'clean':
    return before < at or chunk == key_chunk
  # Noisy: all before it but no noisy token; not its own clean copy.
  return before < at and key_chunk != chunk


def _found(row, span, **window):
  """`visible` between all tokens, streams joined text, clean, noisy."""
  places = streams_lib.joined_places(*_streams(row, span))
  return np.asarray(timeline.visible(places, places, **window))[0]


def _place(row, token):
  """Where a token of the sequence stands in the joined streams."""
  text, video = row.tokens.shape[1], row.chunk_index.shape[1] * _TOKENS
  return token[1] + {'text': 0, 'clean': text, 'noisy': text + video}[token[0]]


@pytest.mark.parametrize('seed', _SEEDS)
def test_who_sees_whom_is_the_papers_table(seed):
  row, span, _ = _random_row(seed)
  sequence = _sequence(row)
  expected = np.zeros_like(_found(row, span))
  for at, query in enumerate(sequence):
    for before, key in enumerate(sequence):
      if _papers_rule(query, at, key, before):
        expected[_place(row, query), _place(row, key)] = True
  shown = [_place(row, token) for token in sequence]
  np.testing.assert_array_equal(_found(row, span)[shown], expected[shown])


def _bagels_rule(sequence):
  """BAGEL's generalised causal attention over splits of three kinds.

  A sequence is cut into splits: `causal` (text), `full` (clean) and `noise`.
  Causal by place; full and noise splits see themselves in both directions;
  what is noise is hidden from all other splits; samples are apart.
  """
  order = np.arange(len(sequence))
  story = np.array([token[2] for token in sequence])
  full, noise = -np.ones_like(order), -np.ones_like(order)
  for i, (stream, _, _, chunk) in enumerate(sequence):
    if stream == 'noisy':
      noise[i] = full[i] = 2 * chunk
    elif stream == 'clean':
      full[i] = 2 * chunk + 1
  causal = order[:, None] >= order
  both_ways = (full[:, None] == full) & (full >= 0)
  hidden = (noise >= 0) & (noise[:, None] != noise)
  return (causal | both_ways) & ~hidden & (story[:, None] == story)


@pytest.mark.parametrize('seed', _SEEDS)
def test_it_is_bagels_mask_too(seed):
  row, span, _ = _random_row(seed)
  sequence = _sequence(row)
  places = [_place(row, token) for token in sequence]
  found = _found(row, span)[np.ix_(places, places)]
  np.testing.assert_array_equal(found, _bagels_rule(sequence))


@pytest.mark.parametrize('seed', _SEEDS)
def test_padding_is_seen_by_none(seed):
  row, span, _ = _random_row(seed)
  found = _found(row, span)
  shown = {_place(row, token) for token in _sequence(row)}
  padding = [i for i in range(found.shape[1]) if i not in shown]
  assert padding and not found[:, padding].any()


@pytest.mark.parametrize('seed', _SEEDS)
def test_a_window_moves_with_the_horizon_and_keeps_the_sink(seed):
  row, span, _ = _random_row(seed)
  window, sink = 7, 2
  places = streams_lib.joined_places(*_streams(row, span))
  horizon = np.asarray(places.horizon)[0][:, None]
  index = np.asarray(places.index)[0][None]
  near = (index >= horizon - window) | (index < sink)
  own = np.asarray(places.block)[0] != timeline.CLEAN
  near |= own[:, None] & own[None]
  found = _found(row, span, window=window, sink=sink)
  np.testing.assert_array_equal(found, _found(row, span) & near)


@pytest.mark.parametrize('seed', _SEEDS)
def test_pieces_of_a_plan_leave_out_nothing_that_is_seen(seed):
  row, span, slots = _random_row(seed)
  chunks, length = row.chunk_index.shape[1], row.tokens.shape[1]
  if slots:
    plan = plan_lib.in_slots(chunks, *slots)
  else:
    plan = plan_lib.in_order(chunks, length)
  text, clean, noisy = _streams(row, span)
  video = clean.index.shape[1]
  lengths = streams_lib.Streams(length, video, video)
  covered = {name: [] for name in lengths.present}
  for piece in plan_lib.pieces(plan, lengths, chunks):
    queries = {'text': text, 'clean': clean, 'noisy': noisy}[piece.stream]
    queries = timeline.Timeline(
      *(a[:, piece.begin : piece.end] for a in queries)
    )
    unseen = timeline.Timeline(*(a[:, piece.text :] for a in text))
    assert not np.asarray(timeline.visible(queries, unseen)).any()
    unseen = timeline.Timeline(*(a[:, piece.clean :] for a in clean))
    assert not np.asarray(timeline.visible(queries, unseen)).any()
    covered[piece.stream] += range(piece.begin, piece.end)
  assert covered == {
    name: list(range(getattr(lengths, name))) for name in lengths.present
  }


def test_a_plan_spares_scores():
  """Four chunks of 192 with 64 words each: under six tenths of the square."""
  plan = plan_lib.in_slots(4, 0, 64)
  pieces = plan_lib.pieces(plan, streams_lib.Streams(256, 768), 4)
  scores = sum((p.end - p.begin) * (p.text + p.clean) for p in pieces)
  text = sum(64 * (64 * (i + 1) + 192 * i) for i in range(4))
  clean = sum(192 * (64 + 192) * (i + 1) for i in range(4))
  assert scores == text + clean
  assert scores / 1024**2 < 0.6


def test_a_plan_of_other_rows_is_refused():
  with pytest.raises(ValueError, match='a plan for 3 chunks, and rows of 4'):
    plan_lib.pieces(plan_lib.in_order(3, 8), streams_lib.Streams(8, 12, 12), 4)


def test_a_chunk_takes_one_place_or_one_a_token():
  zero = jnp.zeros((1, 1), jnp.int32)
  with pytest.raises(ValueError, match='4 tokens takes 1 or 4 places'):
    timeline.of_clean(zero, zero, tokens=4, span=2)
