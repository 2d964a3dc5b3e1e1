"""Streams are endless, fixed by their seed, and go on where they stopped."""

import itertools

import numpy as np
import pytest

from data_pipelines import latents
from data_pipelines import pipeline
from data_pipelines import records
from data_pipelines import tokenize
from data_pipelines.prepare import encoding
from tv2tv_jax.interleave import story as story_lib


@pytest.fixture(scope='module')
def encoded(recording, tmp_path_factory):
  """Latents whose value is their place in the clip, and a tokenizer."""
  out = tmp_path_factory.mktemp('encoded')
  takes = {split: records.Takes(recording, split) for split in records.SPLITS}
  texts = [
    text
    for take in itertools.chain(*takes.values())
    for text in (take.prompt, *take.words(0, 32))
  ]
  tokenize.train_tokenizer(texts, out / 'words.model')
  tokenizer = tokenize.load(out / 'words.model')
  metadata = latents.Metadata(
    fingerprint='vae-1',
    tokenizer=tokenize.fingerprint(out / 'words.model'),
    dtype='float16',
    mean=(0.0,) * 16,
    std=(1.0,) * 16,
    rate=17.5,
    chunk_frames=4,
    chunks=33,
  )
  counts = {split: len(those) for split, those in takes.items()}
  job = encoding.Job(out / 'latents', metadata, {}, counts, 8)
  job.begin()
  for piece in job.pieces:
    those = map(takes[piece.split].__getitem__, piece.takes)
    job.write(piece, (_clip(take, tokenizer) for take in those))
  job.join()
  return out / 'latents', tokenizer


def _clip(take, tokenizer):
  words = take.words(0, 32)
  values = np.arange(33, dtype=np.float32)[:, None, None, None]
  return latents.Clip(
    latents=np.broadcast_to(values, (33, 6, 8, 16)),
    words=words,
    prompt=take.prompt,
    start=0.0,
    ended=take.ended,
    take=take.take,
    word_ids=tuple(tuple(tokenizer.encode(text)) for text in words),
    prompt_ids=tuple(tokenizer.encode(take.prompt)),
  )


def _stories(encoded, seed=0, fingerprints=latents.ANY, **config):
  return pipeline.stories(
    encoded[0],
    'train',
    pipeline.StoriesConfig(**{'batch': 4, **config}),
    special=encoded[1].special,
    span=13,
    seed=seed,
    fingerprints=fingerprints,
  )


def _equal(one, two):
  assert one.keys() == two.keys()
  return all(np.array_equal(one[name], two[name]) for name in one)


def test_clips_are_cut_from_takes_on_the_grid(recording):
  source = pipeline.ClipSource(recording, 'train', frames=9)
  takes = list(records.Takes(recording, 'train'))
  assert len(source) == sum((t.frame_count - 9) // 4 + 1 for t in takes)
  for index, take, start in ((0, 0, 0), (3, 0, 12), (31, 1, 0)):
    clip = source[index]
    whole = takes[take]
    wanted = whole.frames(start, start + 9)
    np.testing.assert_array_equal(clip['frames'], wanted)
    wanted = whole.controls[start : start + 9]
    np.testing.assert_array_equal(clip['controls'], wanted)


def test_memory_changes_no_clip(recording):
  kept = pipeline.ClipSource(recording, 'train', frames=5)
  none = pipeline.ClipSource(recording, 'train', frames=5, memory=0)
  np.testing.assert_array_equal(kept[17]['frames'], none[17]['frames'])


def test_clips_go_on_where_they_stopped(recording):
  def stream(seed=1):
    return pipeline.clips(
      recording, 'train', frames=5, batch=3, seed=seed, with_controls=True
    )

  one = stream()
  first = next(one)
  assert first['frames'].shape == (3, 5, 48, 64, 3)
  assert first['controls'].shape == (3, 5, 7)
  state = one.get_state()
  after = next(one)
  two = stream()
  assert _equal(next(two), first)
  three = stream()
  three.set_state(state)
  assert _equal(next(three), after)
  assert not _equal(next(stream(2)), first)


def test_stories_go_on_where_they_stopped(encoded):
  one = _stories(encoded)
  for _ in range(5):  # past the end of the split
    next(one)
  state = one.get_state()
  after = next(one)
  two = _stories(encoded)
  two.set_state(state)
  assert _equal(next(two), after)


def test_rows_hold_the_words_of_their_latents(encoded):
  directory, tokenizer = encoded
  clips = {clip.words: clip for clip in latents.Clips(directory, 'train')}
  offsets = set()
  stream = _stories(encoded, chunks=9)
  for _ in range(10):
    batch = next(stream)
    assert set(batch) == {'latents', *story_lib.Row._fields}
    for row in range(4):
      offset = int(batch['latents'][row, 0, 0, 0, 0])
      offsets.add(offset)
      told = [
        tokenizer.decode(
          batch['tokens'][row][
            (batch['segment'][row] == i)
            & (batch['kind'][row] == story_lib.Kind.WORD)
          ]
        )
        for i in range(1, 9)
      ]
      assert any(
        list(words[offset + 1 : offset + 9]) == told for words in clips
      )
  assert 0 in offsets and len(offsets) > 5


def test_start_share_decides_where_rows_begin(encoded):
  stream = _stories(encoded, start_share=1.0, chunks=33, text_length=300)
  batch = next(stream)
  assert (batch['latents'][:, 0] == 0).all()
  assert batch['latents'].shape == (4, 33, 6, 8, 16)
  ended = (batch['kind'] == story_lib.Kind.EOS).any(1)
  assert ended.shape == (4,)


def test_what_does_not_fit_is_named(encoded):
  with pytest.raises(ValueError, match=r'33 latents, a row needs 34'):
    next(_stories(encoded, chunks=34))
  with pytest.raises(ValueError, match=r'raise data\.text_length'):
    next(_stories(encoded, text_length=12))


def test_stories_are_for_those_who_made_them(encoded):
  metadata = latents.read_metadata(encoded[0])
  makers = latents.Fingerprints(metadata.fingerprint, metadata.tokenizer)
  assert next(_stories(encoded, fingerprints=makers))
  for name, named in (
    ('vae', 'by the VAE vae-1, not by other; encode again'),
    ('tokenizer', f'tokenizer {metadata.tokenizer}, not by other; encode'),
  ):
    others = makers._replace(**{name: 'other'})
    with pytest.raises(ValueError, match=named):
      _stories(encoded, fingerprints=others)


def test_long_clips_and_no_batch_are_refused(recording):
  with pytest.raises(ValueError, match='has 500 frames, the longest has 129'):
    pipeline.clips(recording, 'train', frames=500, batch=1, seed=0)
  with pytest.raises(ValueError, match='batch is 0'):
    pipeline.clips(recording, 'train', frames=5, batch=0, seed=0)
