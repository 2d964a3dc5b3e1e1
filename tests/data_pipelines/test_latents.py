"""Latents come back as they were stored, for those who may read them."""

import json
import shutil

import numpy as np
import pytest

from data_pipelines import encoded as encoded_lib
from data_pipelines import latents
from data_pipelines import records
from data_pipelines.prepare import dataset
from tests.data_pipelines import tiny_latents


@pytest.fixture(scope='module', params=['float16', 'bfloat16'])
def encoded(request, tmp_path_factory):
  """A dataset of latents of either type."""
  out = tmp_path_factory.mktemp('encoded') / 'latents'
  metadata = tiny_latents.METADATA._replace(dtype=request.param)
  job = tiny_latents.job(out, metadata)
  job.begin()
  for piece in job.pieces:
    job.write(piece, tiny_latents.clips_of(piece))
  job.join()
  return out


def test_a_clip_comes_back(encoded):
  clips = latents.Clips(encoded, 'train')
  dtype = latents.DTYPES[clips.metadata.dtype]
  pieces = tiny_latents.job(encoded).pieces
  stored = [
    clip
    for piece in pieces
    if piece.split == 'train'
    for clip in tiny_latents.clips_of(piece)
  ]
  assert len(clips) == len(stored) == 27
  for found, clip in zip(clips, stored, strict=True):
    assert found.latents.dtype == dtype
    np.testing.assert_array_equal(found.latents, clip.latents.astype(dtype))
    for name in set(clip._fields) - {'latents'}:
      assert getattr(found, name) == getattr(clip, name), name


def test_training_reads_what_the_clip_holds(encoded):
  clips = latents.Clips(encoded, 'train')
  for index, clip in enumerate(clips):
    found = clips.encoded(index)
    np.testing.assert_array_equal(found.latents, clip.latents)
    assert found.texts() == [clip.prompt_ids, *clip.word_ids]
    assert (found.ended, found.take) == (clip.ended, clip.take)
  with pytest.raises(IndexError, match='record 27: there are 27 records'):
    clips.encoded(27)


def test_clips_may_be_shorter_than_the_longest():
  clip = tiny_latents.clip()
  short = clip._replace(latents=clip.latents[:1], words=('',), word_ids=((),))
  record = latents.record_of(short, tiny_latents.METADATA)
  found = latents.parse_clip(record, np.dtype(np.float16), 'here')
  assert found.latents.shape == (1, 2, 4, 2) and found.words == ('',)
  with pytest.raises(ValueError, match=r'\(0, 2, 4, 2\), \[1 to 3'):
    latents.record_of(
      clip._replace(latents=clip.latents[:0]), tiny_latents.METADATA
    )


def test_numbers_are_not_compressed(encoded):
  clip = latents.Clips(encoded, 'train')[5]
  (file,) = encoded.glob('*train.array*')
  assert clip.latents.tobytes() in file.read_bytes()


def test_the_metadata_is_beside_the_records(encoded):
  metadata = latents.read_metadata(encoded)
  dtype = {'dtype': metadata.dtype}
  assert metadata == tiny_latents.METADATA._replace(**dtype)
  plain = json.loads((encoded / latents.METADATA).read_text())
  assert plain['tokenizer'] == 'words-1' and plain['chunks'] == 3


def test_others_than_the_makers_are_refused(encoded):
  latents.Clips(encoded, 'train', 'vae-1', 'words-1')
  again = r'; encode again with `python -m launch\.encode`'
  with pytest.raises(ValueError, match=f'the VAE vae-1, not by vae-2{again}'):
    latents.Clips(encoded, 'train', 'vae-2')
  named = f'the tokenizer words-1, not by words-2{again}'
  with pytest.raises(ValueError, match=named):
    latents.Clips(encoded, 'train', 'vae-1', 'words-2')


