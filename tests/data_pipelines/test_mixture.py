"""Film and pictures take their turns, and go on where they stopped."""

import numpy as np
import pytest

from data_pipelines import mixture
from data_pipelines import pipeline


def _stream(recording, share=0.25, seed=1):
  film = mixture.Part(recording, frames=5, batch=2, share=1 - share)
  pictures = mixture.Part(recording, frames=1, batch=3, share=share)
  return mixture.clips([film, pictures], 'train', seed=seed)


def _drawn(stream, count):
  return [next(stream)['frames'] for _ in range(count)]


@pytest.mark.parametrize('share', [0.25, 0.3, 0.9])
def test_pictures_have_their_share_at_any_time(recording, share):
  batches = _drawn(_stream(recording, share), 40)
  assert {batch.shape for batch in batches} == {
    (2, 5, 48, 64, 3),
    (3, 1, 48, 64, 3),
  }
  so_far = np.cumsum([batch.shape[1] == 1 for batch in batches])
  assert abs(so_far - share * np.arange(1, 41)).max() < 1


def test_a_mixture_goes_on_where_it_stopped(recording):
  """At any batch, whichever part it is of."""
  whole = _drawn(_stream(recording), 12)
  one = _stream(recording)
  for at in range(8):
    two = _stream(recording)
    two.set_state(one.get_state())
    for found, expected in zip(_drawn(two, 4), whole[at:], strict=False):
      np.testing.assert_array_equal(found, expected)
    next(one)


def test_a_part_that_is_alone_is_what_it_would_be_in_a_stream(recording):
  part = mixture.Part(recording, frames=5, batch=2, share=1.0)
  alone = _drawn(mixture.clips([part], 'train', seed=1), 3)
  plain = pipeline.clips(recording, 'train', frames=5, batch=2, seed=1)
  for found, expected in zip(alone, _drawn(plain, 3), strict=True):
    np.testing.assert_array_equal(found, expected)


def test_pictures_are_frames_of_their_own_order(recording):
  batches = _drawn(_stream(recording, 0.5), 40)
  pictures = [b for batch in batches if batch.shape[1] == 1 for b in batch]
  assert len({picture.tobytes() for picture in pictures}) > 50
  other = _drawn(_stream(recording, 0.5, seed=2), 2)
  assert not any(
    np.array_equal(a, b) for a, b in zip(batches, other, strict=False)
  )


def test_takes_shorter_than_clips_are_said(recording):
  part = mixture.Part(recording, frames=500, batch=1, share=1.0)
  with pytest.raises(ValueError, match='has 500 frames, the longest has 129'):
    mixture.clips([part], 'train', seed=0)