@pytest.mark.parametrize(
  ('change', 'named'),
  [
    ({'version': '1.0.0'}, 'version is 1.0.0, .* reads 2.0.0; encode again'),
    ({'tokenizer': None}, "'tokenizer' is missing; encode again"),
    ({'dtype': 'float8'}, "dtype is 'float8'; encode again"),
    ({'rate': 'fast'}, 'fast.*; encode again'),
  ],
)
def test_bad_metadata_is_named(encoded, tmp_path, change, named):
  plain = json.loads((encoded / latents.METADATA).read_text()) | change
  plain = {name: value for name, value in plain.items() if value is not None}
  (tmp_path / latents.METADATA).write_text(json.dumps(plain))
  with pytest.raises(ValueError, match=rf'latents\.json: .*{named}'):
    latents.Clips(tmp_path, 'train')


def test_a_shard_that_is_cut_or_missing_is_named(encoded, tmp_path):
  copy = tmp_path / 'copy'
  shutil.copytree(encoded, copy)
  (file,) = copy.glob('*train.array*')
  data = file.read_bytes()
  for keep, named in (
    (0, rf'{file.name}: .* cut short'),
    (1000, rf'{file.name}: .* cut short'),
    (2**16, rf'{file.name}: .* cut short'),  # A block of the format.
    (len(data) - 1000, rf'{file.name}: .* cut short'),
  ):
    file.write_bytes(data[:keep])
    with pytest.raises(ValueError, match=named) as caught:
      list(latents.Clips(copy, 'train'))
    assert '\n' not in str(caught.value)
  file.unlink()
  with pytest.raises(ValueError, match=f'{file.name}: file is missing'):
    latents.Clips(copy, 'train')


@pytest.mark.parametrize(
  ('field', 'value', 'named'),
  [
    ('latents', b'12', r'latents has 2 bytes, \(3, 2, 4, 2\) in float16 needs'),
    ('words', '["", "a"]', 'words has 2 texts for 3 latents'),
    ('token_counts', b'', 'token_counts has 0 bytes'),
    ('token_counts', np.array([9, 0, -1, 0], '<i4').tobytes(), 'has -1'),
    ('tokens', b'1234', 'tokens has 4 bytes'),
    ('prompt', b'\xff', 'prompt is not text'),
    ('chunks', 0, r'channels are \(0, 2, 4, 2\)'),
    ('chunks', -3, r'channels are \(-3, 2, 4, 2\)'),
  ],
)
def test_a_bad_field_is_named(field, value, named):
  record = latents.record_of(tiny_latents.clip(), tiny_latents.METADATA)
  record[field] = value
  with pytest.raises(ValueError, match=f'here: .*{named}'):
    latents.parse_clip(record, np.dtype(np.float16), 'here')
  del record[field]
  with pytest.raises(ValueError, match=f'here: field {field} is missing'):
    latents.parse_clip(record, np.dtype(np.float16), 'here')


def test_what_does_not_fit_is_not_written():
  def stored(metadata=tiny_latents.METADATA, **fields):
    latents.record_of(tiny_latents.clip(take='t', **fields), metadata)

  large = np.full((3, 2, 4, 2), 1e5, np.float32)
  with pytest.raises(ValueError, match='t: latents are not finite in float16'):
    stored(latents=large)
  wide = tiny_latents.METADATA._replace(dtype='bfloat16')
  stored(wide, latents=large)
  with pytest.raises(ValueError, match='t: latents are not finite in bfloat16'):
    stored(wide, latents=np.nan * large)
  with pytest.raises(ValueError, match=r'\(4, 2, 4, 2\), \[1 to 3, Y, X, 2\]'):
    stored(latents=np.zeros((4, 2, 4, 2)))
  with pytest.raises(ValueError, match='take t: 1 words for 3 latents'):
    stored(words=('',))
  with pytest.raises(ValueError, match='take t: 2 word_ids for 3 latents'):
    stored(word_ids=((), (1,)))


def test_bytes_that_are_no_record_are_named():
  with pytest.raises(ValueError, match='here: is no record'):
    encoded_lib.fields(b'\xff' * 9, ('chunks',), 'here')


def test_a_recording_is_no_dataset_of_latents(recording):
  with pytest.raises(ValueError, match=r'latents\.json: missing'):
    latents.Clips(recording, 'train')
  assert (recording / dataset.RECIPE).is_file()
  assert len(records.Takes(recording, 'train'))
